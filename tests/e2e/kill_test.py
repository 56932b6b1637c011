#!/usr/bin/env python3
"""kill -9 at random moments, then --resume: nothing is lost, nothing that ended runs again.

A workflow of 200 tasks in layers, with stages and hooks. Each task and hook writes a line when it
begins and one when it ends, in one append each. `troupe run` is killed at a random moment, resumed,
killed again, until the run has ended; then the next run begins, until there were enough kills.

    kill_test.py PROGRAM [--kills N] [--seed N] [--workers] [--verbose]

--workers: kills a worker process in place of `troupe run`, which then goes on by itself.
"""

import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SLOWNESS = float(os.environ.get("TROUPE_TEST_SLOWNESS", 1))  # Of a program with sanitizers.

TASKS = 200
LAYERS = 5


def workflow():
    per_layer = TASKS // LAYERS
    lines = ["name: kill test", "version: '1.0'", "tasks:"]
    steps = []
    for layer in range(LAYERS):
        names = []
        for i in range(per_layer):
            name = f"t{layer}-{i}"
            names.append(name)
            seconds = (i % 7) * 0.01
            script = f"echo begin {name} $TROUPE_ATTEMPT >> events.log; sleep {seconds}; echo end {name} $TROUPE_ATTEMPT >> events.log; echo out-{name}"
            needs = f", depends_on: [t{layer - 1}-{i}]" if layer % 2 == 1 else ""
            lines.append(f"  {name}: {{command: '{script}'{needs}}}")
        after = f", depends_on: [stage{layer - 1}]" if layer > 0 else ""
        steps.append(f"      - {{stage: stage{layer}, mode: parallel, tasks: [{', '.join(names)}]{after}}}")
    lines += ["workflows:", "  main:", "    steps:"] + steps
    lines += [
        "    hooks:",
        "      pre_workflow:",
        "        - 'echo begin pre0 >> events.log; sleep 0.05; echo end pre0 >> events.log'",
        "        - 'echo begin pre1 >> events.log; echo end pre1 >> events.log'",
        "      on_stage_complete:",
        "        - 'echo begin hook-$WORKFLOW_STAGE >> events.log; sleep 0.05; echo end hook-$WORKFLOW_STAGE >> events.log'",
        "        - {command: 'echo begin async-$WORKFLOW_STAGE >> events.log; sleep 0.2; echo end async-$WORKFLOW_STAGE >> events.log', async: true}",
        "      on_error: ['echo begin error >> events.log']",
        "      post_workflow:",
        "        - 'echo begin post0 >> events.log; sleep 0.05; echo end post0 $WORKFLOW_STATUS >> events.log'",
        "        - 'echo begin post1 >> events.log; echo end post1 >> events.log'",
    ]
    return "\n".join(lines) + "\n"


def expected_names():
    per_layer = TASKS // LAYERS
    names = {f"t{layer}-{i}" for layer in range(LAYERS) for i in range(per_layer)}
    names |= {"pre0", "pre1", "post0", "post1"}
    names |= {f"hook-stage{layer}" for layer in range(LAYERS)}
    names |= {f"async-stage{layer}" for layer in range(LAYERS)}
    return names


def check(directory, where):
    """Every task and hook began once and ended once, in an order that the stages allow."""
    begins = collections.Counter()
    ends = collections.Counter()
    order = []
    with open(os.path.join(directory, "events.log")) as log:
        for line in log:
            kind, name = line.split()[:2]
            order.append((kind, name))
            (begins if kind == "begin" else ends)[name] += 1
    problems = []
    for name in expected_names():
        if begins[name] != 1 or ends[name] != 1:
            problems.append(f"{name} began {begins[name]} times and ended {ends[name]} times")
    for name in set(begins) - expected_names():
        problems.append(f"{name} should not have run")
    place = {entry: index for index, entry in enumerate(order)}
    for layer in range(1, LAYERS):
        before = place.get(("end", f"hook-stage{layer - 1}"), -1)
        for i in range(TASKS // LAYERS):
            if place.get(("begin", f"t{layer}-{i}"), len(order)) < before:
                problems.append(f"t{layer}-{i} began before stage{layer - 1} was complete")
    if problems:
        sys.exit(f"{where}: " + "\n".join(problems[:20]))


def worker_of(parent):
    """The worker process of a `troupe run`, or None."""
    try:
        with open(f"/proc/{parent}/task/{parent}/children") as children:
            for pid in children.read().split():
                with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                    if b"\0worker\0" in cmdline.read():
                        return int(pid)
    except OSError:
        pass
    return None


def one_run(program, directory, dice, kills_left, kill_workers, verbose):
    """Runs the workflow to its end under kills; returns how many there were."""
    with open(os.path.join(directory, "flow.yaml"), "w") as file:
        file.write(workflow())
    kills = 0
    command = [program, "run", "flow.yaml", "--slots", "8"]
    while True:
        log = open(os.path.join(directory, "progress.log"), "a")
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        try:
            while kills < kills_left:
                process.wait(timeout=dice.uniform(0.0, 0.6) * SLOWNESS)
                break
            else:
                process.wait(timeout=120 * SLOWNESS)
        except subprocess.TimeoutExpired:
            if kills >= kills_left:
                process.kill()
                sys.exit(f"{directory}: the run did not end")
            if kill_workers:
                worker = worker_of(process.pid)
                if worker:
                    os.kill(worker, signal.SIGKILL)
                    kills += 1
                # The same `troupe run` goes on.
                while process.poll() is None and kills < kills_left:
                    time.sleep(dice.uniform(0.0, 0.6) * SLOWNESS)  # The moment of the next kill.
                    worker = worker_of(process.pid)
                    if worker and process.poll() is None:
                        os.kill(worker, signal.SIGKILL)
                        kills += 1
                process.wait(timeout=120 * SLOWNESS)
            else:
                process.kill()
                process.wait()
                kills += 1
                known = os.path.exists(os.path.join(directory, ".troupe", "db"))
                if known and subprocess.run([program, "export"], cwd=directory, capture_output=True).returncode == 0:
                    command = [program, "run", "flow.yaml", "--slots", "8", "--resume"]
                continue
        if process.returncode == 2 and "--resume" in command:
            # It had ended, and was killed before it could say so.
            state = subprocess.run([program, "runs"], cwd=directory, capture_output=True, text=True)
            if "succeeded" in state.stdout:
                break
        if process.returncode != 0:
            with open(os.path.join(directory, "progress.log")) as file:
                sys.exit(f"{directory}: exit {process.returncode}\n" + file.read()[-3000:])
        break
    if verbose:
        print(f"  {kills} kills", flush=True)
    return kills


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    kills = runs = 0
    while kills < options.kills:
        directory = tempfile.mkdtemp(prefix="troupe-kill-")
        kills += one_run(os.path.abspath(options.program), directory, dice, options.kills - kills,
                         options.workers, options.verbose)
        check(directory, directory)
        runs += 1
        shutil.rmtree(directory)
    print(f"{kills} kills over {runs} runs of {TASKS} tasks: 0 lost, 0 repeated")


if __name__ == "__main__":
    main()
