#!/usr/bin/env python3
"""A coordinator and two workers on three hosts with keys, while the coordinator is killed and links are cut.

The hosts are network namespaces; each link has a delay, and is cut for a while now and then, in both
directions, so that packets vanish. The coordinator gets kill -9 and is started again at once. Each task
writes a line when an attempt begins and one when it ends. In the end every task has completed; an attempt
beside the one that counts is allowed only where `troupe why` says that a worker was lost with it.

    namespaces_test.py PROGRAM [--kills N] [--cuts N] [--tasks N] [--cut-max SECONDS] [--slots N] [--seed N]
"""

import argparse
import collections
import json
import os
import random
import sys
import threading
import time

import fleet
import network
from fleet import Daemon, Fleet, eventually

SKIPPED = 77
PORT = 7431
HOSTS = {"head": "10.77.0.1", "w1": "10.77.0.2", "w2": "10.77.0.3"}


class Hosts(Fleet):
    """A fleet each of whose daemons lives on a host of its own; clients are on the coordinator's."""

    def __init__(self, net, **options):
        self.net = net
        super().__init__(workers=2, **options)

    def daemon_on(self, host, daemon):
        start = self.net.command(host)
        daemon.prefix = start
        return daemon

    def add_worker(self, name, *flags, environment=None):
        return self.daemon_on(name, super().add_worker(name, *flags, environment=environment))


def workflow(tasks, dice):
    # Both workers are cut off again and again: a task may lose more of them than the usual limit allows.
    lines = ["name: hosts", "recovery: {worker_losses_max: 100}", "tasks:"]
    for i in range(tasks):
        needs = f", depends_on: [t{i - 1}]" if i % 4 else ""
        script = (f'echo "begin t{i} $TROUPE_ATTEMPT" >> log; sleep {dice.uniform(0.1, 2):.2f}; '
                  f'echo "end t{i} $TROUPE_ATTEMPT" >> log')
        lines.append(f"  t{i}: {{command: '{script}'{needs}}}")
    return "\n".join(lines) + "\n"


def trouble(times, do, dice, low, high, ended, failures):
    """Does it so many times with pauses in between, or until the run has ended."""
    try:
        for _ in range(times):
            if ended.wait(dice.uniform(low, high)):
                return
            do()
    except BaseException as error:
        failures.append(error)


def lost_attempts(made, run, task):
    """The numbers of the attempts at the task that `why` says were lost with their worker."""
    text = made.call("why", run, task).stdout
    return {int(line.split()[0]) for line in text.splitlines() if "worker_lost" in line}, text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--cuts", type=int, default=4)
    parser.add_argument("--cut-max", type=float, default=20)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    why = network.why_not()
    if why:
        print(f"left out: {why}")
        return SKIPPED
    fleet.PROGRAM = os.path.abspath(options.program)
    dice = random.Random(options.seed)
    net = network.Network(HOSTS, random.Random(options.seed + 1))
    for link in net.links.values():
        link.delay, link.loss = 0.002, 0.002
    made = None
    try:
        made = Hosts(net, slots=options.slots, address=HOSTS["head"], port=PORT)
        made.daemon_on("head", made.coordinator)
        made.client_prefix = net.command("head")
        made.start()
        (made.work / "flow.yaml").write_text(workflow(options.tasks, dice))
        run = str(json.loads(made.call("submit", "flow.yaml", "--json").stdout)["run"])
        done = {"kills": 0, "cuts": 0}
        ended = threading.Event()
        failures = []

        def kill():
            made.coordinator.kill()
            made.coordinator.start()
            done["kills"] += 1

        def cut(worker):
            link = net.links[worker]
            link.up = False
            ended.wait(dice.uniform(1, options.cut_max))
            link.up = True
            done["cuts"] += 1

        # The troubles are spread over the time that the tasks take.
        seconds = options.tasks * 1.05 / (2 * options.slots)
        between = seconds / options.kills
        plans = [(options.kills, kill, random.Random(options.seed + 2), between / 2, between * 1.2, ended, failures)]
        plans += [(options.cuts // 2, lambda worker=worker: cut(worker), random.Random(options.seed + tie),
                   0.5, 4, ended, failures) for tie, worker in enumerate(["w1", "w2"], 3)]
        threads = [threading.Thread(target=trouble, args=plan) for plan in plans]
        for thread in threads:
            thread.start()

        def state():
            if failures:
                raise failures[0]
            said = made.call("status", run, "--json", code=None)
            return said.returncode == 0 and json.loads(said.stdout).get("state")

        eventually(lambda: state() in ("succeeded", "failed"), 900, "the end of the run")
        ended.set()
        for thread in threads:
            thread.join()
        if state() != "succeeded":
            raise AssertionError(made.call("why", run).stdout)
        begins, ends = collections.defaultdict(set), collections.defaultdict(list)
        for line in (made.work / "log").read_text().splitlines():
            kind, task, attempt = line.split()
            if kind == "begin":
                if int(attempt) in begins[task]:
                    raise AssertionError(f"attempt {attempt} at {task} began twice")
                begins[task].add(int(attempt))
            else:
                ends[task].append(int(attempt))
        if len(ends) != options.tasks:
            raise AssertionError(f"{options.tasks - len(ends)} tasks never ended")
        again = 0
        for task, attempts in begins.items():
            lost, text = lost_attempts(made, run, task)
            again += len(attempts) - 1
            if len(attempts - lost) != 1 or len(lost) != max(attempts) - 1:
                raise AssertionError(f"{task} began as attempts {sorted(attempts)}, lost were {sorted(lost)}:\n{text}")
        print(f"{options.tasks} tasks completed over {done['kills']} kills of the coordinator and {done['cuts']} "
              f"cuts of links; {again} began again, each after worker_lost")
    finally:
        if made:
            made.end()
        net.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
