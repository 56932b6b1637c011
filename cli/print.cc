#include "cli/print.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace troupe {
namespace {

bool ReaderHasGone() {
  pollfd output = {STDOUT_FILENO, POLLOUT, 0};
  return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

}  // namespace

void Print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void Say(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

bool AllPrinted() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int error = errno;
  if (flushed && std::ferror(stdout) == 0) return true;
  if (ReaderHasGone()) return true;
  Say(fmt::format("troupe: not all output could be written{}{}\n", error != 0 ? ": " : "",
                  error != 0 ? std::strerror(error) : ""));
  return false;
}

}  // namespace troupe
