// troupe-attendant SPOOL_DIRECTORY: carries out the one attempt that is ordered there. With
// --zygote it waits at standard input for directories, and forks for each. The program starts
// itself as the process of an attempt that reads a file: --collection FORMAT FILE RESULT.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "worker/attendant/attendant.h"
#include "worker/attendant/collection_protocol.h"
#include "worker/attendant/zygote.h"

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
  if (argc == 5 && argv[1] == std::string_view("--collection")) {
    return troupe::ReadCollection(argv[2], argv[3], argv[4]);
  }
  const bool zygote = argc == 3 && argv[1] == std::string_view("--zygote");
  if (argc != 2 && !zygote) {
    std::fputs("usage: troupe-attendant SPOOL_DIRECTORY\n", stderr);
    return 2;
  }
  TidyDescriptors();
  ::setsid();  // Fails if it leads a group already: then it has no terminal to lose.
  for (const int signal : {SIGHUP, SIGPIPE, SIGINT, SIGQUIT}) ::signal(signal, SIG_IGN);
  if (zygote) {
    char* const end = argv[2] + std::strlen(argv[2]);  // The words lie one behind the other.
    return troupe::ServeZygote({argv[1], static_cast<std::size_t>(end - argv[1])});
  }
  return troupe::AttendAttempt(argv[1]);
}
