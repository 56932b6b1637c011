// A stored run goes on other than it stood: with a changed workflow, or with its dead letters
// redriven. Both put tasks back to pending, and what they are part of with them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator/resume.h"
#include "coordinator/task_table.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

// What a task that runs again keeps: its numbers.
TaskRecord Fresh(const TaskRecord& old) {
  TaskRecord fresh;
  fresh.run = old.run;
  fresh.task = old.task;
  fresh.attempts = old.attempts;
  fresh.attempts_by_step = old.attempts_by_step;
  if (!old.extra->lost_attempts.empty()) {
    fresh.extra.Change().lost_attempts = old.extra->lost_attempts;
  }
  return fresh;
}

// Rebuilds the records of a run under a plan.
class Rework {
 public:
  // What is to become of a task that never is a parent, and of a loop that has not expanded.
  enum class Fate : std::uint8_t { Keep, Again };

  Rework(const Checkpoint& checkpoint, const Plan& plan)
      : old_(checkpoint), plan_(plan), table_(checkpoint, plan) {}

  // `fate(record, entry)` is asked for each; `changed(record, entry)`: the task is not what it was.
  template <class FateOf, class Changed>
  void Decide(FateOf&& fate, Changed&& changed) {
    std::set<std::uint32_t> loops;  // Whose iterations stay theirs.
    for (const TaskRecord& task : old_.tasks) {
      const TaskTable::Entry entry = table_.Find(task.task);
      if (entry.planned == kNone || entry.iteration != kNone) continue;
      const PlannedTask& planned = plan_.tasks[entry.planned];
      if (planned.kind == TaskKind::Parent) {
        records_[task.task.value] =
            changed(task, entry) && task.state == TaskState::Skipped ? Fresh(task) : task;
      } else if (task.joins && planned.extra->loop != nullptr && !changed(task, entry)) {
        loops.insert(entry.planned);
        records_[task.task.value] = task;
      } else {
        Put(task, entry, fate(task, entry));
      }
    }
    for (const TaskRecord& task : old_.tasks) {
      const TaskTable::Entry entry = table_.Find(task.task);
      if (entry.iteration != kNone && loops.contains(entry.planned)) {
        Put(task, entry, fate(task, entry));
      }
    }
  }

  // Loops and parents of which something is open again are running again. `all`: also those of
  // which nothing is, so that how they ended is found anew.
  void Reopen(bool all) {
    for (const TaskRecord& task : old_.tasks) {
      const TaskTable::Entry entry = table_.Find(task.task);
      if (entry.planned == kNone || entry.iteration != kNone) continue;
      if (plan_.tasks[entry.planned].extra->loop == nullptr) continue;
      TaskRecord& loop = records_.at(task.task.value);
      if (loop.joins && loop.state != TaskState::Skipped && (all || IsOpen(loop))) Run(loop);
    }
    std::set<std::uint32_t> parents;
    for (std::uint32_t i = 0; i < plan_.tasks.size(); ++i) {
      const bool is_parent = plan_.tasks[i].kind == TaskKind::Parent;
      if (is_parent ? all : !IsSettled(StateOf(i))) {
        for (std::uint32_t p = is_parent ? i : plan_.tasks[i].parent; p != kNone;) {
          parents.insert(p);
          p = plan_.tasks[p].parent;
        }
      }
    }
    for (std::uint32_t parent : parents) {
      const auto it = records_.find(IdOf(parent));
      if (it == records_.end() || it->second.state == TaskState::Skipped) continue;
      if (it->second.first_started == Instant{}) {
        it->second = Fresh(it->second);
      } else {
        Run(it->second);
      }
    }
  }

  TaskState StateOf(std::uint32_t planned) const {
    const auto it = records_.find(IdOf(planned));
    return it == records_.end() ? TaskState::Pending : it->second.state;
  }
  const TaskTable& table() const { return table_; }
  const std::map<std::uint32_t, TaskRecord>& records() const { return records_; }

  // Everything into `reworked`, whose run record is set.
  void Finish(Reworked& reworked) const {
    Checkpoint& checkpoint = reworked.run.checkpoint;
    checkpoint.hooks = old_.hooks;
    checkpoint.agents = old_.agents;
    const auto by_id = [](const TaskRecord& task, std::uint32_t id) {
      return task.task.value < id;
    };
    for (const auto& [id, record] : records_) {
      checkpoint.tasks.push_back(record);
      const auto before = std::lower_bound(old_.tasks.begin(), old_.tasks.end(), id, by_id);
      if (*before != record) reworked.save.tasks.push_back(record);
    }
    reworked.kept = kept_;
    reworked.again = again_;
  }

 private:
  std::uint32_t IdOf(std::uint32_t planned) const {
    return old_.run.slots.empty() ? planned : old_.run.slots[planned];
  }

  void Put(const TaskRecord& task, const TaskTable::Entry& entry, Fate fate) {
    const bool keep = fate == Fate::Keep;
    records_[task.task.value] = keep ? task : Fresh(task);
    if (keep && IsSettled(task.state)) kept_.push_back(table_.FullId(entry));
    if (!keep && task.attempts > 0) again_.push_back(table_.FullId(entry));
  }

