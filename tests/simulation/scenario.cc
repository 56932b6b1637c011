#include "tests/simulation/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "coordinator/advance.h"
#include "coordinator/explain.h"
#include "coordinator/resume.h"
#include "simulation/checkers.h"
#include "simulation/disk.h"
#include "simulation/ledger.h"
#include "simulation/machine.h"
#include "tests/simulation/effect_lines.h"
#include "workflow/compile.h"

namespace troupe {
namespace {

constexpr Duration kNoEnd = std::chrono::hours(24 * 365 * 10);  // Until the story says how it ends.

// An event's words; those with a "=" are its options.
struct Line {
  std::vector<std::string> words = {};
  std::map<std::string, std::string> options = {};

  explicit Line(const std::string& text) {
    std::istringstream in(text);
    for (std::string word; in >> word;) {
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) {
        words.push_back(word);
      } else {
        options[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
  }
  const std::string& At(std::size_t i) const {
    static const std::string kNothing;
    return i < words.size() ? words[i] : kNothing;
  }
  std::string Option(const std::string& name, const std::string& otherwise = "") const {
    const auto it = options.find(name);
    return it == options.end() ? otherwise : it->second;
  }
  std::string From(std::size_t first) const {
    std::string text;
    for (std::size_t i = first; i < words.size(); ++i) text += (i == first ? "" : " ") + words[i];
    return text;
  }
};

// "30s", "+1h", "500ms"; nothing if it is none.
std::optional<Duration> ReadTime(const std::string& text) {
  static const std::map<std::string, std::int64_t> kUnits = {
      {"ms", 1'000}, {"s", 1'000'000}, {"m", 60'000'000}, {"h", 3'600'000'000}};
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(begin, text.data() + text.size(), number);
  const auto unit = kUnits.find(rest);
  if (error != std::errc() || unit == kUnits.end()) return std::nullopt;
  return Duration(number * unit->second);
}

class Scenario {
 public:
  explicit Scenario(std::shared_ptr<const Plan> plan) : plan_(std::move(plan)) {
    disk_.on_landed = [this](const Batch& batch) {
      static const std::vector<RunEvent> kNothing;
      checkers_.OnLanded(batch, landing_ == nullptr ? kNothing : landing_->tell, CoordinatorNow());
      lines_.Landed(batch);
    };
    around_.model = [](const AttemptSpec&) { return AttemptModel{.takes = kNoEnd}; };
    around_.send = [this](Machine& m, ToCoordinator message) {
      if (!silent_.contains(m.name())) up_.push_back({m.peer(), std::move(message)});
    };
    around_.end_at = [this](Machine& m, const AttemptId& id, Instant at) {
      if (at < now_ + kNoEnd) ends_.emplace(at, std::pair{&m, id});
    };
    around_.began = [this](Machine& m, const AttemptSpec& s) { checkers_.OnBegan(m, s, now_); };
    around_.ended = [this](Machine& m, const AttemptOutcome& o) { checkers_.OnEnded(m, o); };
    around_.forgot = [this](Machine& m, const AttemptId& id, bool lost) {
      checkers_.OnForgot(m, id, lost);
    };
    around_.dies_here = [] { return false; };
    StartCoordinator();
  }

  // What the event leads to, a line each. Invalid if it cannot happen.
  Result<std::vector<std::string>> Happen(const Line& line) {
    lines_.Begin(CoordinatorNow());
    const Status done = line.At(0).empty() ? Wrong("no event") : Do(line);
    if (!done) return done.error();
    Pass(now_);
    if (judge_.failed()) {
      Show("BROKEN: " + judge_.violation()->checker + ": " + judge_.violation()->what);
    }
    return lines_.lines();
  }

 private:
  static Status Wrong(const std::string& why) { return Error{ErrorCode::Invalid, why}; }

  Status Do(const Line& line) {
    const std::string& what = line.At(0);
    if (what == "after") {
      const std::optional<Duration> time = ReadTime(line.At(1));
      if (!time) return Wrong("\"" + line.At(1) + "\" is no time");
      Pass(now_ + *time);
      return {};
    }
    if (what == "coordinator") return DoCoordinator(line);
    if (what == "commit") return DoCommit(line.At(1));
    for (Machine& machine : machines_) {
      if (machine.name() == what) return DoWorker(machine, line);
    }
    if (line.At(1) == "joins") return Join(line);
    if (coordinator_ == nullptr || hangs_) return Wrong("the coordinator does not answer");
    return DoOperator(line);
  }

  Status DoOperator(const Line& line) {
    const std::string& what = line.At(0);
    const auto command = [this](CommandKind kind) {
      Step(PeerSpoke{"client", ClientCommand{.request = 1, .kind = kind, .run = run_}});
    };
    if (what == "submit") {
      Submit(line.Option("key", fmt::format("key {}", ++submits_)));
    } else if (what == "cancel") {
      command(CommandKind::Cancel);
    } else if (what == "pause" && line.At(1) == "stop") {
      Step(PauseRun{run_, true});
    } else if (what == "pause") {
      command(CommandKind::Pause);
    } else if (what == "resume") {
      command(CommandKind::Resume);
    } else if (what == "redrive") {
      Redrive({line.words.begin() + 1, line.words.end()});
    } else if (what == "discard") {
      Discard({line.words.begin() + 1, line.words.end()});
    } else if (what == "why") {
      return Why(line.From(1));
    } else {
      return Wrong("\"" + line.From(0) + "\" is no event");
    }
    return {};
  }

  Status DoCoordinator(const Line& line) {
    const std::string what = line.From(1);
    const std::optional<Duration> jump = ReadTime(line.Option("clock", "0s"));
    if (!jump) return Wrong("\"" + line.Option("clock") + "\" is no time");
    if (what == "goes on" && hangs_) {
      hangs_ = false;
      if (wake_at_ <= CoordinatorNow()) Step(Tick{});
    } else if (what == "starts" && coordinator_ == nullptr) {
      shift_ += *jump;
      StartCoordinator();
    } else if (what == "stops" && coordinator_ != nullptr) {
      StopCoordinator();
    } else if (what == "restarts" && coordinator_ != nullptr) {
      StopCoordinator();
      shift_ += *jump;
      StartCoordinator();
    } else if (what == "hangs" && coordinator_ != nullptr) {
      hangs_ = true;
    } else {
      return Wrong("the coordinator cannot do that now");
    }
    return {};
  }

  Status DoCommit(const std::string& how) {
    if (how != "fails" && how != "lies" && how != "full") return Wrong("a commit fails how?");
    disk_.Set(how == "fails"  ? SimulatedDisk::Next::Fails
              : how == "lies" ? SimulatedDisk::Next::Lies
                              : SimulatedDisk::Next::Full);
    return {};
  }

  Status Join(const Line& line) {
    WorkerOptions options;
    options.name = line.At(0);
    options.slots = static_cast<std::uint32_t>(std::stoul(line.Option("slots", "1")));
    std::istringstream labels(line.Option("labels"));
    for (std::string label; std::getline(labels, label, ',');) options.labels.push_back(label);
    machines_.emplace_back(options, around_, dice_).Start(now_);
    return {};
  }

  Status DoWorker(Machine& worker, const Line& line) {
    const std::string& what = line.At(1);
    const bool restarts = what == "restarts" || what == "reboots" || what == "vanishes";
    if (what == "ends" || what == "fails") return End(worker, line);
    if (what == "has") {
      for (const auto& [id, attempt] : worker.spool()) {
        Show(lines_.NameOf(id) + (attempt.outcome ? ", ended" : ", running"));
      }
      return {};
    }
    if (what == "starts" && !worker.up()) {
      worker.Start(now_);
    } else if (!worker.up()) {
      return Wrong(worker.name() + " is down");
    } else if (what == "stops" || restarts) {
      worker.Kill();
      if (what == "reboots") worker.Reboot(now_);
      if (what == "vanishes") worker.Lose();
      if (what == "restarts") worker.Start(now_);
    } else if (what == "leaves") {
      worker.Leave(now_);
    } else if (what == "falls") {
      silent_.insert(worker.name());
    } else if (what == "speaks") {
      silent_.erase(worker.name());
    } else if (what == "drains" || what == "takes") {
      Step(PeerSpoke{"client",
                     ClientDrain{.request = 1, .worker = worker.name(), .on = what == "drains"}});
    } else if (what == "misses") {
      misses_.insert(worker.name());
    } else if (what == "hears" && last_order_.contains(worker.name())) {
      down_.push_back({worker.peer(), last_order_.at(worker.name())});
    } else {
      return Wrong("\"" + line.From(0) + "\" is no event");
    }
    return {};
  }

  Status End(Machine& worker, const Line& line) {
    const auto& spool = worker.spool();
    const auto it = std::find_if(spool.begin(), spool.end(), [&](const auto& entry) {
      return !entry.second.outcome && lines_.NameOf(entry.first) == line.At(2);
    });
    if (it == spool.end()) return Wrong(worker.name() + " does not run " + line.At(2));
    AttemptModel model{.output = line.Option("output"), .result_json = line.Option("result")};
    if (line.At(1) == "fails") {
      model.failure = FailureClassFromName(line.At(3));
      if (!model.failure) return Wrong("\"" + line.At(3) + "\" is no class of failures");
      model.message = "told so";
      model.retry_after = ReadTime(line.Option("retry_after", "0s")).value_or(Duration{});
    }
    worker.EndAs(it->first, std::move(model), now_);
    return {};
  }

  void StartCoordinator() {
    const RunId next{disk_.LastRun()->value + 1};
    coordinator_ = std::make_unique<Coordinator>(CoordinatorOptions{.seed = 1}, next);
    for (const RunRecord& run : *disk_.Runs()) {
      coordinator_->KnowKey(run.key, run.id);
      if (IsFinal(run.state)) continue;
      coordinator_->Restore(Load(run.id), false, CoordinatorNow(), effects_);
    }
    EndTurn();
  }

  void StopCoordinator() {
    coordinator_.reset();
    effects_ = {};
    wake_at_ = kNever;
    hangs_ = false;
    up_.clear();
  }

  Resumable Load(RunId run) const {
    Resumable saved{.checkpoint = *disk_.Load(run), .plan = plan_};
    saved.outcomes = *LoadOutcomes(disk_, saved.checkpoint, *saved.plan);
    return saved;
  }

  void Submit(const std::string& key) {
    ledger_.KnowPlan(key, plan_);
    SubmitRun submit{.plan = plan_};
    submit.draft.workflow_name = plan_->name;
    submit.draft.run_dir = "/";
    submit.draft.key = key;
    Step(submit);
  }

  void Redrive(const std::vector<std::string>& tasks) {
    const Result<Reworked> redriven = troupe::Redrive(disk_, Load(run_), tasks);
    if (!redriven) return Show("refused: " + redriven.error().message);
    checkers_.Redriving(run_);
    CHECK(disk_.Commit(redriven->save));
    coordinator_->Restore(redriven->run, false, CoordinatorNow(), effects_);
    EndTurn();
  }

  void Discard(const std::vector<std::string>& tasks) {
    const Result<Batch> batch = DiscardDeadLetters(Load(run_), tasks);
    if (!batch) return Show("refused: " + batch.error().message);
    checkers_.Redriving(run_);
    CHECK(disk_.Commit(*batch));
  }

  Status Why(const std::string& name) {
    const LiveRun* live = coordinator_->Find(run_);
    if (live == nullptr) return Wrong("the run has ended");
    for (const std::uint32_t task : live->InOrder()) {
      if (live->FullId(task) != name) continue;
      Show(Explain(*live, task, true, CoordinatorNow(), &coordinator_->pool()));
      return {};
    }
    return Wrong("there is no task " + name);
  }

  void Show(const std::string& line) { lines_.Show(line); }

  void Step(const Event& event) {
    coordinator_->Step(event, CoordinatorNow(), effects_);
    EndTurn();
  }

  void EndTurn() {
    Effects effects = std::exchange(effects_, {});
    lines_.BeginTurn(CoordinatorNow());
    landing_ = &effects;
    const Status done =
        Advance(*coordinator_, disk_, CoordinatorNow(), effects, [&](const Outgoing& outgoing) {
          checkers_.OnSend(outgoing, now_);
          Send(outgoing);
        });
    if (done && effects.save.empty()) checkers_.OnLanded({}, effects.tell, CoordinatorNow());
    landing_ = nullptr;
    if (!effects.save.empty()) disk_.Set(SimulatedDisk::Next::Lands);
    if (!done) {
      Show("the coordinator ends: " + done.error().message);
      return StopCoordinator();
    }
    for (const SubmitReply& reply : effects.replies) {
      run_ = reply.run;
      Show(fmt::format("{} run {}", reply.existed ? "it is" : "accepted as", reply.run.value));
    }
    for (const RunEvent& event : effects.tell) lines_.Told(event);
    lines_.WakesFor(*coordinator_);
    wake_at_ = effects.wake_at;
    checkers_.OnTurn(*coordinator_, disk_, CoordinatorNow(), effects.wake_at);
  }

  // --- time and the network ---

  Instant CoordinatorNow() const { return now_ + shift_; }

  // All that can happen without time passing. The coordinator is the faster one.
  void Settle() {
    while (!judge_.failed()) {
      if (!up_.empty() && !hangs_) {
        PeerSpoke spoke = std::move(up_.front());
        up_.pop_front();
        if (coordinator_ != nullptr) Step(spoke);
      } else if (!down_.empty()) {
        const Outgoing outgoing = std::move(down_.front());
        down_.pop_front();
        for (Machine& m : machines_) {
          if (m.up() && m.peer() == outgoing.peer) m.Hear(outgoing.message, now_);
        }
      } else if (!ends_.empty() && ends_.begin()->first <= now_) {
        const auto [machine, id] = ends_.begin()->second;
        ends_.erase(ends_.begin());
        machine->End(id, now_);
      } else {
        break;
      }
    }
    checkers_.OnTime(now_, machines_);
  }

  // And what is overdue.
  void Pass(Instant until) {
    for (;;) {
      Settle();
      Instant next = ends_.empty() ? kNever : ends_.begin()->first;
      Machine* first = nullptr;
      for (Machine& machine : machines_) {
        if (!machine.up() || machine.wake_at() >= next) continue;
        next = machine.wake_at();
        first = &machine;
      }
      const bool ours = coordinator_ != nullptr && !hangs_ && wake_at_ - shift_ <= next;
      if (ours) next = wake_at_ - shift_;
      if (next > until || judge_.failed()) break;
      now_ = std::max(now_, next);
      if (ours) {
        Step(Tick{});
      } else if (first != nullptr) {
        first->Wake(now_);
      }
    }
    now_ = until;
  }

  void Send(const Outgoing& outgoing) {
    const std::string worker = outgoing.peer.substr(0, outgoing.peer.find('/'));
    const FromCoordinator& message = outgoing.message;
    const bool order =
        std::holds_alternative<Dispatch>(message) || std::holds_alternative<Stop>(message);
    const bool lost = silent_.contains(worker) || (order && misses_.erase(worker) > 0);
    lines_.Sent(worker, message, lost);
    if (order) last_order_[worker] = message;
    if (!lost) down_.push_back(outgoing);
  }

  std::shared_ptr<const Plan> plan_;
  Instant start_ = Instant{} + std::chrono::hours(1'000);
  Instant now_ = start_;
  Duration shift_{};  // Of the coordinator's clock.
  Dice dice_{1};
  SimulatedDisk disk_;
  std::unique_ptr<Coordinator> coordinator_;
  bool hangs_ = false;
  Effects effects_;                   // Of the open turn.
  const Effects* landing_ = nullptr;  // Of the turn that is being carried out.
  Instant wake_at_ = kNever;
  RunId run_{};  // The latest.
  std::uint32_t submits_ = 0;

  Machine::Surroundings around_;
  std::deque<Machine> machines_;
  std::multimap<Instant, std::pair<Machine*, AttemptId>> ends_;
  std::deque<PeerSpoke> up_;
  std::deque<Outgoing> down_;
  std::set<std::string> silent_;
  std::set<std::string> misses_;
  std::map<std::string, FromCoordinator> last_order_;

  Judge judge_;
  Ledger ledger_;
  Checkers checkers_{judge_, ledger_, 1, std::chrono::seconds(400)};

  EffectLines lines_{ledger_, start_};
};

}  // namespace

Result<std::string> PlayScenario(const std::string& text) {
  constexpr std::string_view kRule = "\n---\n";
  const std::size_t rule = text.find(kRule);
  if (rule == std::string::npos) return Error{ErrorCode::Invalid, "1: a line --- is missing"};
  const Compiled compiled = CompileWorkflow(text.substr(0, rule), {});
  if (compiled.plan == nullptr) {
    return Error{ErrorCode::Invalid, FormatProblems("the workflow", compiled.problems)};
  }
  Scenario scenario(compiled.plan);
  std::string played = text.substr(0, rule + kRule.size());
  auto number = static_cast<std::size_t>(std::count(played.begin(), played.end(), '\n'));
  std::istringstream rest(text.substr(rule + kRule.size()));
  for (std::string line; std::getline(rest, line);) {
    ++number;
    if (line.starts_with(' ')) continue;
    played += line + "\n";
    if (line.empty() || line.starts_with('#')) continue;
    const Result<std::vector<std::string>> effects = scenario.Happen(Line(line));
    if (!effects) {
      return Error{ErrorCode::Invalid,
                   fmt::format("{}: {}; so far:\n{}", number, effects.error().message, played)};
    }
    for (const std::string& effect : *effects) played += "    " + effect + "\n";
  }
  return played;
}

}  // namespace troupe
