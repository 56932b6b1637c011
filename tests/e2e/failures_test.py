#!/usr/bin/env python3
"""What docs/failures.md says of each failure, seen to happen with real daemons. See also fleet_test.py, Losses.

    failures_test.py PROGRAM [TEST...]
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import unittest

import fleet
from fleet import Fleet, eventually

HELD = """
name: held
tasks:
  a: {command: "echo $$ >> pids; while [ ! -e go ]; do sleep 0.05; done; echo done >> done"}
"""
LARGE = HELD + """  b:
    command: head -c 100000 /dev/zero | tr '\\0' x
    depends_on: [a]
    loop: {type: for_each, collection: {source: range, start: 0, end: 1500}, iterator: i, parallel: true}
"""
RETRIED = HELD.replace('done >> done"}', 'done >> done", on_error: {retry: 1, retry_delay_secs: 0}}')
FAST = ["--lease", "1", "--heartbeat", "0.3"]


class Line:
    """A tcp port that passes everything on to the target, and can swallow what is said, once."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.at = f"tcp://127.0.0.1:{self.listening.getsockname()[1]}"
        self.target, self.armed, self.swallowed = "", None, False
        threading.Thread(target=self.accept, daemon=True).start()

    def swallow(self, direction, size):
        """The next piece of at least so many bytes, "up" to the target or "down", and the connection with it."""
        self.armed = (direction, size)

    def accept(self):
        while True:
            try:
                near, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(near,), daemon=True).start()

    def serve(self, near):
        host, port = self.target.removeprefix("tcp://").split(":")
        with near, socket.create_connection((host, int(port))) as far:
            up = threading.Thread(target=self.carry, args=("up", near, far), daemon=True)
            up.start()
            self.carry("down", far, near)
            up.join()

    def carry(self, direction, source, sink):
        try:
            while piece := source.recv(1 << 16):
                if self.armed and self.armed[0] == direction and len(piece) >= self.armed[1]:
                    self.armed, self.swallowed = None, True
                    break
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def end(self):
        self.listening.close()


