#!/usr/bin/env python3
"""What Prometheus gets from a real coordinator, and what its log looks like.

    metrics_test.py PROGRAM [unittest arguments]
"""

import json
import pathlib
import re
import sys
import unittest
import urllib.error
import urllib.request

import fleet
from fleet import Fleet, eventually

FLOW = """
name: counted
agents:
  first: {mock: {fail_times: 1, class: overloaded}}
  broken: {mock: {fail_times: 99}}
  second: {mock: {}}
tasks:
  retried: {agent: first, description: x, on_error: {retry: 1, retry_delay_secs: 0.1}}
  moved: {agent: broken, description: x, on_error: {retry: 0, fallback_agent: second}}
  lost: {command: "exit 3", on_error: {retry: 0, on_exhausted: continue}}
  held: {command: "until [ -e go ]; do sleep 0.05; done"}
  after: {command: "true", depends_on: [held]}
hooks:
  post_workflow: ["true"]
"""


def parse(text):
    """Samples by name and labels, each as in the text: 'troupe_runs{state="running"}'."""
    samples = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            samples[name] = float(value)
    return samples


class Case(unittest.TestCase):
    def make(self, *flags, **options):
        self.fleet = Fleet(keys=False, timing=flags, **options)
        self.addCleanup(self.fleet.end)
        return self.fleet

    def get(self, path):
        address = re.search(r"metrics at (http://\S+)/metrics", self.fleet.coordinator.text()).group(1)
        with urllib.request.urlopen(address + path, timeout=10) as answer:
            return answer.read().decode()

    def await_samples(self, **wanted):
        """Samples are a second old at most."""
        def there():
            samples = parse(self.get("/metrics"))
            return samples if all(samples.get(name) == value for name, value in wanted.items()) else None
        return eventually(there, what=f"{wanted} in\n{self.get('/metrics')}\n")


class Metrics(Case):
    def test_they_say_what_happened_and_how_it_stands(self):
        made = self.make("--metrics", "127.0.0.1:0", slots=4)
        made.start()
        (made.work / "flow.yaml").write_text(FLOW)
        made.call("submit", "flow.yaml")
        samples = self.await_samples(**{'troupe_tasks{state="completed"}': 2, 'troupe_tasks{state="failed"}': 1,
                                        'troupe_tasks{state="running"}': 1, 'troupe_tasks{state="pending"}': 1,
                                        'troupe_runs{state="running"}': 1, "troupe_slots_used": 1})
        self.assertEqual(samples['troupe_workers{state="connected"}'], 1)
        self.assertEqual(samples["troupe_slots"], 4)
        (made.work / "go").touch()
        samples = self.await_samples(**{'troupe_runs_finished_total{status="failed"}': 1})
        for name, value in {
                "troupe_runs_started_total": 1,
                'troupe_runs{state="running"}': 0,
                'troupe_attempts_total{agent="first",class="overloaded"}': 1,
                'troupe_attempts_total{agent="first",class="succeeded"}': 1,
                'troupe_attempts_total{agent="broken",class="agent_error"}': 1,
                'troupe_attempts_total{agent="second",class="succeeded"}': 1,
                'troupe_attempts_total{agent="",class="agent_error"}': 1,
                'troupe_attempts_total{agent="",class="succeeded"}': 2,
                'troupe_retries_total{class="overloaded"}': 1,
                'troupe_fallbacks_total{agent="second"}': 1,
                'troupe_dead_letters_total{class="agent_error"}': 1,
                'troupe_hooks_finished_total{status="succeeded"}': 1,
                "troupe_attempts_dispatched_total": 8,
                "troupe_dispatch_seconds_count": 8,
                "troupe_queue_seconds_count": 7,
                "troupe_workers_joined_total": 1}.items():
            self.assertEqual(samples.get(name), value, name)
        self.assertGreater(samples["troupe_commit_seconds_count"], 3)
        self.assertEqual(samples["troupe_commit_seconds_count"], samples["troupe_commit_records_count"])
        self.assertGreater(samples["troupe_store_bytes"], 1000)
        self.assertEqual(self.get("/healthz"), "ok\n")

    def test_a_lost_worker_is_counted(self):
        made = self.make("--metrics", "127.0.0.1:0", "--lease", "1", "--heartbeat", "0.3")
        made.start()
        made.workers["w1"].kill()
        self.await_samples(**{"troupe_workers_lost_total": 1, 'troupe_workers{state="connected"}': 0})

    def test_a_port_that_was_asked_for_and_is_taken_ends_the_start(self):
        made = self.make("--metrics", "127.0.0.1:0")
        made.coordinator.start().await_ready()
        port = re.search(r"127.0.0.1:(\d+)/metrics", made.coordinator.text()).group(1)
        other = Fleet(workers=0, keys=False, timing=["--metrics", f"127.0.0.1:{port}"])
        self.addCleanup(other.end)
        self.assertEqual(other.coordinator.start().process.wait(timeout=20), 2)
        self.assertIn(f"cannot listen on 127.0.0.1:{port} for metrics", other.coordinator.text())

    def test_off_is_off(self):
        made = self.make("--metrics", "off")
        made.coordinator.start().await_ready()
        self.assertNotIn("metrics", made.coordinator.text())

    def test_everything_that_is_documented_is_there_and_the_other_way_round(self):
        made = self.make("--metrics", "127.0.0.1:0")
        made.coordinator.start().await_ready()
        text = self.get("/metrics")
        page = (pathlib.Path(__file__).resolve().parents[2] / "docs/operating.md").read_text()
        documented = set(re.findall(r"^\| `((?:troupe|process)_\w+)", page, re.MULTILINE))
        self.assertEqual(documented, set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)))


class Logs(Case):
    def test_json_lines_are_objects(self):
        made = self.make("--log-format", "json", "--metrics", "off")
        made.workers["w1"].arguments += ["--log-format", "json"]
        made.coordinator.start()
        made.coordinator.await_line('"message":"ready"')
        made.workers["w1"].start().await_line("joined the coordinator")
        for daemon in (made.coordinator, made.workers["w1"]):
            lines = [json.loads(line) for line in daemon.text().splitlines()]
            self.assertEqual({tuple(line) for line in lines}, {("time", "level", "daemon", "message")})

    def test_a_level_leaves_out_what_is_below_it(self):
        made = self.make("--log-level", "error", workers=0)
        made.coordinator.start()
        eventually(lambda: (made.directory / "state" / "endpoint").exists())
        eventually(lambda: made.call("runs", code=None).returncode == 0)
        self.assertEqual(made.coordinator.text(), "")


if __name__ == "__main__":
    fleet.PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
