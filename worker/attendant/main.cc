// troupe-attendant SPOOL_DIRECTORY: carries out the one attempt that is ordered there. With
// --serve SPOOL TITLE it waits at standard input for orders, one after another. The program starts
// itself as the process of an attempt that reads a file: --collection FORMAT FILE RESULT.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "worker/attendant/attendant.h"
#include "worker/attendant/collection_protocol.h"

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
  ::signal(SIGXFSZ, SIG_IGN);  // A limit on files is an error like any other.
  if (argc == 5 && argv[1] == std::string_view("--collection")) {
    return troupe::ReadCollection(argv[2], argv[3], argv[4]);
  }
  const bool serve = argc == 4 && argv[1] == std::string_view("--serve");
  if (argc != 2 && !serve) {
    std::fputs("usage: troupe-attendant SPOOL_DIRECTORY\n", stderr);
    return 2;
  }
  TidyDescriptors();
  ::setsid();  // Fails if it leads a group already: then it has no terminal to lose.
  for (const int signal : {SIGHUP, SIGPIPE, SIGINT, SIGQUIT}) ::signal(signal, SIG_IGN);
  if (!serve) return troupe::AttendAttempt(argv[1]);
  const std::filesystem::path root = std::filesystem::absolute(argv[2]);
  char* const end = argv[3] + std::strlen(argv[3]);  // The words lie one behind the other.
  return troupe::AttendOrders(root, STDIN_FILENO,
                              {argv[1], static_cast<std::size_t>(end - argv[1])});
}
