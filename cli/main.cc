// `troupe`: the table of subcommands. Flags are read here and nowhere else.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/commands_fleet.h"
#include "cli/commands_simulate.h"
#include "cli/commands_workflow.h"
#include "cli/print.h"
#include "cli/state.h"
#include "cli/text.h"
#include "config/config.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

constexpr const char* kAbout =
    "troupe runs workflows of agents, scripts and commands, and never loses or repeats an attempt.";

void AddConnect(CLI::App* command, ConnectFlags& flags) {
  constexpr const char* kGroup = "Coordinator";
  command
      ->add_option("--connect", flags.endpoint, "the coordinator: tcp://HOST:PORT or ipc:///PATH")
      ->group(kGroup);
  command->add_option("--key-file", flags.key_file, "our secret key")->group(kGroup);
  command->add_option("--server-key", flags.server_key_file, "file of the coordinator's public key")
      ->group(kGroup);
  command->add_flag("--insecure", flags.insecure, "without keys, in plain text, to other machines")
      ->group(kGroup);
}

// Which runs are meant: those of a state directory or of a coordinator.
void AddWhere(CLI::App* command, StateOptions& options) {
  command->add_option_function<std::string>(
      "--state-dir",
      [&options](const std::string& directory) {
        options.state_dir = directory;
        options.state_dir_given = true;
      },
      "where the state is kept (default: .troupe)");
  AddConnect(command, options.connect);
}

void AddState(CLI::App* command, StateOptions& options, bool task) {
  command->add_option("run", options.run, "number of the run (default: the newest)");
  if (task) command->add_option("task", options.task, "id of a task");
  AddWhere(command, options);
}