class Failures(unittest.TestCase):
    def make(self, flow=HELD, **options):
        made = Fleet(**options)
        self.addCleanup(made.end)
        made.start()
        (made.work / "flow.yaml").write_text(flow)
        made.call("submit", "flow.yaml")
        self.running(made, 1)
        return made

    def lines(self, made, name):
        path = made.work / name
        return path.read_text().splitlines() if path.exists() else []

    def running(self, made, count):
        eventually(lambda: len(self.lines(made, "pids")) == count, what=f"attempt {count}")
        return int(self.lines(made, "pids")[-1])

    def task(self, made):
        return json.loads(made.call("status", "1", "--json").stdout)["task_list"][0]

    def why(self, made):
        return made.call("why", "1", "a").stdout

    def finish(self, made, attempts):
        (made.work / "go").touch()
        eventually(lambda: self.task(made)["state"] == "completed", what="the task")
        self.assertEqual(self.lines(made, "done"), ["done"])
        self.assertEqual(self.task(made)["attempts"], attempts, self.why(made))

    def attendant_of(self, made, worker="w1"):
        spool = str(made.directory / f"spool-{worker}").encode()
        for entry in pathlib.Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            except OSError:
                continue
            if b"troupe-attendant" in words and spool in words:
                return int(entry.name)
        raise AssertionError("no attendant is there")

    def gone(self, pid):
        eventually(lambda: not pathlib.Path(f"/proc/{pid}").exists(), what=f"the end of process {pid}")

    # --- daemons ---

    def test_a_killed_coordinator_adopts_what_runs(self):
        made = self.make()
        made.coordinator.kill()
        self.assertIn("nobody answers", made.call("status", "1", code=3).stderr)
        made.coordinator.start().await_ready()
        self.finish(made, 1)

    def test_what_ended_meanwhile_is_delivered(self):
        made = self.make()
        made.coordinator.kill()
        (made.work / "go").touch()
        eventually(lambda: self.lines(made, "done"), what="the end of the attempt")
        made.coordinator.start().await_ready()
        self.finish(made, 1)

    def test_workers_that_do_not_come_back_within_the_grace_are_lost(self):
        made = self.make(workers=2, slots=1, timing=[*FAST, "--recovery-grace", "1"])
        holder = self.task(made)["worker"]
        made.coordinator.kill()
        made.workers[holder].signal(signal.SIGSTOP)
        made.coordinator.start().await_ready()
        self.running(made, 2)
        self.assertIn("worker_lost", self.why(made))
        made.workers[holder].signal(signal.SIGCONT)
        self.gone(int(self.lines(made, "pids")[0]))
        self.finish(made, 2)

    def test_a_killed_worker_daemon_finds_its_attempts(self):
        made = self.make()
        made.workers["w1"].kill()
        made.workers["w1"].start().await_line("joined the coordinator", 2)
        self.finish(made, 1)

    def test_what_ended_while_the_worker_daemon_was_gone_is_delivered(self):
        made = self.make(timing=["--lease", "20"])
        made.workers["w1"].kill()
        (made.work / "go").touch()
        eventually(lambda: self.lines(made, "done"), what="the end of the attempt")
        made.workers["w1"].start()
        self.finish(made, 1)

    def test_a_worker_daemon_that_comes_back_after_its_lease_stops_what_is_not_its_own(self):
        made = self.make(workers=2, slots=1, timing=FAST)
        holder = self.task(made)["worker"]
        first = self.running(made, 1)
        made.workers[holder].kill()
        self.running(made, 2)
        made.workers[holder].start()
        self.gone(first)
        self.finish(made, 2)
        self.assertIn("worker_lost", self.why(made))

    def test_a_frozen_worker_is_lost_and_told_so_when_it_thaws(self):
        made = self.make(workers=2, slots=1, timing=FAST)
        holder = self.task(made)["worker"]
        first = self.running(made, 1)
        made.workers[holder].signal(signal.SIGSTOP)
        self.running(made, 2)
        made.workers[holder].signal(signal.SIGCONT)
        self.gone(first)
        self.finish(made, 2)
        self.assertEqual(self.task(made)["state"], "completed")

    def test_a_frozen_coordinator_loses_nothing(self):
        made = self.make()
        made.coordinator.signal(signal.SIGSTOP)
        made.workers["w1"].await_line("lost the coordinator")
        made.coordinator.signal(signal.SIGCONT)
        self.finish(made, 1)

    def test_a_task_that_keeps_losing_workers_is_a_dead_letter(self):
        made = self.make(flow=HELD + "recovery: {worker_losses_max: 2}\n", workers=3, slots=1, timing=FAST)
        for count in (1, 2):
            self.running(made, count)
            eventually(lambda: self.task(made)["state"] == "running" and self.task(made)["attempts"] == count)
            made.workers[self.task(made)["worker"]].kill()
        eventually(lambda: self.task(made)["state"] == "failed", what="giving up")
        self.assertIn("worker_lost", made.call("dead-letters").stdout)

    def boot(self, made, number):
        """The worker as it is after so many boots of its machine: they differ in what the kernel calls them."""
        name = made.directory / f"boot{number}"
        name.write_text(f"00000000-0000-0000-0000-{number:012}\n")
        mounted = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        made.workers["w1"].prefix = ["unshare", "--mount", "sh", "-c", mounted, str(name)]
        return made.workers["w1"]

    def test_a_rebooted_worker_has_lost_its_attempts(self):
        if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
            self.skipTest("another boot of the machine needs root and mount namespaces")
        made = Fleet(timing=["--lease", "60"])
        self.addCleanup(made.end)
        self.boot(made, 1)
        made.start()
        (made.work / "flow.yaml").write_text(HELD)
        made.call("submit", "flow.yaml")
        agent = self.running(made, 1)
        made.workers["w1"].kill()
        os.kill(self.attendant_of(made), signal.SIGKILL)
        self.gone(agent)
        self.boot(made, 2).start()
        self.running(made, 2)
        self.assertIn("worker_lost: the machine was restarted", self.why(made))
        self.finish(made, 2)

    # --- the network ---

    def on_a_bad_line(self, flow):
        """A fleet whose worker is connected through a line that can swallow a message, and a run."""
        line = Line()
        self.addCleanup(line.end)
        made = Fleet(workers=0)
        self.addCleanup(made.end)
        line.target = made.at
        made.at, direct = line.at, made.at
        made.add_worker("w1")
        made.at = direct
        made.start()
        (made.work / "flow.yaml").write_text(flow)
        return made, line

    def test_a_dispatch_that_is_lost_is_found_and_begun_again(self):
        made, line = self.on_a_bad_line(HELD.replace("while", f": {'x' * 3000}; while"))
        line.swallow("down", 2000)
        made.call("submit", "flow.yaml")
        eventually(lambda: line.swallowed, what="the loss of the dispatch")
        self.running(made, 1)
        self.assertIn("worker_lost: it never began", self.why(made))
        self.finish(made, 2)

    def test_an_outcome_that_is_lost_is_said_again(self):
        made, line = self.on_a_bad_line(HELD.replace("echo done >>", "printf '%3000s' x; echo done >>"))
        made.call("submit", "flow.yaml")
        self.running(made, 1)
        line.swallow("up", 2000)
        self.finish(made, 1)
        self.assertTrue(line.swallowed)

    # --- attendants and agents ---

    def test_a_killed_attendant_ends_its_agent_and_counts_as_a_crash(self):
        made = self.make(flow=RETRIED)
        agent = self.running(made, 1)
        os.kill(self.attendant_of(made), signal.SIGKILL)
        self.gone(agent)
        self.running(made, 2)
        self.assertIn("crashed", self.why(made))
        self.finish(made, 2)

    def test_an_agent_ended_by_a_signal_has_crashed(self):
        made = self.make(flow=RETRIED)
        os.kill(self.running(made, 1), signal.SIGKILL)
        self.running(made, 2)
        self.assertIn("signal", self.why(made))
        self.finish(made, 2)

    def test_an_agent_that_says_nothing_for_too_long_is_stopped(self):
        made = self.make(flow=RETRIED.replace("on_error", "silence_secs: 0.5, on_error"))
        agent = self.running(made, 1)
        self.running(made, 2)
        self.gone(agent)
        self.assertIn("timeout", self.why(made))

    # --- disks ---

    def on_a_small_disk(self, flow=HELD):
        """A fleet whose coordinator has 120 MiB, and a run; the file that is to fill them."""
        if os.geteuid() != 0:
            self.skipTest("a small file system needs root")
        made = Fleet()
        self.addCleanup(made.end)
        state = made.directory / "state"
        state.mkdir(mode=0o700)
        small = ["mount", "-t", "tmpfs", "-o", "size=120m,mode=0700", "troupe-test", str(state)]
        if subprocess.run(small, capture_output=True).returncode != 0:
            self.skipTest("a small file system cannot be mounted here")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(state)]))
        made.start()
        (made.work / "flow.yaml").write_text(flow)
        made.call("submit", "flow.yaml")
        self.running(made, 1)
        return made, state / "ballast"

    def test_a_nearly_full_disk_of_the_coordinator_refuses_new_runs_and_loses_nothing(self):
        made, ballast = self.on_a_small_disk()
        ballast.write_bytes(bytes(80 << 20))
        self.assertIn("disk is full", made.call("submit", "flow.yaml", code=None).stderr)
        self.finish(made, 1)
        ballast.unlink()
        made.call("submit", "flow.yaml")

    def test_a_commit_that_fails_ends_the_coordinator_and_nothing_is_lost(self):
        made, ballast = self.on_a_small_disk(LARGE)
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 12))
            except OSError:
                pass
        (made.work / "go").touch()
        self.assertNotEqual(made.coordinator.process.wait(timeout=30 * fleet.SLOWNESS), 0)
        self.assertIn("disk is full", made.coordinator.text())
        ballast.unlink()
        made.coordinator.start().await_ready()
        self.finish(made, 1)
        made.call("cancel", "1")

    def test_a_damaged_store_is_refused_with_what_to_do(self):
        made = self.make()
        (made.work / "go").touch()
        eventually(lambda: self.task(made)["state"] == "completed")
        made.coordinator.kill()
        for path in (made.directory / "state" / "db").glob("MANIFEST-*"):
            path.write_bytes(b"garbage" * 100)
        made.coordinator.start()
        self.assertNotEqual(made.coordinator.process.wait(timeout=20 * fleet.SLOWNESS), 0)
        self.assertIn("damaged", made.coordinator.text())


if __name__ == "__main__":
    fleet.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
