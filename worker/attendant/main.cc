// troupe-attendant SPOOL_DIRECTORY: carries out the one attempt that is ordered there.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "worker/attendant/attendant.h"

namespace {

// Descriptors 0 to 2 are there, whatever the caller left open, and no other is.
void TidyDescriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= 2);
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: troupe-attendant SPOOL_DIRECTORY\n", stderr);
    return 2;
  }
  TidyDescriptors();
  ::setsid();  // Fails if it leads a group already: then it has no terminal to lose.
  for (const int signal : {SIGHUP, SIGPIPE, SIGINT, SIGQUIT}) ::signal(signal, SIG_IGN);
  return troupe::AttendAttempt(argv[1]);
}
