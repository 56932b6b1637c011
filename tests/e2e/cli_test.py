#!/usr/bin/env python3
"""The program as its users meet it: real files, processes, sockets and signals.

    cli_test.py PROGRAM [unittest arguments]
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = ""
SLOWNESS = float(os.environ.get("TROUPE_TEST_SLOWNESS", 1))  # Of a program with sanitizers.
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="troupe-cli-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def write(self, text, name="flow.yaml"):
        (self.directory / name).write_text(text)

    def troupe(self, *arguments, code=0, timeout=60):
        done = subprocess.run([PROGRAM, *arguments], cwd=self.directory, capture_output=True,
                              text=True, timeout=timeout * SLOWNESS, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *arguments):
        process = subprocess.Popen([PROGRAM, *arguments], cwd=self.directory, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return process

    def eventually(self, holds, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = holds()
            if value:
                return value
            time.sleep(0.02)  # Between two looks; what is waited for is the condition.
        self.fail("it did not come to hold")

    def events(self, done):
        return [json.loads(line) for line in done.stdout.splitlines()]

    def export(self, *arguments):
        return json.loads(self.troupe("export", *arguments).stdout)

    def processes_with(self, text):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if text.encode() in words:
                found.append(int(entry.name))
        return found


class Runs(Case):
    def test_a_failing_agent_is_retried_and_completes(self):
        self.write("""
name: "Database Migration"
workflows:
  migrate:
    hooks:
      pre_workflow: [{command: "mkdir -p out && echo users > out/pre.sql", description: Backup}]
      post_workflow: ['echo "$WORKFLOW_NAME: $WORKFLOW_STATUS"']
      on_error: ["echo failed > out/failed"]
agents:
  migrator: {provider: mock, mock: {fail_times: 2, output: "3 migrations applied"}}
tasks:
  run: {agent: migrator, description: Apply, output: out/log, on_error: {retry: 2, retry_delay_secs: 0.1}}
""")
        self.troupe("run", "flow.yaml")
        state = self.export()
        self.assertEqual(state["status"], "Completed")
        self.assertEqual(state["task_attempts"], {"run": 3})
        self.assertEqual([(h["list"], h["state"]) for h in state["hooks"]],
                         [("pre_workflow", "succeeded"), ("post_workflow", "succeeded")])
        self.assertEqual(state["hooks"][1]["stdout"], "Database Migration: succeeded")
        self.assertEqual((self.directory / "out/log").read_text(), "3 migrations applied")
        self.assertFalse((self.directory / "out/failed").exists())

    def test_a_fallback_agent_takes_over_and_its_output_flows_on(self):
        self.write("""
name: "Data Sync"
agents:
  primary: {command: "echo 'connection refused' >&2; exit 1"}
  secondary: {command: "cat > /dev/null; echo ann,bob"}
  writer: {command: "sed -n 's/^.*database: /stored: /p'"}
tasks:
  fetch:
    agent: primary
    description: Fetch
    on_error: {retry: 3, retry_delay_secs: 0.05, fallback_agent: secondary}
  sync:
    agent: writer
    description: "Write data to database: ${task.fetch.output}"
    depends_on: [fetch]
    output: out/users.txt
""")
        self.troupe("run", "flow.yaml")
        self.assertEqual(self.export()["task_attempts"], {"fetch": 5, "sync": 1})
        self.assertEqual((self.directory / "out/users.txt").read_text().strip(), "stored: ann,bob")
        why = self.troupe("why", "1", "fetch").stdout
        self.assertIn('"fetch" completed in attempt 5.', why)
        self.assertEqual(why.count("agent_error: exit status 1: connection refused"), 4)

    def test_independent_tasks_run_side_by_side(self):
        self.write("""
name: four
agents: {sleeper: {command: "sleep 0.5"}}
tasks:
  a: {agent: sleeper, description: x}
  b: {agent: sleeper, description: x}
  c: {agent: sleeper, description: x}
  d: {agent: sleeper, description: x}
