// Tasks that are made of others: conditions, parents of subtasks, loops and their iterations.
#include <fmt/format.h>

#include <algorithm>

#include "coordinator/live_run.h"

namespace troupe {
namespace {

constexpr std::uint32_t kIterationsMax = 10'000'000;  // Of a run.
// So many iterations of a loop are made ahead of their start; placing makes more.
constexpr std::uint32_t kReadyMax = 64;

bool IsIn(AskedStatus asked, TaskState state) {
  switch (asked) {
    case AskedStatus::Completed:
      return state == TaskState::Completed;
    case AskedStatus::Failed:
      return state == TaskState::Failed;
    case AskedStatus::Skipped:
      return state == TaskState::Skipped;
    case AskedStatus::Pending:
      return state == TaskState::Pending || state == TaskState::Ready;
    case AskedStatus::Running:
      return state == TaskState::Running || state == TaskState::Waiting;
  }
  return false;
}

std::uint32_t CountOf(const Loop& loop) {
  if (loop.source == Loop::Source::Inline) return static_cast<std::uint32_t>(loop.items.size());
  const std::int64_t distance = loop.step > 0 ? loop.end - loop.start : loop.start - loop.end;
  const std::int64_t step = loop.step > 0 ? loop.step : -loop.step;
  return distance <= 0 ? 0 : static_cast<std::uint32_t>((distance - 1) / step + 1);
}

}  // namespace

bool LiveRun::Holds(const Condition& condition) const {
  const auto holds = [&](const Condition& part) { return Holds(part); };
  switch (condition.op) {
    case Condition::Op::Always:
      return true;
    case Condition::Op::Never:
      return false;
    case Condition::Op::TaskStatus:
      return IsIn(condition.status, tasks_[condition.task].record.state);
    case Condition::Op::StateEquals: {
      const auto it = state_.find(condition.key);
      return it != state_.end() && SameJson(it->second, condition.value_json);
    }
    case Condition::Op::StateExists:
      return state_.contains(condition.key);
    case Condition::Op::And:
      return std::all_of(condition.parts.begin(), condition.parts.end(), holds);
    case Condition::Op::Or:
      return std::any_of(condition.parts.begin(), condition.parts.end(), holds);
    case Condition::Op::Not:
      return !Holds(condition.parts[0]);
  }
  return false;
}

// All that the parent waits for has settled: its subtasks may start, or are skipped.
void LiveRun::EnterParent(std::uint32_t parent, Turn& turn) {
  const PlannedTask& planned = Planned(parent);
  TaskRecord& r = tasks_[parent].record;
  const auto open_gate = [&](bool good) {
    settled_.push_back({Settled::What::ParentGate, planned.extra->gate, good});
  };
  if (r.state == TaskState::Skipped) SkipSubtasks(parent, turn);  // Some may be new.
  if (r.state != TaskState::Pending) {
    open_gate(true);
    return;
  }
  if (!TakesTasks()) return;
  if (!planned.extra->asks.empty() && graph_.BadBesidesAsked(parent)) {
    open_gate(false);
    return;
  }
  if (planned.extra->condition != nullptr && !Holds(*planned.extra->condition)) {
    r.extra.Change().message = "its condition was false";
    Settle(parent, TaskState::Skipped, turn);
    SkipSubtasks(parent, turn);
  } else {
    r.state = TaskState::Running;
    r.first_started = turn.now;
    MarkTask(parent);
  }
  open_gate(true);
}

void LiveRun::SkipSubtasks(std::uint32_t parent, Turn& turn) {
  std::vector<std::uint32_t> open = Planned(parent).extra->subtasks;
  for (std::size_t i = 0; i < open.size(); ++i) {
    TaskRecord& r = tasks_[open[i]].record;
    const auto& below = Planned(open[i]).extra->subtasks;
    open.insert(open.end(), below.begin(), below.end());
    if (IsSettled(r.state)) continue;
    r.extra.Change().message = fmt::format("its parent \"{}\" was skipped", Planned(parent).id);
    Settle(open[i], TaskState::Skipped, turn);
  }
}

// All subtasks have settled.
void LiveRun::JoinParent(std::uint32_t parent, Turn& turn) {
  TaskRecord& r = tasks_[parent].record;
  if (IsSettled(r.state)) return;
  const std::vector<std::uint32_t>& subtasks = Planned(parent).extra->subtasks;
  const auto first_in = [&](TaskState state) {
    const auto it = std::find_if(subtasks.begin(), subtasks.end(), [&](std::uint32_t task) {
      return tasks_[task].record.state == state;
    });
    return it == subtasks.end() ? kNone : *it;
  };
  RunEvent event = Say(RunEvent::Kind::TaskCompleted, turn);
  event.task = Planned(parent).id;
  if (r.first_started != Instant{}) event.duration = turn.now - r.first_started;
  if (const std::uint32_t failed = first_in(TaskState::Failed); failed != kNone) {
    const TaskRecord& cause = tasks_[failed].record;
    r.failure = cause.failure;
    r.extra.Change().message =
        fmt::format("subtask \"{}\": {}", Planned(failed).id, cause.extra->message);
    event.kind = RunEvent::Kind::TaskFailed;
    event.failure = r.failure;
    event.message = r.extra->message;
    turn.effects.tell.push_back(std::move(event));
    Settle(parent, TaskState::Failed, turn);
  } else if (first_in(TaskState::Blocked) != kNone) {
    Settle(parent, TaskState::Blocked, turn);
  } else if (first_in(TaskState::Cancelled) != kNone) {
    Settle(parent, TaskState::Cancelled, turn);
  } else {
    KeepJoined(parent);
    Notice(parent, ResultOf(parent));
    event.message = r.extra->notice;
    turn.effects.tell.push_back(std::move(event));
    Settle(parent, TaskState::Completed, turn);
  }
}

void LiveRun::BeginLoop(std::uint32_t loop, Turn& turn) {
  const Loop& rules = *Planned(loop).extra->loop;
  if (rules.source == Loop::Source::File) {
    MakeReady(loop, turn);  // An attempt reads it.
  } else {
    Expand(loop, CountOf(rules), {}, turn);
  }
}

// The loop's items are known.
void LiveRun::Expand(std::uint32_t loop, std::uint32_t count, std::vector<std::string> items,
                     Turn& turn) {
  TaskRecord& r = tasks_[loop].record;
  std::uint64_t all = count;
  for (const auto& [index, other] : loops_) all += tasks_[index].record.iterations;
  if (all > kIterationsMax) {
    r.extra.Change().message = fmt::format(
        "with the {} iterations of this loop the run would have {}; the limit "
        "is {}",
        count, all, kIterationsMax);
    Setback(loop, FailureClass::InvalidRequest, {}, turn);
    return;
  }
  r.state = TaskState::Running;
  r.joins = true;
  r.first_iteration = next_id_;
  r.iterations = count;
  if (r.first_started == Instant{}) r.first_started = turn.now;
  next_id_ += count;
  record_.tasks += count;
  record_.tasks -= 1;
  run_dirty_ = true;
  MarkTask(loop);
  if (count > 0) loop_at_[r.first_iteration] = loop;
  LiveLoop& live = loops_[loop];
  live.items = std::move(items);
  live.closed = !TakesTasks();
  MakeIterations(loop, turn);
  FinishLoop(loop, turn);
}

std::uint32_t LiveRun::AddIteration(std::uint32_t loop, std::uint32_t iteration) {
  const std::uint32_t index = size();
  const TaskId id{tasks_[loop].record.first_iteration + iteration};
  LiveTask& task = tasks_.emplace_back();
  task.planned = loop;
  task.iteration = iteration;
  task.record.run = record_.id;
  task.record.task = id;
  LiveLoop& live = loops_.at(loop);
  if (live.made.size() <= iteration) live.made.resize(iteration + 1, kNone);
  live.made[iteration] = index;
  ++live.made_count;
  return index;
}

// Makes the next iterations ready, as many as may begin.
void LiveRun::MakeIterations(std::uint32_t loop, Turn& turn) {
  const TaskRecord& r = tasks_[loop].record;
  LiveLoop& live = loops_.at(loop);
  // A redrive may have put back what the loop depends on: it waits for that once more.
  if (IsSettled(r.state) || graph_.waits(loop) > 0) return;
  const Loop& rules = *Planned(loop).extra->loop;
  const std::uint32_t open_max = rules.parallel ? rules.max_parallel : 1;
  while (!live.closed && live.next < r.iterations && live.open < open_max &&
         live.ready < kReadyMax) {
    const std::uint32_t iteration = live.next++;
    const std::uint32_t made = live.Made(iteration);
    // After a restart some have begun; after a redrive some are to begin again.
    if (made != kNone && tasks_[made].record.state != TaskState::Pending) {
      continue;
    }
    const std::uint32_t task = made == kNone ? AddIteration(loop, iteration) : made;
    ++live.open;
    MakeReady(task, turn);
  }
}

void LiveRun::IterationSettled(std::uint32_t task, TaskState state, Turn& turn) {
  const std::uint32_t loop = tasks_[task].planned;
  LiveLoop& live = loops_.at(loop);
  --live.open;
  if (state == TaskState::Cancelled) ++live.cancelled;
  if (state == TaskState::Failed && live.failed++ == 0) {
    TaskRecord& r = tasks_[loop].record;
    r.failure = tasks_[task].record.failure;
    r.extra.Change().message =
        fmt::format("iteration {}: {}", tasks_[task].iteration, tasks_[task].record.extra->message);
    MarkTask(loop);
  }
  MakeIterations(loop, turn);
  FinishLoop(loop, turn);
}

// Settles the loop if all its iterations are.
void LiveRun::FinishLoop(std::uint32_t loop, Turn& turn) {
  TaskRecord& r = tasks_[loop].record;
  const LiveLoop& live = loops_.at(loop);
  if (IsSettled(r.state) || live.open > 0) return;
  if (!live.closed && live.next < r.iterations) return;
  RunEvent event = Say(RunEvent::Kind::TaskCompleted, turn);
  event.task = Planned(loop).id;
  event.duration = turn.now - r.first_started;
  if (live.failed > 0) {
    event.kind = RunEvent::Kind::TaskFailed;
    event.failure = r.failure;
    event.message =
        fmt::format("{} of {} iterations failed; {}", live.failed, r.iterations, r.extra->message);
    turn.effects.tell.push_back(std::move(event));
    Settle(loop, TaskState::Failed, turn);
  } else if (live.cancelled > 0 || live.made_count < r.iterations) {
    Settle(loop, TaskState::Cancelled, turn);
  } else {
    KeepJoined(loop);
    Notice(loop, ResultOf(loop));
    event.message = r.extra->notice;
    turn.effects.tell.push_back(std::move(event));
    Settle(loop, TaskState::Completed, turn);
  }
}

std::string LiveRun::ItemOf(std::uint32_t loop, std::uint32_t iteration) const {
  const Loop& rules = *Planned(loop).extra->loop;
  switch (rules.source) {
    case Loop::Source::Inline:
      return rules.items[iteration];
    case Loop::Source::Range:
      return fmt::format("{}", rules.start + rules.step * std::int64_t{iteration});
    case Loop::Source::File:
      break;
  }
  const std::vector<std::string>& items = loops_.at(loop).items;
  return iteration < items.size() ? items[iteration] : "null";
}

// What a parent or a loop leaves to others: the outputs of its parts, if anybody asks for them.
void LiveRun::KeepJoined(std::uint32_t task) {
  if (!Planned(task).referenced) return;
  TaskResult joined;
  if (Planned(task).kind == TaskKind::Parent) {
    for (std::uint32_t subtask : Planned(task).extra->subtasks) {
      const TaskRecord& r = tasks_[subtask].record;
      if (r.joins && r.state == TaskState::Completed && ResultOf(subtask) == nullptr) {
        KeepJoined(subtask);  // A restart finds them in any order.
      }
      const TaskResult* result = ResultOf(subtask);
      if (result == nullptr || result->output.empty()) continue;
      joined.output += (joined.output.empty() ? "" : "\n\n") + result->output;
    }
  } else {
    joined.output = "[";
    const LiveLoop& live = loops_.at(task);
    for (std::uint32_t i = 0; i < tasks_[task].record.iterations; ++i) {
      if (i > 0) joined.output += ',';
      const std::uint32_t made = live.Made(i);
      const TaskResult* result = made == kNone ? nullptr : ResultOf(made);
      if (result == nullptr) {
        joined.output += "null";
      } else if (result->result_json.empty() || result->result_json == "null") {
        joined.output += JsonText(result->output);
      } else {
        joined.output += result->result_json;
      }
    }
    joined.output += ']';
    joined.result_json = joined.output;
  }
  results_[task] = std::move(joined);
}

LiveRun::LoopCounts LiveRun::Iterations(std::uint32_t loop) const {
  const auto it = loops_.find(loop);
  if (it == loops_.end()) return {};
  LoopCounts counts{.all = tasks_[loop].record.iterations, .open = it->second.open};
  for (const std::uint32_t task : it->second.made) {
    counts.settled += task != kNone && IsSettled(tasks_[task].record.state) ? 1 : 0;
  }
  return counts;
}

}  // namespace troupe
