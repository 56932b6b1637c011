#!/usr/bin/env python3
"""Coordinator and worker daemons as their operators meet them: real processes, tcp with keys, signals.

    fleet_test.py PROGRAM [unittest arguments]
"""

import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import unittest

import fleet
from fleet import Fleet, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Case(unittest.TestCase):
    def make(self, **options):
        made = Fleet(**options)
        self.addCleanup(made.end)
        return made

    def troupe(self, made, *arguments, code=0):
        done = subprocess.run([fleet.PROGRAM, *arguments], cwd=made.directory, capture_output=True,
                              text=True, timeout=30, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done


class Configuration(Case):
    def setUp(self):
        self.fleet = self.make(workers=0)

    def write(self, name, text):
        (self.fleet.directory / name).write_text(text)

    def test_check_names_every_problem_and_its_place(self):
        self.write("c.yaml", "listn: [tcp://127.0.0.1:1]\nlease_secs: soon\n")
        done = self.troupe(self.fleet, "coordinator", "--config", "c.yaml", "--check", code=2)
        self.assertEqual(done.stderr,
                         'c.yaml:1:1: error: unknown key "listn"; did you mean "listen"? [unknown-key]\n'
                         'c.yaml:2:13: error: "lease_secs" must be a number of seconds, not the string "soon" '
                         '[wrong-type]\n')
        self.write("w.yaml", "name: w1\nslots: none\n")
        done = self.troupe(self.fleet, "worker", "--config", "w.yaml", "--check", code=2)
        self.assertIn('w.yaml:2:8: error: "slots" must be an integer', done.stderr)

    def test_check_says_ok(self):
        self.write("c.yaml", "state_dir: state\nkey: head.key\nauthorized_keys: authorized_keys\n"
                             "listen: ['tcp://0.0.0.0:7411']\n")
        done = self.troupe(self.fleet, "coordinator", "--config", "c.yaml", "--check")
        self.assertEqual(done.stdout, "c.yaml: ok\n")
        self.assertFalse((self.fleet.directory / "state").exists())
        self.write("w.yaml", "coordinator: tcp://head:7411\nkey: ann.key\nserver_key: head.key.pub\n")
        self.assertEqual(self.troupe(self.fleet, "worker", "--config", "w.yaml", "--check").stdout, "w.yaml: ok\n")

    def test_a_secret_key_that_others_can_read_is_refused(self):
        os.chmod(self.fleet.directory / "head.key", 0o644)
        done = self.troupe(self.fleet, "coordinator", "--state-dir", "state", "--key-file", "head.key",
                           "--authorized-keys", "authorized_keys", code=2)
        self.assertIn("chmod 600", done.stderr)

    def test_plain_tcp_to_other_machines_needs_insecure(self):
        done = self.troupe(self.fleet, "coordinator", "--state-dir", "state", "--listen", "tcp://0.0.0.0:1", code=2)
        self.assertIn("tcp://0.0.0.0:1 can be reached from other machines", done.stderr)
        self.assertIn("--insecure", done.stderr)
        self.troupe(self.fleet, "coordinator", "--listen", "tcp://0.0.0.0:1", "--insecure", "--check")
        done = self.troupe(self.fleet, "worker", "--connect", "tcp://head:1", "--check", code=2)
        self.assertIn("tcp://head:1 leads to other machines", done.stderr)


class Daemons(Case):
    def test_start_lines_end_in_ready(self):
        made = self.make()
        made.start()
        lines = made.coordinator.text().splitlines()
        self.assertTrue(lines[-2].endswith(" ready") or lines[-1].endswith(" ready"), lines)
        self.assertIn(f"listening on tcp://127.0.0.1:{made.port}, with keys", made.coordinator.text())
        self.assertIn("2 authorised keys", made.coordinator.text())
        self.assertIn("worker w1: 2 slots", made.workers["w1"].text())

    def test_a_missing_program_is_noticed_at_the_start(self):
        made = self.make(workers=0)
        (made.directory / "w.yaml").write_text("providers: {command: true, claude: {program: /nonexistent/claude}}\n")
        worker = made.add_worker("w1", "--config", "w.yaml")
        made.start()
        self.assertIn("provider claude is not offered: /nonexistent/claude is no program", worker.text())

    def test_a_key_is_let_in_when_its_line_is_added_and_out_when_it_is_taken(self):
        made = self.make(workers=0)
        made.coordinator.start().await_ready()
        line = made.keygen("late", admit=False)
        worker = made.add_worker("w1")
        lines = made.access.read_text().splitlines(keepends=True)
        made.access.write_text("".join(l for l in lines if not l.startswith("worker")))
        made.coordinator.await_line("1 authorised keys in", 1)
        worker.start()
        worker.await_line("refuses our key")
        made.coordinator.await_line("is not authorised")
        made.access.write_text("".join(lines) + line)
        worker.await_line("joined the coordinator")
        made.access.write_text("".join(l for l in lines if not l.startswith("worker")))
        self.assertEqual(worker.process.wait(timeout=20), 2)
        self.assertIn("not authorised any more", worker.text())

    def test_a_broken_list_of_keys_changes_nothing(self):
        made = self.make()
        made.start()
        with open(made.access, "a") as keys:
            keys.write("nonsense\n")
        made.coordinator.await_line("the authorised keys stay as they were")
        self.assertIn("line 3: it must be ROLE NAME KEY", made.coordinator.text())

    def test_sighup_reads_the_workers_configuration_again(self):
        made = self.make(workers=0)
        config = made.directory / "w.yaml"
        config.write_text("labels: [cpu]\n")
        worker = made.add_worker("w1", "--config", "w.yaml")
        made.start()
        self.assertIn("labels cpu", worker.text())
        config.write_text("labels: [gpu]\n")
        worker.signal(signal.SIGHUP)
        worker.await_line("labels gpu")
        config.write_text("label: [gpu]\n")
        worker.signal(signal.SIGHUP)
        worker.await_line("the configuration stays as it was")
        self.assertNotIn("lost the coordinator", worker.text())

    def test_sigterm_ends_both_in_order(self):
        made = self.make()
        made.start()
        self.assertEqual(made.workers["w1"].stop(), 0)
        self.assertEqual(made.coordinator.stop(), 0)
        self.assertIn("worker w1 leaves; 0 attempts go on", made.workers["w1"].text())
        self.assertIn("leaving", made.coordinator.text())
        self.assertNotIn("is lost", made.coordinator.text())

    def test_a_second_coordinator_in_one_state_directory_is_refused(self):
        made = self.make(workers=0)
        made.coordinator.start().await_ready()
        done = self.troupe(made, "coordinator", "--state-dir", "state", code=2)
        self.assertIn("another troupe", done.stderr)

    def test_sockets_are_ours_alone(self):
        made = self.make(workers=0, keys=False)
        made.coordinator.arguments = ["coordinator", "--state-dir", "state"]
        made.coordinator.start().await_ready()
        path = made.directory / "state" / "coordinator.sock"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)
        os.chmod(made.directory, 0o777)
        done = self.troupe(made, "coordinator", "--state-dir", "other", "--listen",
                           f"ipc://{made.directory}/open.sock", code=2)
        self.assertIn("others may write in", done.stderr)