""")
        events = self.events(self.troupe("run", "flow.yaml", "--slots", "4", "--json"))
        running = most = 0
        for event in events:
            running += {"task_started": 1, "task_completed": -1}.get(event["event"], 0)
            most = max(most, running)
        self.assertEqual(most, 4)

    def test_two_workers_share_the_tasks(self):
        self.write("name: w\ntasks:\n" + "".join(
            f"  t{i}: {{command: 'sleep 0.2'}}\n" for i in range(6)))
        events = self.events(self.troupe("run", "flow.yaml", "--workers", "2", "--slots", "1", "--json"))
        workers = {e["worker"] for e in events if e["event"] == "task_started"}
        self.assertEqual(workers, {"w1", "w2"})

    def test_json_events_tell_the_story_in_order(self):
        self.write("name: j\ntasks:\n  a: {command: 'echo a'}\n  b: {command: 'exit 3', depends_on: [a]}\n")
        events = self.events(self.troupe("run", "flow.yaml", "--json", code=1))
        kinds = [e["event"] for e in events if e["event"] != "worker_joined"]
        self.assertEqual(kinds, ["run_started", "task_started", "task_completed", "task_started",
                                 "task_failed", "task_dead_lettered", "run_finished"])
        done = [e for e in events if e["event"] == "task_completed"][0]
        self.assertEqual((done["run"], done["task"], done["attempt"], done["worker"]), (1, "a", 1, "w1"))
        self.assertIn("duration_ms", done)
        self.assertEqual(events[-1]["status"], "failed")

    def test_a_failure_says_the_cause_and_the_next_command(self):
        self.write("name: f\ntasks:\n  a: {command: 'echo oh no >&2; exit 3'}\n  b: {command: 'true', depends_on: [a]}\n")
        said = self.troupe("run", "flow.yaml", code=1).stderr
        self.assertIn("FAILED a: agent_error: exit status 3: oh no", said)
        self.assertIn("troupe why 1 a", said)
        self.assertIn('"b" is blocked: it needs "a"', self.troupe("why").stdout)
        self.assertIn("oh no", self.troupe("logs", "1", "a").stdout)

    def test_inputs_are_typed_and_required(self):
        self.write("""
name: i
inputs: {city: {type: string, required: true}, limit: {type: integer, default: 10}}
outputs: {said: {source: {type: task_output, task: a}}}
tasks:
  a: {command: [echo, "${city} ${limit}"]}
""")
        self.assertIn('input "city" is required', self.troupe("run", "flow.yaml", code=2).stderr)
        said = self.troupe("run", "flow.yaml", "--input", "city=x", "--input", "limit=ten", code=2)
        self.assertIn('input "limit" must be an integer', said.stderr)
        done = self.troupe("run", "flow.yaml", "--input", "city=Łódź", "--input", "limit=3")
        self.assertEqual(json.loads(done.stdout), {"said": "Łódź 3"})

    def test_a_dry_run_runs_nothing(self):
        self.write("name: d\ntasks:\n  a: {command: 'touch ran', on_error: {retry: 2, exponential_backoff: true}}\n")
        plan = self.troupe("run", "flow.yaml", "--dry-run").stdout
        self.assertIn("2 retries after 1.0s, 2.0s", plan)
        self.assertFalse((self.directory / "ran").exists())
        self.assertFalse((self.directory / ".troupe").exists())

    def test_a_wrong_file_a_wrong_flag_and_a_typo_are_refused(self):
        self.assertIn("cannot read nothing.yaml", self.troupe("run", "nothing.yaml", code=2).stderr)
        self.assertIn("directory", self.troupe("run", ".", code=2).stderr)
        self.troupe("run", "--no-such-flag", "x.yaml", code=2)
        self.write("name: t\ntasks:\n  a: {comand: 'true'}\n")
        said = self.troupe("run", "flow.yaml", code=2).stderr
        self.assertIn("flow.yaml:3:7: error:", said)
        self.assertIn('did you mean "command"?', said)
        self.assertFalse((self.directory / ".troupe").exists())

    def test_a_wrong_command_line_names_what_may_have_been_meant(self):
        for arguments, said in ((["runn", "x.yaml"], 'there is no command "runn"; did you mean "run"?'),
                                (["--verion"], 'there is no option "--verion"; did you mean "--version"?'),
                                (["run", "--resum", "x.yaml"], 'did you mean "--resume"?'),
                                (["run"], "troupe run: file is required (troupe run --help"),
                                ([], "Usage: troupe")):
            done = self.troupe(*arguments, code=2)
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_one_troupe_at_a_time_in_a_state_directory(self):
        self.write("name: s\ntasks:\n  a: {command: 'sleep 30'}\n")
        first = self.start("run", "flow.yaml")
        self.eventually(lambda: (self.directory / ".troupe/endpoint").exists())
        said = self.troupe("run", "flow.yaml", code=2).stderr
        self.assertIn(f"another troupe (pid {first.pid})", said)
        first.send_signal(signal.SIGINT)
        first.send_signal(signal.SIGINT)
        first.wait(20)


    def test_a_reader_that_goes_does_not_end_a_run(self):
        self.write("name: r\ntasks:\n  a: {command: 'while [ ! -e go ]; do sleep 0.02; done'}\n"
                   "  b: {command: 'echo b', depends_on: [a]}\n")
        for flags in ([], ["--json"]):
            process = self.start("run", "flow.yaml", *flags)
            stream = process.stdout if flags else process.stderr
            self.assertIn("run", stream.readline())
            stream.close()
            (self.directory / "go").touch()
            self.assertEqual(process.wait(20), 0)
            (self.directory / "go").unlink()

    def test_what_cannot_be_printed_is_said_and_what_is_closed_stays_so(self):
        self.write("name: p\ntasks:\n  a: {command: 'true'}\n")
        shell = lambda line: subprocess.run(["sh", "-c", line], cwd=self.directory, text=True,
                                            capture_output=True, env=dict(os.environ, T=PROGRAM))
        self.assertEqual(shell("$T run flow.yaml <&- >&- 2>&-").returncode, 0)
        self.assertEqual(shell("$T run flow.yaml <&- >&- 2>&-").returncode, 0)
        done = shell("$T export > /dev/full")
        self.assertEqual(done.returncode, 2)
        self.assertIn("not all output could be written: No space left", done.stderr)


class Interrupts(Case):
    def running(self, name="flow.yaml", *flags):
        process = self.start("run", name, *flags)
        self.eventually(lambda: (self.directory / "began").exists())
        return process

    def test_ctrl_c_once_lets_attempts_end_and_resume_goes_on(self):
        self.write("""