  // Is an iteration of it not settled, or not made yet?
  bool IsOpen(const TaskRecord& loop) const {
    for (std::uint32_t i = 0; i < loop.iterations; ++i) {
      const auto it = records_.find(loop.first_iteration + i);
      if (it == records_.end() || !IsSettled(it->second.state)) return true;
    }
    return false;
  }

  static void Run(TaskRecord& task) {
    task.state = TaskState::Running;
    task.ended = Instant{};
    task.failure.reset();
    if (task.extra) {
      task.extra.Change().message.clear();
      task.extra.Change().notice.clear();
    }
  }

  const Checkpoint& old_;
  const Plan& plan_;
  TaskTable table_;
  std::map<std::uint32_t, TaskRecord> records_;  // By TaskId.
  std::vector<std::string> kept_;
  std::vector<std::string> again_;
};

Result<Reworked> WithOutcomes(const CheckpointStore& store, Reworked reworked) {
  Result<std::vector<AttemptRecord>> outcomes =
      LoadOutcomes(store, reworked.run.checkpoint, *reworked.run.plan);
  if (!outcomes) return outcomes.error();
  reworked.run.outcomes = *std::move(outcomes);
  return reworked;
}

// The tasks that names mean: of all that are dead letters, those that a name or a part of its
// name's parent stands for. The entries' full ids.
Result<std::set<std::uint32_t>> FindDeadLetters(const Resumable& run,
                                                const std::vector<std::string>& names) {
  const Plan& plan = *run.plan;
  const TaskTable table(run.checkpoint, plan);
  std::set<std::uint32_t> found;
  std::map<std::string, bool> used;
  for (const std::string& name : names) used[name] = false;
  for (const TaskRecord& task : run.checkpoint.tasks) {
    const TaskTable::Entry entry = table.Find(task.task);
    if (entry.planned == kNone || !task.dead_letter) continue;
    bool wanted = names.empty();
    const auto ask = [&](const std::string& name) {
      const auto it = used.find(name);
      if (it == used.end()) return;
      it->second = true;
      wanted = true;
    };
    ask(table.FullId(entry));
    for (std::uint32_t i = entry.planned; i != kNone; i = plan.tasks[i].parent) {
      ask(plan.tasks[i].id);
    }
    if (wanted) found.insert(task.task.value);
  }
  std::vector<std::string_view> known;
  for (const PlannedTask& task : plan.tasks) known.push_back(task.id);
  for (const auto& [name, was_used] : used) {
    if (was_used) continue;
    const std::string loop = name.substr(0, name.find_last_of('['));
    if (std::find(known.begin(), known.end(), loop) != known.end()) {
      return Error{ErrorCode::Invalid, fmt::format("task \"{}\" of run {} is no dead letter", name,
                                                   run.checkpoint.run.id.value)};
    }
    const std::string near = DidYouMean(name, known);
    return Error{ErrorCode::NotFound,
                 fmt::format("run {} has no task \"{}\"{}", run.checkpoint.run.id.value, name,
                             near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near))};
  }
  return found;
}

// What still counts against the run: tasks that stay failed.
void CountFailures(const Rework& rework, const Plan& plan, RunRecord& run) {
  run.failures = 0;
  run.first_failure.clear();
  run.first_failure_stage.clear();
  Instant first = kNever;
  for (const auto& [id, task] : rework.records()) {
    if (task.state != TaskState::Failed || task.joins) continue;
    ++run.failures;
    if (task.ended >= first) continue;
    first = task.ended;
    const TaskTable::Entry entry = rework.table().Find(TaskId{id});
    run.first_failure = fmt::format("task \"{}\": {}: {}", rework.table().FullId(entry),
                                    task.failure ? Name(*task.failure) : "", task.extra->message);
    const std::uint32_t stage = plan.tasks[entry.planned].stage;
    run.first_failure_stage = stage == kNone ? "" : plan.stages[stage].name;
  }
}

// Stages that are complete as they stand and whose hooks began before.
std::vector<std::string> StagesDone(const Rework& rework, const Plan& plan,
                                    const std::vector<HookRecord>& hooks) {
  std::vector<std::string> done;
  for (const Stage& stage : plan.stages) {
    const bool complete =
        std::all_of(stage.tasks.begin(), stage.tasks.end(), [&](std::uint32_t task) {
          const TaskState s = rework.StateOf(task);
          return IsSettled(s) && s != TaskState::Blocked && s != TaskState::Cancelled;
        });
    const bool begun = std::any_of(hooks.begin(), hooks.end(), [&](const HookRecord& hook) {
      return hook.list == static_cast<std::uint8_t>(HookList::OnStageComplete) &&
             hook.stage == stage.name;
    });
    if (complete && begun) done.push_back(stage.name);
  }
  return done;
}

