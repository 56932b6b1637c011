#!/usr/bin/env python3
"""kill -9 of daemons at random moments, over tcp with keys: every task is carried out exactly once.

A coordinator and two workers. Runs are submitted one after another; while they go on, a daemon is
killed at a random moment and started again at once, until there were enough kills. Attempts go on
under their attendants and are adopted; each task and hook writes a line when it begins and one when
it ends.

    fleet_kill_test.py PROGRAM [--kills N] [--seed N] [--victim coordinator|worker|any] [--verbose]
"""

import argparse
import collections
import os
import random
import sys
import time

import fleet
from fleet import Fleet

TASKS = 120


def workflow(run):
    """Tasks in chains of three, so that there is always something to place, and hooks around them."""
    lines = [f"name: kills {run}", "tasks:"]
    for i in range(TASKS):
        needs = f", depends_on: [t{i - 1}]" if i % 3 else ""
        script = f"echo begin t{i} >> {run}.log; sleep {(i % 7) * 0.1}; echo end t{i} >> {run}.log"
        lines.append(f"  t{i}: {{command: '{script}'{needs}}}")
    lines += ["hooks:"]
    for hook in ["pre_workflow", "post_workflow"]:
        lines.append(f"  {hook}: ['echo begin {hook} >> {run}.log; sleep 0.3; echo end {hook} >> {run}.log']")
    return "\n".join(lines) + "\n"


def check(made, run):
    begins, ends = collections.Counter(), collections.Counter()
    for line in (made.work / f"{run}.log").read_text().splitlines():
        kind, name = line.split()
        (begins if kind == "begin" else ends)[name] += 1
    expected = {f"t{i}" for i in range(TASKS)} | {"pre_workflow", "post_workflow"}
    problems = [f"{name} began {begins[name]} times and ended {ends[name]} times"
                for name in sorted(expected) if begins[name] != 1 or ends[name] != 1]
    if set(begins) != expected or problems:
        raise AssertionError(f"run {run}: " + "; ".join(problems[:10]) + "\n" + made.logs())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--victim", choices=["coordinator", "worker", "any"], default="any")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    fleet.PROGRAM = os.path.abspath(options.program)
    dice = random.Random(options.seed)
    # A killed worker is there again before it is lost.
    made = Fleet(workers=2, slots=6, timing=["--lease", str(4 * fleet.SLOWNESS)])
    try:
        made.start()
        victims = {"coordinator": [made.coordinator], "worker": list(made.workers.values())}
        victims["any"] = victims["coordinator"] + victims["worker"]
        kills = runs = 0
        while kills < options.kills:
            runs += 1
            (made.work / "flow.yaml").write_text(workflow(runs))
            made.call("submit", "flow.yaml", "--key", f"run {runs}")
            until = time.monotonic() + 240 * fleet.SLOWNESS
            while True:
                if time.monotonic() > until:
                    raise AssertionError(f"run {runs} does not end\n" + made.logs())
                if kills < options.kills:
                    time.sleep(dice.uniform(0.0, 0.6))  # The moment of the next kill.
                    victim = dice.choice(victims[options.victim])
                    victim.kill()
                    victim.start()
                    kills += 1
                elif kills == options.kills:
                    time.sleep(0.2)
                listed = made.call("runs", code=None)
                if listed.returncode == 0 and f"{runs}  " in listed.stdout:
                    line = [l for l in listed.stdout.splitlines() if l.startswith(f"{runs} ")][0]
                    if "failed" in line:
                        raise AssertionError(line + "\n" + made.call("why", str(runs)).stdout + made.logs())
                    if "succeeded" in line:
                        break
            check(made, runs)
            if options.verbose:
                print(f"  run {runs}: {kills} kills so far", flush=True)
        print(f"{kills} kills over {runs} runs of {TASKS} tasks: 0 lost, 0 repeated")
    finally:
        made.end()


if __name__ == "__main__":
    main()
