#!/usr/bin/env python3
"""The Debian package under a real systemd: installed, started, killed, upgraded, removed and purged.

    container_test.py BUILD_DIR [unittest arguments]

Without root or the tools it says so and ends with 77: left out.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

import container
from container import Container
from fleet import eventually

LEFT_OUT = 77
BUILD = pathlib.Path()
UNITS = "troupe-coordinator troupe-worker"

GATED = """
name: {name}
tasks:
  held:
    command: 'echo began >> {name}.began; until [ -e {name}.go ]; do sleep 0.05; done; echo ended >> {name}.began'
  after:
    command: 'echo done'
    depends_on: [held]
"""
WORK = "/var/lib/troupe-worker/work"


def make_package(directory):
    done = subprocess.run(["cpack", "-G", "DEB", "-B", directory], cwd=BUILD, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"cpack failed:\n{done.stdout}{done.stderr}")
    return next(directory.glob("troupe_*.deb"))


class Package(unittest.TestCase):
    """One machine's life, in the order of the tests' names."""

    @classmethod
    def setUpClass(cls):
        directory = BUILD / "container"
        directory.mkdir(exist_ok=True)
        shared = directory / "shared"
        shutil.rmtree(shared, ignore_errors=True)
        shared.mkdir()
        began = time.monotonic()
        package = make_package(shared)
        try:
            root = container.make_root(directory, container.dependencies(package))
            made = time.monotonic()
            cls.machine = Container(root, shared)
        except container.CannotBoot as why:
            print(f"left out: the package is not tried under systemd: {why}", flush=True)
            os._exit(LEFT_OUT)
        cls.deb = f"/shared/{package.name}"
        print(f"package and root {made - began:.1f}s, boot {time.monotonic() - made:.1f}s", file=sys.stderr)

    @classmethod
    def tearDownClass(cls):
        cls.machine.end()

    def call(self, script, code=0, **options):
        return self.machine.call(script, code, **options).stdout

    def property(self, unit, name):
        return self.call(f"systemctl show -P {name} {unit}").strip()

    def start(self):
        self.call(f"systemctl start {UNITS}")
        self.await_worker()

    def workers(self):
        done = self.machine.call("troupe workers --json", code=None)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def await_worker(self):
        eventually(lambda: [w for w in self.workers() if w["state"] == "connected"], what="a worker that has joined")

    def submit(self, name):
        """A run whose task is at work and waits to be let go."""
        self.call(f"cat >{name}.yaml <<'END'\n{GATED.format(name=name)}\nEND")
        run = self.call(f"troupe submit {name}.yaml").strip()
        eventually(lambda: self.call(f"cat {WORK}/{name}.began", code=None) == "began\n", what=f"the start of {name}")
        return run

    def let_go(self, name, run):
        """… and it began once, ended once, and the run succeeded with no attempt but the first."""
        self.call(f"touch {WORK}/{name}.go")
        self.machine.call(f"troupe watch {run}")
        state = json.loads(self.call(f"troupe export {run}"))
        self.assertEqual(state["status"], "Completed")
        self.assertEqual(state["task_attempts"], {"held": 1, "after": 1})
        self.assertEqual(self.call(f"cat {WORK}/{name}.began"), "began\nended\n")

    def kill(self, unit):
        """kill -9, and the successor that systemd starts."""
        pid, restarts = self.property(unit, "MainPID"), int(self.property(unit, "NRestarts"))
        self.call(f"kill -9 {pid}")
        eventually(lambda: int(self.property(unit, "NRestarts")) > restarts and
                   self.property(unit, "ActiveState") == "active", what=f"a new {unit}")
        self.assertNotEqual(self.property(unit, "MainPID"), pid)

    def exposure(self, unit):
        """As systemd-analyze rates it: 0 is locked in, 10 is open."""
        text = self.call(f"systemd-analyze security --no-pager {unit}", code=None)
        line = [l for l in text.splitlines() if "Overall exposure level" in l][0]
        print(line.strip(" →\t"), file=sys.stderr)
        return float(line.split(":")[1].split()[0])

    def test_1_installs_and_starts_nothing(self):
        self.call(f"dpkg -i {self.deb}")
        self.assertEqual(self.call(f"systemctl is-active {UNITS}", code=3).split(), ["inactive"] * 2)
        self.assertEqual(self.call("stat -c '%U %a' /etc/troupe/coordinator.key /etc/troupe/worker.key"),
                         "troupe 600\ntroupe-worker 600\n")
        for user, daemon in (("troupe", "coordinator"), ("troupe-worker", "worker")):
            self.assertEqual(self.call(f"runuser -u {user} -- troupe {daemon} --check"),
                             f"/etc/troupe/{daemon}.yaml: ok\n")
        done = self.machine.call(f"systemd-analyze verify --man=no {UNITS.replace(' ', '.service ')}.service")
        self.assertEqual(done.stdout + done.stderr, "")

    def test_2_are_locked_in(self):
        self.start()
        self.assertLessEqual(self.exposure("troupe-coordinator.service"), 1.5)
        self.assertLessEqual(self.exposure("troupe-worker.service"), 3.5)

    def test_2_tells_its_metrics(self):
        def fetch():
            return self.machine.fetch("http://127.0.0.1:9464/metrics")

        eventually(lambda: 'troupe_workers{state="connected"} 1\n' in fetch(), what="a worker in the metrics")
        samples = fetch()
        self.assertRegex(samples, r"process_open_fds [1-9]")
        self.assertRegex(samples, r"troupe_store_bytes [1-9]")

    def test_3_a_killed_coordinator_comes_back_and_its_run_goes_on(self):
        run = self.submit("one")
        self.kill("troupe-coordinator")
        self.let_go("one", run)

    def test_4_a_killed_worker_leaves_its_attempts_running(self):
        run = self.submit("two")
        attendant = self.call("pgrep -x troupe-attendan").strip()
        self.assertIn("/troupe-worker.service", self.call(f"cat /proc/{attendant}/cgroup"))
        self.kill("troupe-worker")
        self.await_worker()
        self.call("systemctl restart troupe-worker")
        self.await_worker()
        self.call("systemctl stop troupe-worker")
        self.assertEqual(self.call("pgrep -x troupe-attendan").strip(), attendant)
        self.start()
        self.let_go("two", run)

    def test_5_an_attempt_is_in_a_control_group_of_its_own_and_ends_with_it(self):
        run = self.submit("tree")
        agents = self.call("pgrep -u troupe-worker -f tree.go").split()
        groups = {self.call(f"cat /proc/{pid}/cgroup").strip() for pid in agents}
        self.assertEqual(len(groups), 1)
        self.assertRegex(groups.pop(), r"/troupe-worker\.service/.")
        self.call(f"troupe cancel {run}")
        eventually(lambda: not self.call("pgrep -u troupe-worker -f tree.go", code=None), what="the end of the tree")

    def test_6_attempts_reach_neither_the_coordinator_nor_the_system(self):
        coordinator = self.property("troupe-coordinator", "MainPID")
        tries = {"key": ("cat /etc/troupe/coordinator.key", "Permission denied"),
                 "state": ("ls /var/lib/troupe", "Permission denied"),
                 "socket": (f"troupe runs --connect {container.SOCKET}", "nobody answers"),
                 "system": ("touch /usr/bin/mine", "Read-only file system"),
                 "signal": (f"kill {coordinator}", "No such process|not permitted")}
        flow = "".join(f"  {name}: {{command: '{command} 2>&1; true'}}\n" for name, (command, _) in tries.items())
        self.call(f"cat >bad.yaml <<'END'\nname: bad\ntasks:\n{flow}END")
        self.call("troupe submit bad.yaml --wait")
        run = json.loads(self.call("troupe runs --json"))[-1]["run"]
        for name, (command, refusal) in tries.items():
            self.assertRegex(self.call(f"troupe logs {run} {name}"), refusal, command)

    def test_7_a_hung_coordinator_is_replaced(self):
        self.call("mkdir -p /run/systemd/system/troupe-coordinator.service.d && "
                  "printf '[Service]\\nWatchdogSec=1\\n' >/run/systemd/system/troupe-coordinator.service.d/t.conf && "
                  "systemctl daemon-reload && systemctl restart troupe-coordinator")
        pid = self.property("troupe-coordinator", "MainPID")
        run = self.submit("three")
        self.call(f"kill -STOP {pid}")
        eventually(lambda: self.property("troupe-coordinator", "MainPID") not in (pid, "0"), what="a new coordinator")
        self.assertIn("watchdog", self.call("journalctl -u troupe-coordinator"))
        self.let_go("three", run)

    def test_8_an_upgrade_is_a_restart_under_running_attempts(self):
        run = self.submit("four")
        before = [self.property(unit, "MainPID") for unit in UNITS.split()]
        self.call("echo '# mine' >>/etc/troupe/worker.yaml")
        keys = self.call("cat /etc/troupe/*.key /etc/troupe/authorized_keys")
        self.call(f"dpkg -i {self.deb}")
        after = [self.property(unit, "MainPID") for unit in UNITS.split()]
        self.assertEqual(len({*before, *after}), 4, f"{before} {after}")
        self.assertEqual(self.call("cat /etc/troupe/*.key /etc/troupe/authorized_keys"), keys)
        self.assertIn("# mine", self.call("cat /etc/troupe/worker.yaml"))
        self.await_worker()
        self.let_go("four", run)

    def test_9_removes_and_purges(self):
        self.submit("five")
        self.call("systemctl enable troupe-coordinator troupe-worker")
        self.call("dpkg -r troupe")
        self.assertEqual(self.call("ps -u troupe -u troupe-worker -o args=", code=None), "")
        self.assertEqual(self.call("ls /etc/systemd/system/multi-user.target.wants | grep troupe", code=None), "")
        self.assertEqual(self.call(f"systemctl show -P LoadState {UNITS}").split(), ["not-found"] * 2)
        self.call("test -e /etc/troupe/worker.key && test -e /var/lib/troupe/db")
        self.call("dpkg -P troupe")
        left = self.call("find / -xdev \\( -path /proc -o -path /sys -o -path /shared -o -path /root "
                         "-o -path /run/systemd/system \\) -prune -o -name '*troupe*' -print")
        self.assertEqual(left, "")
        self.assertEqual(self.call("grep troupe /etc/passwd /etc/group /etc/shadow", code=None), "")
        self.call(f"dpkg -i {self.deb} && dpkg -P troupe")


if __name__ == "__main__":
    BUILD = pathlib.Path(sys.argv.pop(1)).resolve()
    missing = container.what_is_missing()
    if missing:
        print(f"left out: the package is not tried under systemd: {missing}")
        sys.exit(LEFT_OUT)
    unittest.main(verbosity=2, failfast=True)