// Did the last pre_workflow hooks not come to their end?
bool PreHooksOpen(const Plan& plan, const std::vector<HookRecord>& hooks) {
  const auto& items = plan.hooks[static_cast<std::size_t>(HookList::PreWorkflow)];
  bool open = !items.empty();
  for (const HookRecord& hook : hooks) {
    if (hook.list != static_cast<std::uint8_t>(HookList::PreWorkflow)) continue;
    const bool must = hook.index < items.size() && items[hook.index].fail;
    open = hook.state == HookState::Cancelled || (hook.state == HookState::Failed && must);
  }
  return open;
}

}  // namespace

Result<Reworked> AcceptChanges(const CheckpointStore& store, const Resumable& old,
                               std::shared_ptr<const Plan> plan, const std::string& text) {
  const RunRecord& before = old.checkpoint.run;
  if (before.phase != RunPhase::PreHooks && before.phase != RunPhase::Tasks) {
    return Error{ErrorCode::Invalid,
                 fmt::format("all tasks of run {} have ended; changes to the workflow have no "
                             "effect on it any more. Start a new run",
                             before.id.value)};
  }
  const TaskTable table(old.checkpoint, *old.plan);
  std::map<std::string, std::uint32_t> id_of;  // Task name → TaskId, of the old plan.
  for (std::uint32_t i = 0; i < old.plan->tasks.size(); ++i) {
    id_of[old.plan->tasks[i].id] = before.slots.empty() ? i : before.slots[i];
  }
  Checkpoint moved = old.checkpoint;
  RunRecord& run = moved.run;
  std::uint32_t next = table.next_id();
  run.slots.clear();
  for (const PlannedTask& task : plan->tasks) {
    const auto it = id_of.find(task.id);
    run.slots.push_back(it == id_of.end() ? next++ : it->second);
  }
  run.aborting = false;

  Rework rework(moved, *plan);
  const auto changed = [&](const TaskRecord& task, const TaskTable::Entry& entry) {
    return task.fingerprint != plan->tasks[entry.planned].fingerprint;
  };
  rework.Decide(
      [&](const TaskRecord& task, const TaskTable::Entry& entry) {
        const bool done = task.state == TaskState::Completed || task.state == TaskState::Skipped;
        const bool going = task.state == TaskState::Running || task.state == TaskState::Waiting;
        const bool keep = (done || going) && !changed(task, entry);
        return keep ? Rework::Fate::Keep : Rework::Fate::Again;
      },
      changed);
  rework.Reopen(true);
  Reworked accepted;
  accepted.run.plan = plan;
  CountFailures(rework, *plan, run);
  accepted.run.checkpoint.run = run;
  accepted.run.checkpoint.workflow_text = text;
  rework.Finish(accepted);
  accepted.save.runs.push_back(run);
  accepted.save.texts.push_back({run.id, text});
  return WithOutcomes(store, std::move(accepted));
}

Result<Reworked> Redrive(const CheckpointStore& store, const Resumable& old,
                         const std::vector<std::string>& tasks) {
  RunRecord run = old.checkpoint.run;
  if (!IsFinal(run.state)) {
    return Error{
        ErrorCode::Invalid,
        fmt::format("run {} has not ended; only what has ended can be retried", run.id.value)};
  }
  if (run.state == RunState::Succeeded) {
    return Error{ErrorCode::Invalid,
                 fmt::format("run {} succeeded; there is nothing to retry", run.id.value)};
  }
  const Result<std::set<std::uint32_t>> letters = FindDeadLetters(old, tasks);
  if (!letters) return letters.error();
  Rework rework(old.checkpoint, *old.plan);
  rework.Decide(
      [&](const TaskRecord& task, const TaskTable::Entry&) {
        const bool again = letters->contains(task.task.value) || task.state == TaskState::Blocked ||
                           task.state == TaskState::Cancelled;
        return again ? Rework::Fate::Again : Rework::Fate::Keep;
      },
      [](const TaskRecord&, const TaskTable::Entry&) { return false; });
  rework.Reopen(false);
  run.state = RunState::Running;
  run.phase = PreHooksOpen(*old.plan, old.checkpoint.hooks) ? RunPhase::PreHooks : RunPhase::Tasks;
  ++run.round;
  run.aborting = false;
  run.cancelling = false;
  run.ended = Instant{};
  run.outputs_json.clear();
  run.retries_used = 0;
  run.stages_done = StagesDone(rework, *old.plan, old.checkpoint.hooks);
  CountFailures(rework, *old.plan, run);
  Reworked redriven;
  redriven.run.plan = old.plan;
  redriven.run.checkpoint.run = run;
  redriven.run.checkpoint.workflow_text = old.checkpoint.workflow_text;
  rework.Finish(redriven);
  redriven.save.runs.push_back(run);
  return WithOutcomes(store, std::move(redriven));
}

Result<Batch> DiscardDeadLetters(const Resumable& run, const std::vector<std::string>& tasks) {
  const Result<std::set<std::uint32_t>> letters = FindDeadLetters(run, tasks);
  if (!letters) return letters.error();
  Batch batch;
  for (const TaskRecord& task : run.checkpoint.tasks) {
    if (!letters->contains(task.task.value)) continue;
    batch.tasks.push_back(task);
    batch.tasks.back().dead_letter = false;
  }
  return batch;
}

}  // namespace troupe
