// Turns that have ended and are still on their way to the disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "storage/memory_checkpoint_store.h"
#include "tests/coordinator/daemon_fixture.h"
#include "tests/coordinator/plans.h"

namespace troupe {
namespace {

using testing::SizeIs;

// Its commits wait while it is closed, and fail when they are told to.
class GatedStore final : public MemoryCheckpointStore {
 public:
  Status Commit(const Batch& batch) override {
    std::unique_lock lock(mutex_);
    ++asked_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
    if (fails_) return Error{ErrorCode::Io, "the disk is gone"};
    return MemoryCheckpointStore::Commit(batch);
  }
  void Close() { Set(false, false); }
  void Open() { Set(true, false); }
  void Break() { Set(true, true); }
  bool open() {
    const std::lock_guard lock(mutex_);
    return open_;
  }
  int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void Set(bool open, bool fails) {
    const std::lock_guard lock(mutex_);
    open_ = open;
    fails_ = fails;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  bool fails_ = false;
  int asked_ = 0;
};

// A run of more tasks than a turn commits by itself, and the worker for them.
class Landing : public CoordinatorDaemonTest {
 protected:
  static constexpr std::uint32_t kTasks = 200;

  Landing() {
    auto router = RouterEndpoint::Bind("ipc://" + (directory.path() / "gated").string());
    CHECK(router.has_value());
    endpoints = router->endpoints();
    daemon = std::make_unique<CoordinatorDaemon>(
        *std::move(router), gated, CoordinatorOptions{}, RunId{1},
        [this](const RunEvent& event) { told.push_back(event.kind); });
    PlanMaker maker;
    for (std::uint32_t i = 0; i < kTasks; ++i) maker.Task("t" + std::to_string(i));
    CHECK(daemon->Do(SubmitRun{.plan = maker.Share()}).has_value());
    told.clear();
  }
  ~Landing() override {
    gated.Open();
    daemon.reset();  // Before its store.
  }
  static Hello HelloWith(const std::string& worker, std::uint32_t slots) {
    Hello hello = HelloOf(worker);
    hello.slots = slots;
    hello.providers = {"command"};
    return hello;
  }
  // The worker comes; its tasks are placed in a turn that is then on its way.
  void Join(DealerEndpoint& dealer, std::uint32_t slots = kTasks) {
    const int before = gated.asked();
    Say(dealer, HelloWith("w1", slots));
    for (int tries = 0; tries < 1'000 && gated.asked() == before; ++tries) Turn(dealer);
    ASSERT_GT(gated.asked(), before);
  }
  std::size_t Dispatched(DealerEndpoint& dealer) {
    std::size_t attempts = 0;
    EXPECT_TRUE(Await(dealer, [&](const FromCoordinator& message) {
      if (const auto* dispatch = std::get_if<Dispatch>(&message))
        attempts += dispatch->specs.size();
      return attempts == kTasks;
    }));
    return attempts;
  }

  GatedStore gated;
  std::vector<RunEvent::Kind> told;
};

TEST_F(Landing, NothingLeavesBeforeItHasLanded) {
  DealerEndpoint dealer = ConnectLocal(PeerOfWorker("w1", 1));
  gated.Close();
  Join(dealer);

  for (int i = 0; i < 20; ++i) {
    Say(dealer, Heartbeat{});
    Turn(dealer);
    ASSERT_FALSE(dealer.Receive());
  }
  EXPECT_THAT(told, SizeIs(0));

  gated.Open();
  EXPECT_EQ(Dispatched(dealer), kTasks);
  EXPECT_THAT(gated.Load(RunId{1})->tasks, SizeIs(kTasks));
}

TEST_F(Landing, BehindACommitThatFailedNothingLeavesAndTheLoopEnds) {
  DealerEndpoint dealer = ConnectLocal(PeerOfWorker("w1", 1));
  gated.Close();
  Join(dealer, kTasks / 2);
  DealerEndpoint other = ConnectLocal(PeerOfWorker("w2", 1));
  Say(other, HelloWith("w2", kTasks / 2));  // A turn behind it.
  while (daemon->coordinator().pool().all().size() < 2) Turn(other);
  const int asked = gated.asked();

  gated.Break();
  Status turned;
  std::vector<WaitFd> none;
  for (int i = 0; i < 1'000 && turned; ++i)
    turned = daemon->Turn(none, std::chrono::milliseconds(2));

  ASSERT_FALSE(turned);
  EXPECT_FALSE(daemon->Land());  // The one behind it has had its chance.
  EXPECT_EQ(turned.error().message, "the disk is gone");
  EXPECT_EQ(gated.asked(), asked);
  EXPECT_FALSE(dealer.Receive());
  EXPECT_FALSE(other.Receive());
  EXPECT_THAT(gated.Load(RunId{1})->tasks, SizeIs(0));
}

// Else somebody could be told of a run that a crash would undo.
TEST_F(Landing, AQuestionIsAnsweredByWhatHasLanded) {
  daemon->Serve(*store, directory.path() / "db", 1);
  DealerEndpoint dealer = ConnectLocal(PeerOfWorker("w1", 1));
  Join(dealer, 2 * kTasks);
  ASSERT_EQ(Dispatched(dealer), kTasks);
  DealerEndpoint client = ConnectLocal(PeerOfClient(1));
  ClientSubmit submit{
      .request = 1,
      .text =
          "name: f\ntasks: {t: {command: 'true', loop: {type: for_each, iterator: i, "
          "parallel: true, collection: {source: range, start: 0, end: 100}}}}\n",
      .file = "f.yaml",
      .run_dir = "/",
      .key = "k"};
  gated.Close();
  const int asked = gated.asked();
  Say(client, submit);
  for (int tries = 0; tries < 1'000 && gated.asked() == asked; ++tries) Turn(client);
  ASSERT_GT(gated.asked(), asked);
  std::thread opens([this] {  // The pause is for code that does not wait to be caught.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    gated.Open();
  });

  submit.request = 2;
  Say(client, submit);
  bool open = false;
  const auto reply = Await(client, [&](const FromCoordinator&) {
    open = gated.open();
    return true;
  });

  opens.join();
  EXPECT_TRUE(reply);
  EXPECT_TRUE(open);
}

}  // namespace
}  // namespace troupe