name: c
tasks:
  a: {command: "touch began; while [ ! -e go ]; do sleep 0.02; done; echo a >> ran"}
  b: {command: "echo b >> ran", depends_on: [a]}
""")
        process = self.running()
        process.send_signal(signal.SIGINT)
        self.eventually(lambda: "paused" in self.troupe("runs").stdout)
        (self.directory / "go").touch()
        self.assertEqual(process.wait(20), 130)
        said = process.stderr.read()
        self.assertIn("--resume", said)
        self.assertEqual((self.directory / "ran").read_text(), "a\n")
        self.troupe("run", "flow.yaml", "--resume")
        self.assertEqual((self.directory / "ran").read_text(), "a\nb\n")
        self.assertEqual(self.export()["task_attempts"], {"a": 1, "b": 1})

    def test_ctrl_c_twice_ends_the_whole_tree_and_uses_no_retry(self):
        marker = "31.4159"
        self.write(f"""
name: c
tasks:
  a: {{command: "if [ -e began ]; then echo again; exit 0; fi; trap '' TERM; setsid sleep {marker} & touch began; sleep {marker}"}}
""")
        process = self.running()
        self.eventually(lambda: len(self.processes_with(marker)) == 2)
        process.send_signal(signal.SIGINT)
        self.eventually(lambda: "paused" in self.troupe("runs").stdout)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertEqual(self.processes_with(marker), [])
        self.troupe("run", "flow.yaml", "--resume")
        state = self.export()
        self.assertEqual(state["status"], "Completed")
        self.assertIn("stopped", self.troupe("why", "1", "a").stdout)

    def test_attempts_go_on_after_kill_9_and_are_adopted(self):
        self.write("""
name: k
tasks:
  a: {command: "touch began; while [ ! -e go ]; do sleep 0.02; done; echo a >> ran"}
""")
        process = self.running()
        process.kill()
        process.wait()
        self.assertIn("interrupted", self.troupe("runs").stdout)
        resumed = self.start("run", "flow.yaml", "--resume")
        self.eventually(lambda: (self.directory / ".troupe/lock").read_text().strip() == str(resumed.pid))
        (self.directory / "go").touch()
        self.assertEqual(resumed.wait(20), 0)
        self.assertEqual((self.directory / "ran").read_text(), "a\n")
        self.assertEqual(self.export()["task_attempts"], {"a": 1})

    def test_an_attempt_goes_on_whose_attendant_is_another_one(self):
        # Has another attendant carry out what it is ordered to, and dies.
        silent = f"""#!/usr/bin/env python3
