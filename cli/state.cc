#include "cli/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "cli/checkpoint_view.h"
#include "cli/print.h"
#include "cli/text.h"
#include "coordinator/resume.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

std::string KnownRuns(const std::vector<RunRecord>& runs) {
  const std::uint64_t first = runs.front().id.value;
  const std::uint64_t last = runs.back().id.value;
  return first == last ? fmt::format("there is only run {}", first)
                       : fmt::format("known are {} to {}", first, last);
}

// The run as its tasks are after a restart, in which nothing moves.
std::unique_ptr<LiveRun> Restored(const Checkpoint& checkpoint, std::shared_ptr<const Plan> plan) {
  auto live = std::make_unique<LiveRun>(checkpoint.run, std::move(plan));
  Effects nothing;
  WorkerPool pool;
  Random random(0);
  Turn turn{checkpoint.run.created, nothing, pool, random};
  live->Restore(checkpoint, {}, true, turn);
  return live;
}

// " in .troupe"
std::string WhereOf(const StateOptions& options) {
  const Result<std::optional<ConnectConfig>> remote = RemoteOf(options);
  if (!remote || !*remote) return " in " + options.state_dir;
  return " at " + EndpointOf(**remote);
}

bool IsNumber(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

Result<RunId> ChooseRunOf(const StateOptions& options, const std::vector<RunRecord>& runs) {
  if (runs.empty()) {
    return Error{ErrorCode::NotFound, "there are no runs" + WhereOf(options)};
  }
  if (options.run.empty()) return runs.back().id;
  RunId id;
  const char* end = options.run.data() + options.run.size();
  const auto [rest, error] = std::from_chars(options.run.data(), end, id.value);
  if (error != std::errc() || rest != end) {
    return Error{ErrorCode::Invalid,
                 fmt::format("\"{}\" is not the number of a run; `troupe runs{}` lists them",
                             Escaped(options.run), StateDirFlag(options.state_dir))};
  }
  for (const RunRecord& run : runs) {
    if (run.id == id) return id;
  }
  return Error{ErrorCode::NotFound, fmt::format("there is no run {}{}; {}", id.value,
                                                WhereOf(options), KnownRuns(runs))};
}

int Refuse(const std::string& message) {
  Say(fmt::format("troupe: {}\n", message));
  return kExitBadRequest;
}

int Refuse(const Error& error) {
  Refuse(error.message);
  return error.code == ErrorCode::Unavailable ? kExitNoCoordinator : kExitBadRequest;
}

std::string StateDirFlag(const std::string& state_dir) {
  return state_dir == StateOptions{}.state_dir ? "" : " --state-dir " + Quoted(state_dir);
}

std::string ResumeHint(const RunRecord& run, const std::string& state_dir) {
  return fmt::format("go on with: troupe run {} --resume{}", Quoted(Escaped(run.file)),
                     StateDirFlag(state_dir));
}

StateOptions WithTask(StateOptions options) {
  if (options.task.empty() && !options.run.empty() && !IsNumber(options.run)) {
    options.task = std::exchange(options.run, "");
  }
  return options;
}

std::string StateNameOf(const RunRecord& run, bool at_work) {
  if (!at_work && run.state == RunState::Running) return "interrupted";
  return std::string(Name(run.state));
}

std::string StoredRun::StateName() const { return StateNameOf(checkpoint.run, at_work); }

Instant StoredRun::Until(Instant now) const {
  if (checkpoint.run.ended != Instant{}) return checkpoint.run.ended;
  return at_work ? now : LastTime(checkpoint);
}

Result<std::uint32_t> StoredRun::FindTask(const std::string& id) const {
  std::vector<std::string> ids;
  for (std::uint32_t i = 0; i < live->size(); ++i) {
    ids.push_back(live->FullId(i));
    if (ids.back() == id) return i;
  }
  const std::vector<std::string_view> names(ids.begin(), ids.end());
  const std::string near = DidYouMean(id, names);
  return Error{ErrorCode::NotFound,
               fmt::format("run {} has no task \"{}\"{}", checkpoint.run.id.value, Escaped(id),
                           near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near))};
}

Result<StoredRun> OpenRun(const StateOptions& options) {
  StoredRun stored;
  Result<std::unique_ptr<RunSource>> source = OpenSource(options);
  if (!source) return source.error();
  stored.source = *std::move(source);
  stored.store = &stored.source->store();
  stored.at_work = stored.source->at_work();
  const Result<std::vector<RunRecord>> runs = stored.store->Runs();
  if (!runs) return runs.error();
  const Result<RunId> id = ChooseRunOf(options, *runs);
  if (!id) return id.error();
  Result<Resumable> saved = LoadRunToView(*stored.store, *id);
  if (!saved) return saved.error();
  stored.plan = saved->plan;
  stored.live = Restored(saved->checkpoint, saved->plan);
  stored.checkpoint = std::move(saved->checkpoint);
  return stored;
}

WorkerPool LocalPool(const std::string& state_dir) {
  WorkerPool pool;
  std::error_code error;
  const auto workers = std::filesystem::path(state_dir) / "workers";
  for (const auto& entry : std::filesystem::directory_iterator(workers, error)) {
    Worker& worker = pool.Know(entry.path().filename().string());
    worker.peer = worker.name;
    worker.session = 1;
    worker.providers = {"command", "mock", "claude"};
  }
  return pool;
}

Status StoredRun::Refresh() {
  if (Status caught_up = source->CatchUp(); !caught_up) return caught_up;
  at_work = source->at_work();
  Result<Checkpoint> loaded = store->Load(checkpoint.run.id);
  if (!loaded) return loaded.error();
  if (loaded->workflow_text != checkpoint.workflow_text) {  // --accept-changes
    Result<Resumable> changed = LoadRunToView(*store, checkpoint.run.id);
    if (!changed) return changed.error();
    plan = changed->plan;
  }
  checkpoint = *std::move(loaded);
  live = Restored(checkpoint, plan);
  return {};
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  std::string table;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(widths[i] - WidthOf(row[i]) + 2, ' ');
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    table += line + "\n";
  }
  return table;
}

}  // namespace troupe
