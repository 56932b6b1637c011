// What the worker daemon and an attendant that it keeps say to each other: packets over a socket
// (AF_UNIX, SOCK_SEQPACKET) that is the attendant's standard input.
//
//   daemon     attend DIRECTORY   carry out the attempt there; only after the last one has ended
//              stop DIRECTORY     stop that attempt, if it has not ended
//   attendant  ended DIRECTORY    there is an outcome, and the lock is released
//
// When the daemon is gone, an attendant ends with its attempt. When an attendant is gone, the spool
// tells what became of its attempt.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

inline constexpr std::size_t kPacketBytesMax = 4096;

enum class OrderWord : char { Attend = 'a', Stop = 's', Ended = 'e' };

struct Packet {
  OrderWord word;
  std::string directory;
};

// False: the other end is gone. Does not wait.
bool SendPacket(int socket, OrderWord word, std::string_view directory);

// Does not wait. `closed`: the other end is gone. What is not understood is passed over.
struct Received {
  std::optional<Packet> packet = {};
  bool closed = false;
};
Received ReceivePacket(int socket);

// The attendant's end.
class Orders {
 public:
  // -1: nobody gives orders, the attempt is known already.
  explicit Orders(int socket) : socket_(socket) {}

  // To be watched for what TakeStops() reads; -1: nothing comes (any more).
  int fd() const { return socket_; }
  // Waits for the next attempt's directory; none: leave. `signals`: a signalfd; SIGTERM ends the
  // wait.
  std::optional<std::string> Next(int signals);
  // How many times a stop of this attempt has come since the last call.
  int TakeStops(std::string_view directory);
  void Ended(std::string_view directory);

 private:
  int socket_;
};

}  // namespace troupe