import socket, subprocess, time
directory = socket.socket(fileno=0).recv(4096).decode()[1:]
if directory:
    subprocess.Popen(["{pathlib.Path(PROGRAM).parent}/troupe-attendant", directory], stdin=subprocess.DEVNULL)
    while "\\nstart " not in open(directory + ".attempt").read():
        time.sleep(0.01)
"""
        program = self.directory / "troupe"
        shutil.copy(PROGRAM, program)
        self.write(silent, "troupe-attendant")
        (self.directory / "troupe-attendant").chmod(0o755)
        self.write("name: k\ntasks:\n  a: {command: 'echo x >> ran; while [ ! -e go ]; do sleep 0.02; done'}\n")
        process = subprocess.Popen([program, "run", "flow.yaml"], cwd=self.directory, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        self.eventually(lambda: (self.directory / "ran").exists())
        (self.directory / "go").touch()
        self.assertEqual(process.wait(20 * SLOWNESS), 0)
        self.assertEqual((self.directory / "ran").read_text(), "x\n")
        self.assertEqual(self.export()["task_attempts"], {"a": 1})

    def test_an_attempt_that_ended_while_nobody_was_there_is_taken(self):
        self.write("name: k\ntasks:\n  a: {command: 'touch began; while [ ! -e go ]; do sleep 0.02; done; echo out'}\n")
        process = self.running()
        process.kill()
        process.wait()
        (self.directory / "go").touch()
        attempt = self.directory / ".troupe/workers/w1/spool/1-t0-1.attempt"
        self.eventually(lambda: "\noutcome " in attempt.read_text())
        self.troupe("run", "flow.yaml", "--resume")
        self.assertEqual(self.export()["task_attempts"], {"a": 1})
        self.assertEqual(list((self.directory / ".troupe/workers/w1/spool").glob("1-*")), [])

    def test_attempts_of_an_older_troupe_are_not_overlooked(self):
        self.write("name: k\ntasks:\n  a: {command: 'touch ran; sleep 40.0625'}\n")
        for worker in ("w1", "w9"):  # One of this run, and one of an earlier, larger run.
            spool = self.directory / ".troupe/workers" / worker / "spool"
            (spool / "1-t0-1").mkdir(parents=True)
            (spool / "1-t0-1/lock").touch()
            self.assertIn(f"worker {worker} ends as soon as it starts", self.troupe("run", "flow.yaml", code=1).stderr)
            self.assertIn("is an attempt of an older troupe", (spool.parent / "log").read_text())
            self.assertEqual((self.directory / "ran").exists(), worker == "w9")
            shutil.rmtree(spool)
        for process in self.processes_with("40.0625"):
            os.kill(process, signal.SIGKILL)

    def test_after_a_reboot_the_attempt_is_lost_and_placed_again(self):
        self.write("name: k\ntasks:\n  a: {command: 'if [ -e began ]; then exit 0; fi; touch began; sleep 40.0625'}\n")
        process = self.running()
        process.kill()
        process.wait()
        attempt = self.directory / ".troupe/workers/w1/spool/1-t0-1.attempt"
        text = attempt.read_text()
        started = json.loads(re.search(r"^start (.*)$", text, re.M)[1])
        agents = self.processes_with("40.0625")
        os.kill(started["attendant"], signal.SIGKILL)
        for agent in agents:
            try:
                os.kill(agent, signal.SIGKILL)
            except ProcessLookupError:
                pass
        attempt.write_text(text.replace(started["boot_id"], "another-boot"))
        self.troupe("run", "flow.yaml", "--resume")
        self.assertEqual(self.export()["task_attempts"], {"a": 2})
        self.assertIn("worker_lost", self.troupe("why", "1", "a").stdout)

    def test_a_changed_file_is_refused_unless_accepted(self):
        self.write("""
name: ch
tasks:
  a: {command: "echo a >> ran"}
  b: {command: "exit 7", depends_on: [a], on_error: {retry: 5, retry_delay_secs: 60}}
