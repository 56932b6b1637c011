#!/usr/bin/env python3
"""kill -9 during waits, then --resume: times and counts are as without the kill.

A workflow that waits in every way: retry delays with backoff, a rate limit, an agent's circuit
breaker, a list of hooks. Every attempt and hook writes a line with the time. `troupe run` is killed
at random moments and resumed at once. Then each task must have had exactly the attempts that its
rules give it, no wait may be shorter than the rules say, and none longer by more than what a restart
takes.

    wait_kill_test.py PROGRAM [--kills N] [--seed N]
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

SLOWNESS = float(os.environ.get("TROUPE_TEST_SLOWNESS", 1))  # Of a program with sanitizers.
RESTART = 3.0 * SLOWNESS  # Seconds that kills may add to a wait, on a busy machine.

FLOW = r"""
name: waits
agents:
  limited:
    command: |
      echo "limited $TROUPE_ATTEMPT $(date +%s.%N)" >> log
      [ "$(grep -c ^limited log)" -ge 3 ] || echo '{"error": {"class": "rate_limited", "message": "429", "retry_after_ms": 1200}}' > "$TROUPE_RESULT_FILE"
      echo done
  shaky:
    circuit_breaker: {failures: 2, window_secs: 60, cooldown_secs: 2}
    command: |
      echo "shaky $TROUPE_ATTEMPT $(date +%s.%N)" >> log
      [ "$(grep -c ^shaky log)" -ge 4 ]
tasks:
  backoff:
    command: 'echo "backoff $TROUPE_ATTEMPT $(date +%s.%N)" >> log; [ "$(grep -c ^backoff log)" -ge 4 ]'
    on_error: {retry: 3, retry_delay_secs: 0.4, exponential_backoff: true}
  limited: {agent: limited, description: x}
  shaky:
    agent: shaky
    description: x
    on_error: {retry: 3, retry_delay_secs: 0.1}
hooks:
  pre_workflow: ['echo "pre 1 $(date +%s.%N)" >> log; sleep 0.2', 'echo "pre 2 $(date +%s.%N)" >> log; sleep 0.2']
  post_workflow: ['echo "post 1 $(date +%s.%N)" >> log; sleep 0.2', 'echo "post 2 $(date +%s.%N)" >> log; sleep 0.2']
"""

# Of each name: the shortest time between one line and the next.
WAITS = {
    "backoff": [0.4, 0.8, 1.6],
    "limited": [1.2, 1.2],
    "shaky": [0.1, 2.0, 2.0],
    "pre": [0.2],
    "post": [0.2],
}


def check(directory):
    times = {}
    with open(os.path.join(directory, "log")) as log:
        for line in log:
            name, number, at = line.split()
            times.setdefault(name, []).append((int(number), float(at)))
    problems = []
    for name, waits in WAITS.items():
        numbers = [number for number, _ in times.get(name, [])]
        # The number of an attempt that a kill kept from beginning is not used again.
        if len(numbers) != len(waits) + 1 or numbers != sorted(set(numbers)):
            problems.append(f"{name} ran as {numbers}")
            continue
        for i, wait in enumerate(waits):
            took = times[name][i + 1][1] - times[name][i][1]
            if took < wait - 0.02:
                problems.append(f"{name}: {took:.2f} s from {i + 1} to {i + 2}; at least {wait} s")
            if took > wait + RESTART:
                problems.append(f"{name}: {took:.2f} s from {i + 1} to {i + 2}, not {wait} s")
    if problems:
        sys.exit(f"{directory}:\n" + "\n".join(problems))


def one_run(program, directory, dice, kills_left):
    with open(os.path.join(directory, "flow.yaml"), "w") as file:
        file.write(FLOW)
    command = [program, "run", "flow.yaml", "--slots", "4"]
    kills = 0
    while True:
        with open(os.path.join(directory, "progress.log"), "a") as log:
            process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
        # One kill a second at most: a wait is to be met by one or two of them.
        try:
            process.wait(timeout=(dice.uniform(0.7, 2.5) if kills < kills_left else 120) * SLOWNESS)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            if kills >= kills_left:
                sys.exit(f"{directory}: the run did not end")
            kills += 1
            known = os.path.exists(os.path.join(directory, ".troupe", "db"))
            if known and subprocess.run([program, "export"], cwd=directory, capture_output=True).returncode == 0:
                command = [program, "run", "flow.yaml", "--slots", "4", "--resume"]
    if process.returncode == 2 and "--resume" in command:
        state = subprocess.run([program, "runs"], cwd=directory, capture_output=True, text=True)
        if "succeeded" in state.stdout:  # It had ended, and was killed before it could say so.
            return kills
    if process.returncode != 0:
        with open(os.path.join(directory, "progress.log")) as file:
            sys.exit(f"{directory}: exit {process.returncode}\n" + file.read()[-3000:])
    return kills


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    kills = runs = 0
    while kills < options.kills:
        directory = tempfile.mkdtemp(prefix="troupe-wait-")
        kills += one_run(os.path.abspath(options.program), directory, dice, options.kills - kills)
        check(directory)
        runs += 1
        shutil.rmtree(directory)
    print(f"{kills} kills over {runs} runs: every count and every wait as without them")


if __name__ == "__main__":
    main()
