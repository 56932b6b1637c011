// A thread for work that would hold up the coordinator's loop: compiling a large workflow, reading
// a large run.
//
// A job runs on the thread and returns what is then to be done by the loop; nothing is shared but
// what the two hand over. The object belongs to the loop's thread. Its end waits for the job at
// hand.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace troupe {

class Background {
 public:
  using Done = std::function<void()>;
  using Job = std::function<Done()>;

  // `waiting_max`: how many jobs may wait.
  explicit Background(std::size_t waiting_max);
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background();

  // False: so many wait already that this one is not taken.
  bool Post(Job job);
  // Readable when something is to be done by the loop.
  int fd() const;
  // Does it.
  void RunDone();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace troupe