""")
        process = self.start("run", "flow.yaml")
        self.eventually(lambda: "waiting" in self.troupe("status", code=None).stdout
                        if (self.directory / ".troupe/db/CURRENT").exists() else False)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        text = (self.directory / "flow.yaml").read_text()
        self.write(text.replace("exit 7", "echo b >> ran") + '  c: {command: "echo c >> ran", depends_on: [b]}\n')
        self.assertIn("--accept-changes", self.troupe("run", "flow.yaml", "--resume", code=2).stderr)
        self.troupe("run", "flow.yaml", "--resume", "--accept-changes")
        self.assertEqual((self.directory / "ran").read_text(), "a\nb\nc\n")
        self.assertEqual(self.export()["task_statuses"], {"a": "Completed", "b": "Completed", "c": "Completed"})

    def test_clean_stops_and_removes_what_was_left(self):
        marker = "27.1828"
        self.write(f"name: cl\ntasks:\n  a: {{command: 'if [ -e began ]; then exit 0; fi; touch began; sleep {marker}'}}\n")
        process = self.running()
        process.kill()
        process.wait()
        self.assertNotEqual(self.processes_with(marker), [])
        self.troupe("run", "flow.yaml", "--clean")
        self.eventually(lambda: self.processes_with(marker) == [])

    def troupe(self, *arguments, code=0, timeout=60):
        if code is None:
            return subprocess.run([PROGRAM, *arguments], cwd=self.directory, capture_output=True, text=True)
        return super().troupe(*arguments, code=code, timeout=timeout)


class State(Case):
    def test_commands_work_while_a_run_is_going_on(self):
        self.write("name: one\ntasks:\n  a: {command: 'echo first'}\n", "one.yaml")
        self.troupe("run", "one.yaml")
        self.write("name: two\ntasks:\n  a: {command: 'echo begun; touch began; while [ ! -e go ]; do sleep 0.02; done'}\n  b: {command: 'true', depends_on: [a]}\n", "two.yaml")
        process = self.start("run", "two.yaml")
        self.eventually(lambda: (self.directory / "began").exists())
        self.assertRegex(self.troupe("runs").stdout, r"(?s)1 +one +succeeded.*2 +two +running")
        self.assertRegex(self.troupe("status").stdout, r"a +running")
        self.assertIn('"b" waits for "a" (running).', self.troupe("why", "2", "b").stdout)
        self.eventually(lambda: "begun" in self.troupe("logs", "2", "a").stdout)
        self.assertEqual(self.export("2")["status"], "Running")
        self.assertIn("run 1 is deleted", self.troupe("delete", "1").stdout)
        self.assertNotIn("one", self.troupe("runs").stdout)
        self.assertIn("has not ended", self.troupe("delete", "2", code=2).stderr)
        (self.directory / "go").touch()
        self.assertEqual(process.wait(20), 0)
        self.assertIn("run 2 is deleted", self.troupe("delete", "2").stdout)

    def test_export_has_the_keys_of_the_seed_format(self):
        self.write("name: e\nversion: '2.0'\ntasks:\n  a: {command: 'true'}\n  b: {command: 'exit 1', on_error: continue}\n")
        self.troupe("run", "flow.yaml", code=1)
        state = self.export()
        for key in ("workflow_name", "workflow_version", "task_statuses", "task_start_times",
                    "task_end_times", "task_attempts", "task_errors", "status", "started_at",
                    "ended_at", "checkpoint_at", "metadata", "progress"):
            self.assertIn(key, state)
        self.assertEqual(state["task_statuses"], {"a": "Completed", "b": "Failed"})
        self.assertEqual(state["task_errors"], {"b": "agent_error: exit status 1"})
        self.assertEqual(state["status"], "Failed")
        self.assertEqual(state["progress"], 1.0)

    def test_what_does_not_exist_is_said(self):
        self.assertIn("there are no runs", self.troupe("status", code=2).stderr)
        self.write("name: e\ntasks:\n  build: {command: 'true'}\n")
        self.troupe("run", "flow.yaml")
        self.assertIn("there is no run 7", self.troupe("status", "7", code=2).stderr)
        self.assertIn('did you mean "build"?', self.troupe("why", "1", "biuld", code=2).stderr)

    def test_a_newer_or_damaged_store_is_refused(self):
        self.write("name: e\ntasks:\n  a: {command: 'true'}\n")
        self.troupe("run", "flow.yaml")
        for path in (self.directory / ".troupe/db").glob("MANIFEST*"):
            path.write_bytes(b"garbage" * 100)
        said = self.troupe("run", "flow.yaml", code=2).stderr
        self.assertIn("--state-dir", said)


class Rehearsals(Case):
    def test_a_rehearsal_takes_and_costs_what_a_past_run_did(self):
        self.write("""
