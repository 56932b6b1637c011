#include "worker/attendant/cgroup.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

constexpr const char* kUnified =
    "24 1 0:21 / /proc rw - proc proc rw\n"
    "31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr const char* kHybrid =
    "31 24 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n"
    "32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n";

TEST(CgroupPath, IsBelowTheCallersOwn) {
  EXPECT_EQ(CgroupPath(kUnified, "0::/system.slice/troupe.service\n", "x"),
            "/sys/fs/cgroup/system.slice/troupe.service/x");
  EXPECT_EQ(CgroupPath(kUnified, "0::/\n", "x"), "/sys/fs/cgroup/x");
}

TEST(CgroupPath, IsFoundBesideTheOldHierarchies) {
  EXPECT_EQ(CgroupPath(kHybrid, "4:cpu:/a\n0::/b\n", "x"), "/sys/fs/cgroup/unified/b/x");
}

TEST(CgroupPath, LeavesOutWhatIsAboveTheMount) {
  const std::string mount = "31 24 0:27 /pod/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

  EXPECT_EQ(CgroupPath(mount, "0::/pod/1/mine\n", "x"), "/sys/fs/cgroup/mine/x");
  EXPECT_EQ(CgroupPath(mount, "0::/pod/1\n", "x"), "/sys/fs/cgroup/x");
  EXPECT_EQ(CgroupPath(mount, "0::/pod/17\n", "x"), "");
}

TEST(CgroupPath, IsEmptyWhereThereIsNone) {
  EXPECT_EQ(CgroupPath("24 1 0:21 / /proc rw - proc proc rw\n", "0::/\n", "x"), "");
  EXPECT_EQ(CgroupPath(kUnified, "4:cpu:/a\n", "x"), "");
  EXPECT_EQ(CgroupPath(kUnified, "0::/../other\n", "x"), "") << "outside our namespace";
  EXPECT_EQ(CgroupPath("", "", "x"), "");
}

TEST(Cgroup, IsNotMadeWhereThatIsNotPermitted) {
  Cgroup none = Cgroup::Make("/proc/x");

  EXPECT_FALSE(none.made());
  EXPECT_FALSE(none.Populated());
  none.Kill();
  none.Remove();
}

}  // namespace
}  // namespace troupe