// How a run is carried out here, for `run` and `retry`.
void AddLocalFlags(CLI::App* run, RunOptions& options) {
  run->add_option("--workers", options.workers, "worker processes")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str();
  run->add_option("--slots", options.slots, "attempts at one time per worker (default: cores)")
      ->check(CLI::Range(1, 100'000));
  run->add_option("--state-dir", options.state_dir, "where the state is kept")
      ->capture_default_str();
  run->add_option("--grace", options.grace_secs,
                  "seconds that running attempts get to end after Ctrl-C")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  run->add_flag("--json", options.json, "one JSON object per event, on stdout");
}

// Of a coordinator's run if one is named or usual, see cli/source.h.
void AddRetry(CLI::App* retry, RunOptions& options, StateOptions& state,
              std::function<int()>& action) {
  retry->add_option("run", options.run, "number of the run (default: the newest)");
  retry->add_option("task", options.tasks, "dead letters to run again (default: all of the run)");
  AddLocalFlags(retry, options);
  AddConnect(retry, state.connect);
  retry->add_flag("--wait", options.wait, "of a coordinator's run: show how it goes")
      ->group("Coordinator");
  retry->callback([&options, &state, &action, retry] {
    state.state_dir = options.state_dir;
    state.state_dir_given = retry->count("--state-dir") > 0;
    state.run = options.run;
    state.json = options.json;
    action = [&options, &state] {
      const Result<std::optional<ConnectConfig>> remote = RemoteOf(state);
      if (!remote) return Refuse(remote.error());
      return *remote ? RetryRemoteRun(state, options.tasks, options.wait) : RetryRun(options);
    };
  });
}

void AddRun(CLI::App& app, RunOptions& options, std::function<int()>& action) {
  CLI::App* run = app.add_subcommand("run", "run a workflow on this machine");
  run->add_option("file", options.file, "the workflow file")->required();
  run->add_option("--input", options.inputs, "NAME=VALUE of an input; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  run->add_option("--workflow", options.workflow, "which of several workflows");
  AddLocalFlags(run, options);
  CLI::Option* resume = run->add_flag("--resume", options.resume,
                                      "go on with the newest unfinished run of this workflow");
  run->add_flag("--accept-changes", options.accept_changes,
                "with --resume: also if the workflow file has changed")
      ->needs(resume);
  run->add_flag("--clean", options.clean, "first remove unfinished runs of this workflow")
      ->excludes(resume);
  run->add_flag("--dry-run", options.dry_run, "show what would run, and run nothing");
  run->add_flag("--lenient", options.lenient, "unknown keys are warnings");
  AddConnect(run, options.connect);
  run->callback([&] { action = [&] { return RunWorkflow(options); }; });
}

void AddLog(CLI::App* command, LogFlags& flags) {
  const auto word = [&](const char* name, std::string& value, const char* about, auto& words) {
    command->add_option(name, value, about)
        ->check(CLI::IsMember(std::vector<std::string>(std::begin(words), std::end(words))));
  };
  word("--log-format", flags.format, "plain lines (default) or JSON", kLogFormats);
  word("--log-level", flags.level, "what is logged, and above (default: info)", kLogLevels);
}

void AddCoordinator(CLI::App& app, CoordinatorCommand& command, std::function<int()>& action) {
  CLI::App* c = app.add_subcommand("coordinator", "the daemon that owns runs and workers");
  c->add_option("--config", command.config,
                "configuration file (default: /etc/troupe/coordinator.yaml if it is there)");
  c->add_flag("--check", command.check, "check the configuration and do nothing");
  c->add_option("--state-dir", command.state_dir, "where the state is kept");
  c->add_option("--listen", command.listen, "tcp://HOST:PORT or ipc:///PATH; may be repeated")
      ->allow_extra_args(false);
  c->add_option("--key-file", command.key_file, "our secret key");
  c->add_option("--authorized-keys", command.authorized_keys, "file of who may come in");
  c->add_flag("--insecure", command.insecure, "plain tcp also for other machines");
  const auto seconds = [&](const char* name, double& value, const char* about) {
    c->add_option(name, value, about)->check(CLI::PositiveNumber);
  };
  seconds("--lease", command.lease_secs, "seconds until a silent worker is lost");
  seconds("--heartbeat", command.heartbeat_secs, "seconds between signs of life");
  seconds("--recovery-grace", command.recovery_grace_secs,
          "seconds that workers have to come back after a restart");
  seconds("--reconnect-window", command.reconnect_window_secs,
          "seconds that a worker goes on without us");
  c->add_option("--keep-days", command.keep_days,
                "forget runs so many days after their end (default: never)")
      ->check(CLI::Range(kKeepDaysMin, kKeepDaysMax));
  c->add_option("--keep-runs", command.keep_runs,
                "keep so many runs that have ended (default: all)")
      ->check(CLI::Range(std::int64_t{1}, kKeepRunsMax));
  c->add_option("--keep-mib", command.keep_mib,
                "of them keep so many MiB on the disk (default: any)")
      ->check(CLI::Range(std::int64_t{1}, kKeepMibMax));
  c->add_option("--metrics", command.metrics,
                "HOST:PORT for Prometheus, or off (default: 127.0.0.1:9464 if it is free)");
  AddLog(c, command.log);
  c->callback([&] { action = [&] { return RunCoordinator(command); }; });
}

void AddWorker(CLI::App& app, WorkerCommand& command, std::function<int()>& action) {
  CLI::App* worker = app.add_subcommand("worker", "the daemon that carries out attempts");
  worker->add_option("--config", command.config,
                     "configuration file (default: /etc/troupe/worker.yaml if it is there)");
  worker->add_flag("--check", command.check, "check the configuration and do nothing");
  AddConnect(worker, command.connect);
  worker->add_option("--name", command.name, "default: this machine's name");
  worker->add_option("--slots", command.slots, "attempts at one time (default: cores)")
      ->check(CLI::Range(0, 10'000));
  worker->add_option("--label", command.labels, "may be repeated")->allow_extra_args(false);
  worker->add_option("--work-dir", command.work_dir, "where attempts run");
  worker->add_option("--spool-dir", command.spool_dir, "where attempts are kept");
  worker->add_option("--lifeline", command.lifeline)->group("");  // Of `run`.
  AddLog(worker, command.log);
  worker->callback([&] { action = [&] { return RunWorker(command); }; });
}

void AddKeygen(CLI::App& app, KeygenOptions& options, std::function<int()>& action) {
  CLI::App* keygen = app.add_subcommand("keygen", "make a CURVE key pair");
  keygen->add_option("file", options.file, "of the secret key; FILE.pub holds the public one")
      ->capture_default_str();
  keygen->add_option("--name", options.name, "whose key it is (default: this machine's name)");
  keygen->add_option("--role", options.role, "worker, operator or viewer")
      ->check(CLI::IsMember({"worker", "operator", "viewer"}))
      ->capture_default_str();
  keygen->callback([&] { action = [&] { return MakeKey(options); }; });
}

void AddSubmit(CLI::App& app, SubmitOptions& options, std::function<int()>& action) {
  CLI::App* submit = app.add_subcommand("submit", "give a workflow to a coordinator");
  submit->add_option("file", options.file, "the workflow file")->required();
  submit->add_option("--input", options.inputs, "NAME=VALUE of an input; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  submit->add_option("--workflow", options.workflow, "which of several workflows");
  submit->add_option("--key", options.key, "submitted twice with the same key it is one run");
  submit->add_flag("--lenient", options.lenient, "unknown keys are warnings");
  submit->add_flag("--wait", options.wait, "show how it goes, until it has ended");
  submit->add_flag("--json", options.json, "as JSON; with --wait an object per event");
  AddConnect(submit, options.connect);
  submit->callback([&] { action = [&] { return SubmitWorkflow(options); }; });
}

struct FleetFlags {
  StateOptions state = {};
  std::string worker = "";
  bool undo = false;
};

void AddFleetCommands(CLI::App& app, FleetFlags& flags, std::function<int()>& action) {
  StateOptions& options = flags.state;
  CLI::App* watch = app.add_subcommand("watch", "show how a coordinator's run goes");
  AddState(watch, options, false);
  watch->add_flag("--json", options.json, "one JSON object per event");
  watch->callback([&] { action = [&] { return WatchRun(options); }; });
  const auto order = [&](const char* name, const char* about,
                         int (*function)(const StateOptions&)) {
    CLI::App* command = app.add_subcommand(name, about);
    AddState(command, options, false);
    command->get_option("run")->required();
    command->callback([&options, &action, function] {
      action = [&options, function] { return function(options); };
    });
  };
  order("cancel", "end a run and what runs of it", OrderCancel);
  order("pause", "start nothing new of a run", OrderPause);
  order("resume", "let a paused run go on", OrderResume);
  CLI::App* workers = app.add_subcommand("workers", "list a coordinator's workers");
  AddWhere(workers, options);
  workers->add_flag("--json", options.json, "as JSON");
  workers->callback([&] { action = [&] { return ListWorkers(options); }; });
  CLI::App* drain = app.add_subcommand("drain", "send nothing new to a worker");
  drain->add_option("worker", flags.worker, "its name")->required();
  drain->add_flag("--undo", flags.undo, "it takes attempts again");
  AddWhere(drain, options);
  drain->callback([&] { action = [&] { return DrainWorker(options, flags.worker, flags.undo); }; });
}

struct WorkflowFlags {
  std::vector<std::string> files = {};
  std::string file = "";
  std::string workflow = "";
  std::string format = "text";
  bool lenient = false;
  bool json = false;
};

void AddWorkflowCommands(CLI::App& app, WorkflowFlags& flags, std::function<int()>& action) {
  CLI::App* validate = app.add_subcommand("validate", "check workflow files");
  validate->add_option("files", flags.files, "workflow files")->required();
  validate->add_flag("--lenient", flags.lenient, "unknown keys are warnings");
  validate->add_flag("--json", flags.json, "one JSON object per file");
  validate->callback(
      [&] { action = [&] { return RunValidate(flags.files, flags.lenient, flags.json); }; });

  CLI::App* graph = app.add_subcommand("graph", "show the task graph of a workflow file");
  graph->add_option("file", flags.file, "the workflow file")->required();
  graph->add_option("--format", flags.format, "text, dot or mermaid")
      ->check(CLI::IsMember({"text", "dot", "mermaid"}))
      ->capture_default_str();
  graph->add_option("--workflow", flags.workflow, "which of several workflows");
  graph->callback(
      [&] { action = [&] { return RunGraph(flags.file, flags.format, flags.workflow); }; });
}

void AddStateCommands(CLI::App& app, StateOptions& options, std::function<int()>& action) {
  const auto add = [&](const char* name, const char* about, int (*function)(const StateOptions&),
                       bool task) {
    CLI::App* command = app.add_subcommand(name, about);
    AddState(command, options, task);
    command->callback([&options, &action, function] {
      action = [&options, function] { return function(options); };
    });
    return command;
  };
  CLI::App* runs = app.add_subcommand("runs", "list the runs");
  AddWhere(runs, options);
  runs->add_flag("--json", options.json, "as JSON");
  runs->callback([&] { action = [&] { return ListRuns(options); }; });
  add("status", "how a run stands", ShowStatus, false)->add_flag("--json", options.json, "as JSON");
  CLI::App* logs = add("logs", "what attempts and hooks printed", ShowLogs, true);
  logs->add_flag("--hooks", options.hooks, "the hooks' output");
  logs->add_flag("-f,--follow", options.follow, "go on until the run has ended");
  add("why", "why a run or task is as it is", ExplainWhy, true);
  add("export", "the state of a run as JSON", ExportRun, false);
  CLI::App* remove = add("delete", "forget a run that has ended", DeleteRun, false);
  remove->get_option("run")->required();
}

void AddDeadLetters(CLI::App& app, StateOptions& options, RunOptions& run,
                    std::function<int()>& action) {
  const auto about = [&](CLI::App* command) {
    command->add_option("run", options.run, "number of a run (default: all)");
    AddWhere(command, options);
  };
  CLI::App* letters = app.add_subcommand("dead-letters", "tasks that were given up");
  letters->require_subcommand(0, 1);
  letters->add_flag("--json", options.json, "as JSON, with every attempt and its output");
  AddWhere(letters, options);
  letters->callback([&] {
    if (!action) action = [&] { return ListDeadLetters(options); };
  });
  CLI::App* list = letters->add_subcommand("list", "list them (default)");
  about(list);
  list->add_flag("--json", options.json, "as JSON, with every attempt and its output");
  AddRetry(letters->add_subcommand("retry", "run them again, as `troupe retry`"), run, options,
           action);
  CLI::App* discard = letters->add_subcommand("discard", "give them up for good");
  about(discard);
  discard->get_option("run")->required();
  discard->add_option("task", run.tasks, "which (default: all of the run)");
  discard->callback([&] { action = [&] { return DiscardDeadLettersOf(options, run.tasks); }; });
}

void AddBench(CLI::App& app, BenchOptions& options, std::function<int()>& action) {
  CLI::App* bench = app.add_subcommand("bench", "measure what this machine can do");
  bench
      ->add_option("what", options.what,
                   "bare, throughput, chain, fan, process, xargs, restart, memory, idle, fleet "
                   "(default: all)")
      ->check(
          CLI::IsMember(std::vector<std::string>(std::begin(kBenchNames), std::end(kBenchNames))));
  bench
      ->add_option("--tasks", options.tasks,
                   "of the throughput, the restart and the fleet; others are in proportion")
      ->check(CLI::Range(100u, 10'000'000u))
      ->capture_default_str();
  bench->add_option("--workers", options.workers, "worker processes")
      ->check(CLI::Range(1u, 1'000u))
      ->capture_default_str();
  bench->add_option("--repeat", options.repeat, "how often; medians count")
      ->check(CLI::Range(1u, 1'000u))
      ->capture_default_str();
  bench->add_option("--dir", options.directory,
                    "on the disk that is meant (default: a new one in /tmp)");
  bench->add_flag("--json", options.json, "as JSON");
  bench->add_option("--answer", options.answer)->group("");  // Of the bare pipeline.
  bench->callback([&] { action = [&] { return RunBench(options); }; });
}

void AddSimulate(CLI::App& app, SimulateOptions& options, std::function<int()>& action) {
  CLI::App* simulate =
      app.add_subcommand("simulate", "the real coordinator and workers under faults, from a seed");
  simulate->add_option("file", options.file,
                       "a workflow to rehearse (default: workflows are drawn)");
  simulate->add_option("--seed", options.seed, "the first seed")->capture_default_str();
  simulate->add_option("--seeds", options.seeds, "how many")->capture_default_str();
  simulate->add_option(
      "--faults", options.faults,
      "none, all, or of network, crashes, machines, disk, operators, agents, clock "
      "(default: all; with a file: none)");
  simulate->add_flag("--trace", options.trace, "print everything that happens");
  simulate->add_option("--jobs", options.jobs, "threads (default: cores)")
      ->check(CLI::Range(1, 1'024));
  constexpr const char* kGroup = "With a file";
  const auto with_file = [&](CLI::Option* option) { option->group(kGroup); };
  with_file(simulate->add_option("--workflow", options.workflow, "which of the file's workflows"));
  with_file(simulate->add_option("--input", options.inputs, "NAME=VALUE"));
  with_file(simulate->add_option("--fail", options.fail, "share of attempts that fail, 0 to 1")
                ->check(CLI::Range(0.0, 1.0))
                ->capture_default_str());
  with_file(simulate->add_option("--class", options.classes,
                                 "how they fail (default: agent_error; may be repeated)"));
  with_file(
      simulate->add_option("--fastest", options.fastest_secs, "seconds of the shortest attempt")
          ->check(CLI::Range(0.0, 31'536'000.0))
          ->capture_default_str());
  with_file(simulate->add_option("--slowest", options.slowest_secs, "… and of the longest")
                ->check(CLI::Range(0.0, 31'536'000.0))
                ->capture_default_str());
  with_file(simulate->add_option("--from", options.from,
                                 "attempts take and cost what those of this run did: its number, "
                                 "or newest; tasks without a success there: as above"));
  CLI::Option* state_dir =
      simulate->add_option("--state-dir", options.state_dir, "where that run is kept");
  with_file(state_dir);
  with_file(simulate->add_option("--workers", options.workers, "worker machines")
                ->check(CLI::Range(1, 1'000))
                ->capture_default_str());
  with_file(simulate->add_option("--slots", options.slots, "attempts at one time on each")
                ->check(CLI::Range(1, 100'000))
                ->capture_default_str());
  simulate->callback([&, state_dir] {
    options.state_dir_given = state_dir->count() > 0;
    action = [&] { return Simulate(options); };
  });
}

// The nearest of the names that `word` may have been meant as, as a question; or "".
std::string Suggestion(const std::string& word, const std::vector<std::string>& names) {
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  const std::string near = DidYouMean(word, candidates);
  return near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near);
}

// What is wrong with a command line, in a sentence, and where to read on.
std::string Complaint(const CLI::App& app, const std::string& first, const std::string& what) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  if (chosen.empty()) {
    std::vector<std::string> names = {"--help", "--version"};
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      if (!command->get_group().empty()) names.push_back(command->get_name());
    }
    return fmt::format("troupe: there is no {} \"{}\"{} (troupe --help lists what there is)\n",
                       first.starts_with('-') ? "option" : "command", Escaped(first),
                       Suggestion(first, names));
  }
  const CLI::App& command = *chosen.front();
  std::string suggestion;
  for (const std::string& extra : command.remaining()) {
    std::vector<std::string> names;
    for (const CLI::Option* option : command.get_options()) names.push_back(option->get_name());
    if (suggestion.empty()) suggestion = Suggestion(extra.substr(0, extra.find('=')), names);
  }
  return fmt::format("troupe {0}: {1}{2} (troupe {0} --help lists what it takes)\n",
                     command.get_name(), Escaped(what), suggestion);
}

int Main(int argc, char** argv) {
  CLI::App app{kAbout, "troupe"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "troupe " TROUPE_VERSION);
  app.get_formatter()->column_width(34);
  std::function<int()> action;
  RunOptions run;
  WorkerCommand worker;
  WorkflowFlags flags;
  StateOptions state;
  KeygenOptions keygen;
  BenchOptions bench;
  CoordinatorCommand coordinator;
  SubmitOptions submit;
  FleetFlags fleet;
  SimulateOptions simulate;
  AddRun(app, run, action);
  AddWorkflowCommands(app, flags, action);
  AddStateCommands(app, state, action);
  AddRetry(app.add_subcommand("retry", "run the dead letters of a run again"), run, state, action);
  AddDeadLetters(app, state, run, action);
  AddCoordinator(app, coordinator, action);
  AddWorker(app, worker, action);
  AddKeygen(app, keygen, action);
  AddBench(app, bench, action);
  AddSubmit(app, submit, action);
  AddFleetCommands(app, fleet, action);
  AddSimulate(app, simulate, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // Help or the version.
    Say(argc < 2 ? app.help() : Complaint(app, argv[1], error.what()));
    return kExitBadRequest;
  }
  const int code = action();
  return AllPrinted() || code != kExitOk ? code : kExitBadRequest;
}

// Descriptors 0 to 2 are there, whatever the caller left open: else the store's files would get
// them, and what we say.
void OpenStandardDescriptors() {
  int fd = 0;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= 2);
  if (fd > 2) close(fd);
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
  troupe::OpenStandardDescriptors();
  return troupe::Main(argc, argv);
}
