#!/usr/bin/env python3
"""Coordinator and worker daemons as their operators meet them: real processes, tcp with keys, signals.

    fleet_test.py PROGRAM [unittest arguments]
"""

import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import time
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
                              text=True, timeout=30 * fleet.SLOWNESS, stdin=subprocess.DEVNULL)
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
        self.assertIn(f"listening on {made.at}, with keys", made.coordinator.text())
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


FLOW = """
name: flow
inputs: {who: {default: world}}
agents: {greeter: {provider: mock, mock: {output: "hello"}}}
tasks:
  greet: {agent: greeter, description: "Greet ${who}"}
  shout: {command: [echo, "${task.greet.output} ${who}"], depends_on: [greet]}
outputs: {greeting: {source: {type: task_output, task: shout}}}
"""
SLOW = """
name: slow
tasks:
  a: {command: "echo one; echo problem >&2; while [ ! -e go ]; do sleep 0.05; done; echo two"}
  b: {command: "echo three", depends_on: [a]}
"""
FAILING = """
name: failing
tasks:
  a: {command: "echo tried >> tries; test -e mended"}
"""


class Clients(Case):
    def setUp(self):
        self.fleet = self.make()
        self.fleet.start()

    def write(self, text, name="flow.yaml"):
        (self.fleet.work / name).write_text(text)

    def submit(self, text, *flags, code=0):
        self.write(text)
        return self.fleet.call("submit", "flow.yaml", *flags, code=code)

    def status(self, run):
        return json.loads(self.fleet.call("status", run, "--json").stdout)

    def ends(self, run, state="succeeded"):
        eventually(lambda: self.status(run)["state"] == state, what=f"run {run} {state}")

    def started(self, text, *flags):
        process = subprocess.Popen([fleet.PROGRAM, *flags, *self.fleet.connect_flags("ann")],
                                   cwd=self.fleet.work, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def test_submit_wait_shows_the_run_and_its_outputs(self):
        done = self.submit(FLOW, "--wait", "--input", "who=ann")
        self.assertIn("completed  shout", done.stderr.replace("completed ", "completed  "))
        self.assertIn("succeeded", done.stderr)
        self.assertEqual(json.loads(done.stdout), {"greeting": "hello ann"})

    def test_submit_answers_with_the_number_and_watch_shows_the_rest(self):
        self.assertEqual(self.submit(SLOW).stdout, "1\n")
        (self.fleet.work / "go").touch()
        done = self.fleet.call("watch", "1")
        self.assertIn("run 1 succeeded", done.stderr)
        self.assertIn("run 1 succeeded", self.fleet.call("watch").stderr)  # Also when it has ended.

    def test_the_same_key_is_the_same_run(self):
        self.assertEqual(self.submit(FLOW, "--key", "nightly").stdout, "1\n")
        again = self.submit(FLOW, "--key", "nightly")
        self.assertEqual(again.stdout, "1\n")
        self.assertIn("run 1 has this key already", again.stderr)
        made = self.fleet
        made.coordinator.kill()
        made.coordinator.start().await_ready()
        self.assertEqual(self.submit(FLOW, "--key", "nightly").stdout, "1\n")
        self.assertEqual(self.submit(FLOW, "--key", "weekly").stdout, "2\n")

    def test_problems_come_back_with_exit_2(self):
        done = self.submit("name: flow\ntasks: {a: {comand: x}}\n", code=2)
        self.assertIn('flow.yaml:2:13: error: unknown key "comand"', done.stderr)
        self.assertIn("there are no runs", self.fleet.call("status", code=2).stderr)

    def test_what_reads_a_state_directory_reads_a_coordinator(self):
        self.submit(FLOW, "--wait")
        self.assertIn("succeeded", self.fleet.call("runs").stdout)
        self.assertIn("shout", self.fleet.call("status").stdout)
        self.assertIn("hello world", self.fleet.call("logs", "1", "shout").stdout)
        self.assertIn('"shout" completed', self.fleet.call("why", "1", "shout").stdout)
        state = json.loads(self.fleet.call("export", "1").stdout)
        self.assertEqual(state["status"], "Completed")
        self.assertEqual(state["outputs"], {"greeting": "hello world"})
        local = subprocess.run([fleet.PROGRAM, "export", "1", "--state-dir", str(self.fleet.directory / "state")],
                               capture_output=True, text=True)
        self.assertEqual(json.loads(local.stdout), state)

    def test_a_viewer_reads_and_does_not_change(self):
        self.fleet.keygen("wall", "viewer")
        eventually(lambda: "3 authorised" in self.fleet.coordinator.text())
        self.submit(FLOW, "--wait")
        self.assertIn("succeeded", self.fleet.call("runs", user="wall").stdout)
        self.assertIn("succeeded", self.fleet.call("watch", "1", user="wall").stderr)
        refused = self.fleet.call("submit", "flow.yaml", user="wall", code=2)
        self.assertIn('the key of "wall" has the role viewer; this needs operator', refused.stderr)
        self.assertIn("needs operator", self.fleet.call("cancel", "1", user="wall", code=2).stderr)

    def test_pause_resume_and_cancel(self):
        self.submit(SLOW)
        eventually(lambda: self.status("1")["task_list"][0]["state"] == "running")
        self.assertIn("paused", self.fleet.call("pause", "1").stdout)
        (self.fleet.work / "go").touch()
        eventually(lambda: self.status("1")["task_list"][0]["state"] == "completed")
        self.assertEqual(self.status("1")["task_list"][1]["attempts"], 0)
        self.fleet.call("resume", "1")
        self.ends("1")
        (self.fleet.work / "go").unlink()
        self.submit(SLOW)
        eventually(lambda: self.status("2")["task_list"][0]["state"] == "running")
        self.fleet.call("cancel", "2")
        self.ends("2", "cancelled")
        self.assertIn("deleted", self.fleet.call("delete", "2").stdout)
        self.assertIn("there is no run 2", self.fleet.call("status", "2", code=2).stderr)

    def test_retry_runs_dead_letters_again(self):
        self.submit(FAILING, "--wait", code=1)
        self.assertIn("a", self.fleet.call("dead-letters").stdout)
        (self.fleet.work / "mended").touch()
        done = self.fleet.call("retry", "1", "--wait")
        self.assertIn("run 1 succeeded", done.stderr)
        self.assertEqual((self.fleet.work / "tries").read_text(), "tried\ntried\n")
        self.assertIn("has not ended", self.retry_of_a_running_one().stderr)

    def retry_of_a_running_one(self):
        self.submit(SLOW)
        return self.fleet.call("retry", "2", code=2)

    def test_logs_follow_a_running_attempt_across_the_network(self):
        self.submit(SLOW)
        process = self.started(SLOW, "logs", "1", "-f")
        seen = ""
        while "problem" not in seen:
            line = process.stdout.readline()
            self.assertTrue(line, seen)
            seen += line
        (self.fleet.work / "go").touch()
        rest, errors = process.communicate(timeout=60 * fleet.SLOWNESS)
        self.assertEqual(process.returncode, 0, errors)
        text = seen + rest
        for word in ["one", "problem", "two", "three"]:
            self.assertEqual(text.split().count(word), 1, text)

    def test_watch_survives_a_restart_of_the_coordinator(self):
        self.submit(SLOW)
        process = self.started(SLOW, "watch", "1", "--json")
        eventually(lambda: self.status("1")["task_list"][0]["state"] == "running")
        self.fleet.coordinator.kill()
        self.fleet.coordinator.start().await_ready()
        (self.fleet.work / "go").touch()
        out, errors = process.communicate(timeout=60 * fleet.SLOWNESS)
        self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(json.loads(out.splitlines()[-1])["event"], "run_finished")
        self.assertEqual(self.status("1")["task_list"][0]["attempts"], 1)

    def test_ctrl_c_ends_only_the_watching(self):
        self.submit(SLOW)
        process = self.started(SLOW, "watch", "1")
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("troupe watch 1", errors)
        (self.fleet.work / "go").touch()
        self.ends("1")

    def test_workers_and_drain(self):
        listed = json.loads(self.fleet.call("workers", "--json").stdout)
        self.assertEqual([(w["worker"], w["state"], w["slots"]) for w in listed], [("w1", "connected", 2)])
        self.fleet.call("drain", "w1")
        self.fleet.workers["w1"].await_line("draining")
        self.submit(FLOW)
        # A coordinator's restart does not make it forget; a worker's does.
        self.fleet.coordinator.kill()
        self.fleet.coordinator.start().await_ready()
        self.fleet.workers["w1"].await_line("joined", 1)
        eventually(lambda: "draining" in self.fleet.call("workers").stdout)
        self.assertEqual(self.status("1")["settled"], 0)
        self.assertIn("w1", self.fleet.call("why", "1").stdout + "w1")
        self.fleet.call("drain", "w1", "--undo")
        self.ends("1")

    def test_nobody_there_is_exit_3(self):
        self.fleet.coordinator.kill()
        done = self.fleet.call("runs", code=3)
        self.assertIn("nobody answers at tcp://127.0.0.1:", done.stderr)

    def test_an_unknown_key_is_exit_3_at_once(self):
        self.fleet.keygen("stranger", "operator", admit=False)
        done = self.fleet.call("runs", user="stranger", code=3, timeout=8)
        self.assertIn("refuses our key", done.stderr)

    def test_the_environment_and_the_configuration_name_the_coordinator(self):
        self.submit(FLOW, "--wait")
        home = self.fleet.directory / "home"
        (home / "troupe").mkdir(parents=True)
        (home / "troupe" / "client.yaml").write_text(
            f"coordinator: {self.fleet.at}\nkey: ../../ann.key\nserver_key: ../../head.key.pub\n")
        environment = {**os.environ, "XDG_CONFIG_HOME": str(home)}

        def runs(code=0, **more):
            done = subprocess.run([fleet.PROGRAM, "runs"], cwd=self.fleet.work, capture_output=True, text=True,
                                  env={**environment, **more}, timeout=60 * fleet.SLOWNESS)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stdout

        self.assertIn("succeeded", runs())
        self.assertNotIn("succeeded", runs(3, TROUPE_COORDINATOR="tcp://127.0.0.1:1"))
        (home / "troupe" / "client.yaml").write_text("cordinator: x\n")
        self.assertEqual(runs(2), "")

    def test_run_connect_is_a_run_of_the_coordinator(self):
        self.write(FLOW)
        done = self.fleet.call("run", "flow.yaml")
        self.assertEqual(json.loads(done.stdout), {"greeting": "hello world"})
        self.assertFalse((self.fleet.work / ".troupe").exists())


HELD = """
name: held
tasks:
  a: {command: "echo $$ >> pids; date +%s.%N >> began; while [ ! -e go ]; do sleep 0.05; done; echo done >> done"}
"""


class Losses(Case):
    def begin(self, **options):
        made = self.make(**options)
        made.start()
        (made.work / "flow.yaml").write_text(HELD)
        made.call("submit", "flow.yaml")
        eventually(lambda: self.lines(made, "began") == 1, what="the attempt")
        return made

    def lines(self, made, name):
        path = made.work / name
        return len(path.read_text().splitlines()) if path.exists() else 0

    def task(self, made):
        return json.loads(made.call("status", "1", "--json").stdout)["task_list"][0]

    def finish(self, made):
        (made.work / "go").touch()
        eventually(lambda: self.task(made)["state"] == "completed", what="the task")
        self.assertEqual(self.lines(made, "done"), 1)

    def attendants(self, made, worker):
        """The attendants of a worker's attempts: their spool directory is an argument of theirs."""
        spool = str(made.directory / f"spool-{worker}").encode()
        pids = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if words.startswith(str(pathlib.Path(fleet.PROGRAM).parent).encode()) and spool in words:
                    pids.append(int(entry.name))
        return pids

    def test_a_lost_machines_task_starts_elsewhere_in_under_five_seconds(self):
        made = self.begin(workers=2, slots=1)
        holder = self.task(made)["worker"]
        command = int((made.work / "pids").read_text())
        attendants = self.attendants(made, holder)
        self.assertEqual(len(attendants), 1)
        made.workers[holder].kill()
        for pid in attendants + [command]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # An agent ends with its attendant.
        lost = time.time()
        eventually(lambda: self.lines(made, "began") == 2, what="the second attempt")
        began = float((made.work / "began").read_text().splitlines()[1])
        self.assertLess(began - lost, 5)
        task = self.task(made)
        self.assertNotEqual(task["worker"], holder)
        self.assertEqual(task["attempts"], 2)
        self.finish(made)

    def test_a_worker_that_was_stopped_finds_its_attempt_after_its_lease(self):
        made = self.begin()
        worker = made.workers["w1"]
        self.assertEqual(worker.stop(), 0)
        self.assertIn("1 attempts go on", worker.text())
        self.assertIn("left", made.call("workers").stdout)
        time.sleep(6)  # Longer than the lease of 4 s, shorter than the recovery grace.
        worker.start()
        worker.await_line("joined the coordinator", 2)
        self.finish(made)
        self.assertEqual(self.task(made)["attempts"], 1)
        self.assertNotIn("is lost", made.coordinator.text())

    def test_attempts_outlive_a_coordinator_that_is_away_for_less_than_the_window(self):
        made = self.begin()
        self.assertEqual(made.coordinator.stop(), 0)
        made.workers["w1"].await_line("lost the coordinator")
        (made.work / "go").touch()
        eventually(lambda: self.lines(made, "done") == 1, what="the end, without a coordinator")
        made.coordinator.start().await_ready()
        self.finish(made)
        self.assertEqual(self.task(made)["attempts"], 1)

    def test_a_worker_stops_its_attempts_when_the_window_has_passed(self):
        made = self.begin(timing=["--lease", "1", "--heartbeat", "0.3", "--reconnect-window", "1"])
        command = int((made.work / "pids").read_text())
        self.assertEqual(made.coordinator.stop(), 0)
        eventually(lambda: not pathlib.Path(f"/proc/{command}").exists(), what="the end of the attempt")
        made.coordinator.start().await_ready()
        eventually(lambda: self.lines(made, "began") == 2, what="the second attempt")
        self.finish(made)
        attempts = json.loads(made.call("dead-letters", "--json").stdout or "[]")
        self.assertEqual(attempts, [])
        self.assertIn("worker_lost", made.call("why", "1", "a").stdout)

    def test_two_workers_cannot_bear_one_name(self):
        made = self.begin()
        twin = fleet.Daemon(["worker", "--name", "w1", "--spool-dir", "spool-twin", *made.connect_flags("w1")],
                            made.directory / "twin.log", made.directory)
        twin.start()
        self.addCleanup(lambda: twin.process.poll() is None and twin.kill())
        twin.await_line("another worker is there under the name w1")
        self.finish(made)
        self.assertEqual(self.task(made)["attempts"], 1)

    def test_a_worker_with_a_work_directory_runs_there(self):
        made = self.make(workers=0)
        (made.directory / "there").mkdir()
        made.add_worker("w1", "--work-dir", str(made.directory / "there"))
        made.start()
        (made.work / "flow.yaml").write_text("name: there\ntasks: {a: {command: [pwd]}}\n")
        made.call("submit", "flow.yaml", "--wait")
        self.assertIn(str(made.directory / "there"), made.call("logs", "1", "a").stdout)


class Benchmarks(Case):
    def test_every_part_is_measured(self):
        done = subprocess.run([fleet.PROGRAM, "bench", "--tasks", "1000", "--repeat", "1", "--json"], text=True,
                              capture_output=True, timeout=100 * fleet.SLOWNESS, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        measured = {part["name"]: part["median"] for part in json.loads(done.stdout)}
        self.assertEqual(set(measured), {"bare", "throughput", "chain", "round trip p50", "round trip p99",
                                         "1 to 10 to 1", "process", "xargs", "restart", "loop task", "written task",
                                         "1000 idle workers", "1000 workers", "1000 workers, cost"})
        # Tasks of a loop that wait cost no memory that could be seen.
        self.assertTrue(all(value > 0 for name, value in measured.items() if name != "loop task"), measured)


if __name__ == "__main__":
    fleet.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