class Systemd(Case):
    """The notices that systemd would get."""

    def test_ready_status_watchdog_and_stopping(self):
        made = self.make(workers=0)
        path = str(made.directory / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind(path)
            notices.settimeout(20)
            made.coordinator.environment.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="600000")
            made.coordinator.start()
            made.coordinator.environment["WATCHDOG_PID"] = str(made.coordinator.process.pid)
            self.assertEqual(notices.recv(1000), b"READY=1\nSTATUS=0 runs, 0 workers")
            self.assertEqual(notices.recv(1000), b"WATCHDOG=1")
            self.assertEqual(notices.recv(1000), b"WATCHDOG=1")
            worker = made.add_worker("w1")
            worker.start()
            while notices.recv(1000) != b"STATUS=0 runs, 1 workers":
                pass
            made.coordinator.signal(signal.SIGTERM)
            while notices.recv(1000) != b"STOPPING=1":
                pass

    def test_a_worker_is_ready_and_says_how_it_stands(self):
        made = self.make()
        path = str(made.directory / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind(path)
            notices.settimeout(20)
            made.workers["w1"].environment.update(NOTIFY_SOCKET=path)
            made.workers["w1"].start()
            self.assertEqual(notices.recv(1000), b"READY=1\nSTATUS=waiting for the coordinator")
            self.assertIn(b"nobody answers", notices.recv(1000))
            made.coordinator.start()
            while notices.recv(1000) != b"STATUS=0 attempts running":
                pass


if __name__ == "__main__":
    fleet.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
