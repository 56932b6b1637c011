#include "worker/attendant/orders.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace troupe {

bool SendPacket(int socket, OrderWord word, std::string_view directory) {
  std::array<iovec, 2> parts = {
      {{&word, 1}, {const_cast<char*>(directory.data()), directory.size()}}};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  ssize_t n = 0;
  do {
    n = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  return n >= 0;
}

Received ReceivePacket(int socket) {
  std::array<char, kPacketBytesMax> bytes;
  ssize_t n = 0;
  do {
    n = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  Received received;
  received.closed = n == 0 || (n < 0 && errno != EAGAIN);
  if (n > 0) {
    received.packet = Packet{static_cast<OrderWord>(bytes[0]),
                             std::string(bytes.data() + 1, static_cast<std::size_t>(n) - 1)};
  }
  return received;
}

std::optional<std::string> Orders::Next(int signals) {
  while (socket_ >= 0) {
    std::array<pollfd, 2> fds = {{{socket_, POLLIN, 0}, {signals, POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return std::nullopt;
    signalfd_siginfo info{};
    while (fds[1].revents != 0 && ::read(signals, &info, sizeof info) == ssize_t{sizeof info}) {
      if (info.ssi_signo == std::uint32_t{SIGTERM}) return std::nullopt;
    }
    if (fds[0].revents == 0) continue;
    Received received = ReceivePacket(socket_);
    if (received.closed) return std::nullopt;
    // A stop that is read here came too late.
    if (received.packet && received.packet->word == OrderWord::Attend) {
      return std::move(received.packet->directory);
    }
  }
  return std::nullopt;
}

int Orders::TakeStops(std::string_view directory) {
  int stops = 0;
  while (socket_ >= 0) {
    const Received received = ReceivePacket(socket_);
    if (received.closed) socket_ = -1;
    if (!received.packet) break;
    if (received.packet->word == OrderWord::Stop && received.packet->directory == directory)
      ++stops;
  }
  return stops;
}

void Orders::Ended(std::string_view directory) {
  if (socket_ >= 0) SendPacket(socket_, OrderWord::Ended, directory);
}

}  // namespace troupe
