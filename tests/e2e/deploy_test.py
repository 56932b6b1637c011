#!/usr/bin/env python3
"""What deploy/ offers, as far as it can be tried without a service manager or a cluster.

    deploy_test.py PROGRAM [unittest arguments]
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import unittest

import yaml

import fleet
from fleet import Fleet, eventually

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"

# Starts as many of what it is to start as Slurm would, each with its number, and waits for them.
SRUN = """#!/bin/bash
[[ $1 == --kill-on-bad-exit=0 ]] || exit 1
shift
for ((n = 0; n < SLURM_NTASKS; ++n)); do SLURM_PROCID=$n "$@" & pids+=($!); done
trap 'kill "${pids[@]}"' TERM
wait; wait
"""


def end_group(leader):
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Case(unittest.TestCase):
    def setUp(self):
        self.fleet = Fleet(workers=0)
        self.addCleanup(self.fleet.end)
        self.directory = self.fleet.directory

    def run_troupe(self, *arguments):
        done = subprocess.run([fleet.PROGRAM, *arguments], cwd=self.directory, capture_output=True, text=True,
                              timeout=30)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stderr}")
        return done.stdout

    def keygen(self, file, name, role="worker"):
        return self.run_troupe("keygen", "--name", name, "--role", role, file)


class Samples(Case):
    def test_sample_configurations_are_sound(self):
        shutil.copytree(DEPLOY / "config", self.directory / "etc")
        self.keygen("etc/coordinator.key", "coordinator", "operator")
        (self.directory / "etc/authorized_keys").write_text(self.keygen("etc/worker.key", "worker"))
        for daemon in ("coordinator", "worker"):
            file = f"etc/{daemon}.yaml"
            self.assertEqual(self.run_troupe(daemon, "--config", file, "--check"), f"{file}: ok\n")

    def test_what_is_commented_out_in_a_sample_can_be_used(self):
        for daemon in ("coordinator", "worker"):
            lines = (DEPLOY / "config" / f"{daemon}.yaml").read_text().splitlines()
            settings = re.compile(r"# (\w+:( .*)?|  \w+: .*)$")
            text = "\n".join(line[2:] if settings.match(line) else line for line in lines)
            self.assertGreater(len(yaml.safe_load(text)), 6)
            (self.directory / f"{daemon}.yaml").write_text(text)
            self.keygen(f"{daemon}.key", "w1")
            (self.directory / "authorized_keys").touch()
            self.run_troupe(daemon, "--config", f"{daemon}.yaml", "--check")

    def test_the_manifest_starts_workers_with_flags_that_exist(self):
        (manifest,) = yaml.safe_load_all((DEPLOY / "kubernetes/workers.yaml").read_text())
        pod = manifest["spec"]["template"]["spec"]
        (worker,) = pod["containers"]
        mounts = {mount["mountPath"] for mount in worker["volumeMounts"]}
        volumes = {volume["name"] for volume in pod["volumes"] + [
            claim["metadata"] for claim in manifest["spec"]["volumeClaimTemplates"]]}
        self.assertEqual({mount["name"] for mount in worker["volumeMounts"]}, volumes)
        self.keygen("worker.key", "troupe-worker-*")
        command = [word.replace("/keys/worker.key", "worker.key").replace("/secret/coordinator.key.pub", "head.key.pub")
                   for word in worker["command"]]
        self.assertEqual(command[0], "troupe")
        self.run_troupe(*command[1:], "--check")
        for word in worker["command"]:
            if "=/" in word:
                self.assertTrue(any(word.split("=")[1].startswith(mount) for mount in mounts), word)


class Unit(Case):
    def test_a_worker_keeps_its_spool_where_systemd_says(self):
        worker = self.fleet.add_worker("w1", environment={"STATE_DIRECTORY": f"{self.directory}/s:{self.directory}/t"})
        at = worker.arguments.index("--spool-dir")
        del worker.arguments[at:at + 2]
        self.fleet.start()
        self.assertIn(f"spool {self.directory}/s/spool\n", worker.text())


class Slurm(Case):
    def test_a_job_brings_its_workers_and_drains_them_before_its_end(self):
        head = self.fleet.coordinator.start().await_ready()
        keys = self.directory / "keys"
        keys.mkdir()
        with open(self.fleet.access, "a") as access:
            access.write(self.keygen("keys/worker.key", "slurm-*") + self.keygen("keys/operator.key", "op", "operator"))
        shutil.copy(self.directory / "head.key.pub", keys / "coordinator.key.pub")
        head.await_line("3 authorised keys")
        srun = self.directory / "srun"
        srun.write_text(SRUN)
        srun.chmod(0o755)
        environment = {**os.environ, "PATH": f"{self.directory}:{pathlib.Path(fleet.PROGRAM).parent}:{os.environ['PATH']}",
                       "TROUPE_COORDINATOR": self.fleet.at, "TROUPE_KEYS": str(keys),
                       "TROUPE_SPOOL": str(self.directory / "spool"), "SLURM_JOB_ID": "7", "SLURM_NTASKS": "2",
                       "SLURM_CPUS_PER_TASK": "3"}
        job = subprocess.Popen(["bash", DEPLOY / "slurm/troupe-workers.sbatch"], env=environment, cwd=self.directory,
                               start_new_session=True)
        self.addCleanup(end_group, job.pid)
        eventually(lambda: self.states() == {"slurm-7-0": "connected", "slurm-7-1": "connected"}, what="two workers")
        job.send_signal(signal.SIGUSR1)
        eventually(lambda: set(self.states().values()) == {"draining"}, what="drained workers")
        self.assertIsNone(job.poll())
        os.killpg(job.pid, signal.SIGTERM)
        eventually(lambda: not self.states(), what="no workers")
        job.wait(timeout=20)

    def states(self):
        workers = json.loads(self.fleet.call("workers", "--json").stdout)
        self.assertTrue(all(worker["slots"] == 3 and worker["labels"] == ["slurm"] for worker in workers))
        return {worker["worker"]: worker["state"] for worker in workers}


if __name__ == "__main__":
    fleet.PROGRAM = str(pathlib.Path(sys.argv.pop(1)).resolve())
    unittest.main()