name: rehearsed
agents:
  writer: {command: ["sh", "-c", 'sleep 0.3; echo "{\\"text\\": \\"ok\\", \\"cost_usd\\": 0.25}"'], result: json}
tasks:
  draft: {agent: writer, description: Draft}
  parts:
    agent: writer
    description: "Part ${x}"
    loop: {type: for_each, iterator: x, parallel: true, collection: {source: inline, items: [1, 2]}}
  later: {agent: writer, description: New, depends_on: draft, condition: {type: never}}
""")
        self.troupe("run", "flow.yaml")

        done = self.troupe("simulate", "flow.yaml", "--from", "newest", "--fail", "0", "--seeds", "2")

        self.assertIn("2 of 3 tasks take and cost what they did in run 1\n", done.stdout)
        self.assertIn("cost 0.75 to 0.75 USD", done.stdout)
        self.assertRegex(done.stdout, r"makespan 0:00:00\.[3-9]")

    def test_a_past_run_that_is_not_there_or_tells_nothing_is_refused(self):
        self.write("name: a\ntasks: {one: {command: 'true'}}\n")
        self.write("name: b\ntasks: {two: {command: 'true'}}\n", "other.yaml")
        self.troupe("run", "flow.yaml")

        missing = self.troupe("simulate", "flow.yaml", "--from", "7", code=2)
        other = self.troupe("simulate", "other.yaml", "--from", "1", code=2)

        self.assertIn("there is no run 7", missing.stderr)
        self.assertIn("no task of other.yaml has succeeded in run 1", other.stderr)


class Large(Case):
    def test_a_chain_of_a_thousand_and_a_fan_of_ten_thousand_complete(self):
        head = "agents: {m: {provider: mock}}\ntasks:\n"
        self.write("name: chain\n" + head + "".join(
            f"  t{i}: {{agent: m, description: x{f', depends_on: [t{i - 1}]' if i else ''}}}\n"
            for i in range(1000)), "chain.yaml")
        self.write("name: fan\n" + head + "".join(
            f"  t{i}: {{agent: m, description: x}}\n" for i in range(10_000)), "fan.yaml")
        self.troupe("run", "chain.yaml")
        self.assertEqual(self.export()["progress"], 1.0)
        self.troupe("run", "fan.yaml", "--slots", "64")
        state = self.export()
        self.assertEqual(set(state["task_statuses"].values()), {"Completed"})
        self.assertEqual(set(state["task_attempts"].values()), {1})


    @unittest.skipIf(SLOWNESS > 1, "30 MiB of order take longer than a lease")
    def test_an_order_that_is_too_long_to_be_sent_is_an_invalid_request(self):
        long = "${task.a.output}" * 30
        self.write(f"""
name: long
on_error: continue
tasks:
  a: {{command: "head -c 1000000 /dev/zero | tr '\\\\0' x"}}
  one: {{script: {{language: sh, content: "{long}{long}"}}, depends_on: [a]}}
  all: {{command: 'true', inputs: {{x: "{long}", y: "{long}"}}, depends_on: [a]}}
  some: {{command: 'wc -c < $TROUPE_INPUT_FILE', inputs: {{x: "{long}"}}, depends_on: [a]}}
""")
        self.troupe("run", "flow.yaml", code=1)
        state = self.export()
        self.assertEqual(state["task_statuses"],
                         {"a": "Completed", "one": "Failed", "all": "Failed", "some": "Completed"})
        for task in ("one", "all"):
            self.assertRegex(state["task_errors"][task], "invalid_request: .*more than 50331648")
        self.assertIn("30000008", self.troupe("logs", "1", "some").stdout)


class Examples(Case):
    def test_release_notes(self):
        self.troupe("run", str(EXAMPLES / "release-notes.yaml"), timeout=60)
        state = self.export()
        self.assertEqual(state["status"], "Completed")
        self.assertEqual(state["task_attempts"]["people"], 3)
        self.assertEqual(state["task_attempts"]["headline"], 3)
        self.assertEqual(state["task_statuses"]["translate"], "Skipped")
        notes = (self.directory / "out/release-notes.md").read_text()
        self.assertIn("# Release notes", notes)
        self.assertIn("Written by run 1 of troupe.", notes)


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
