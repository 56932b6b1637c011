// `troupe submit` and `troupe watch`.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/commands_fleet.h"
#include "cli/config_file.h"
#include "cli/follow.h"
#include "cli/print.h"
#include "cli/read_file.h"
#include "cli/remote_store.h"
#include "cli/state.h"
#include "protocol/limits.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

// So that a submission that is repeated after a lost connection is still one run.
std::string RandomKey() {
  std::random_device device;
  return fmt::format("submit-{:08x}{:08x}{:08x}", device(), device(), device());
}

}  // namespace

int SubmitWorkflow(const SubmitOptions& options) {
  Result<std::string> text = ReadWorkflowFile(options.file);
  if (!text) return Refuse(text.error());
  if (text->size() > kSubmitTextBytesMax) {
    return Refuse(fmt::format("{} has {} bytes; over the network the limit is {}", options.file,
                              text->size(), kSubmitTextBytesMax));
  }
  const Result<ConnectConfig> config = LoadClientConfig(options.connect);
  if (!config) return Refuse(config.error());
  Result<Client> client = Client::Connect(*config);
  if (!client) return Refuse(client.error());
  std::error_code error;
  const std::uint64_t request = client->NextRequest();
  const Result<ClientSubmitted> submitted = client->AskAgain<ClientSubmitted>(
      ClientSubmit{.request = request,
                   .text = *text,
                   .file = fs::absolute(options.file, error).string(),
                   .workflow = options.workflow,
                   .inputs = options.inputs,
                   .run_dir = fs::current_path(error).string(),
                   .lenient = options.lenient,
                   .key = options.key.empty() ? RandomKey() : options.key,
                   .watch = options.wait});
  if (!submitted) return Refuse(submitted.error());
  Say(submitted->problems);
  if (submitted->run == RunId{}) return kExitBadRequest;
  const std::uint64_t run = submitted->run.value;
  if (submitted->existed && !options.key.empty()) {
    Say(fmt::format("run {} has this key already; nothing was submitted\n", run));
  }
  if (options.wait) {
    FollowOptions follow{.run = submitted->run, .json = options.json};
    if (!submitted->existed) {
      follow.plan = CompileWorkflow(*text, {options.workflow, options.lenient}).plan;
      if (follow.plan != nullptr) follow.submitted = request;  // Else it is another version's.
    }
    return FollowRun(*client, follow);
  }
  if (options.json) {
    const nlohmann::ordered_json object = {{"run", run}, {"existed", submitted->existed}};
    Print(object.dump() + "\n");
  } else {
    Print(fmt::format("{}\n", run));
    Say(fmt::format("see it with: troupe watch {}\n", run));
  }
  return kExitOk;
}

int WatchRun(const StateOptions& options) {
  Result<Client> client = ConnectFor(options);
  if (!client) return Refuse(client.error());
  const RemoteStore store(*client);
  const Result<std::vector<RunRecord>> runs = store.Runs();
  if (!runs) return Refuse(runs.error());
  const Result<RunId> run = ChooseRunOf(options, *runs);
  if (!run) return Refuse(run.error());
  return FollowRun(*client, {.run = *run, .json = options.json});
}

}  // namespace troupe
