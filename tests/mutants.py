#!/usr/bin/env python3
"""Plants the defects of tests/mutants/*.txt one by one and sees that the tests named find them.

    mutants.py ROOT BUILD_DIR [WORDS...]   those whose heading or file has one of the words, else all;
                                           a number is a section: 6.1 is that one, 6 is 6, 6.1 and so on
    mutants.py ROOT --check                only that each still fits the sources and names real tests,
                                           and that every rule of tests/rules.md has one

Works in a copy of the tree beside BUILD_DIR's. Exit 1 and a line per defect that a test did not find.

A defect is a heading, the file, the text that is replaced (it stands once in the file, however it is
indented), what stands there instead, and the program with its tests; each of them must fail:

    == SECTION RULE[: WHICH PART OF IT]
    coordinator/agent_gate.cc
    - what stands there
    + what is planted
    ! coordinator_test Suite.Name Suite.Other

SECTION and RULE are those of tests/rules.md; the first words of a rule will do. At least one of the tests
must be named there. Other headings are of rules that are no items there, or of bugs that were found.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from rules import covered

COPIED = ["base", "bench", "cli", "cmake", "config", "coordinator", "deploy", "docs", "examples", "fuzz",
          "protocol", "simulation", "storage", "tests", "worker", "workflow", "CMakeLists.txt"]
SECONDS_MIN = 20  # That a test may take, and ten times what it takes without a defect.
SECONDS_MAX = 300  # That it may take without one.


def copy_changed(source, target):
    """A file that stays as it is keeps its time, so that it is not compiled again; a changed one gets a new time."""
    data = pathlib.Path(source).read_bytes()
    target = pathlib.Path(target)
    if not target.exists() or target.read_bytes() != data:
        target.write_bytes(data)


class Mutant:
    def __init__(self, heading, where):
        self.heading, self.where = heading, where
        self.section, _, self.text = heading.partition(" ")
        self.file, self.old, self.new, self.program, self.tests = "", [], [], "", []

    def pattern(self):
        return re.compile(r"\n\s*".join(re.escape(line.strip()) for line in self.old))

    def planted(self, text):
        # It can be shorter than what stands there; what stays unused is no error of the tests.
        return self.pattern().sub(lambda _: "\n".join(self.new), text, count=1)

    def chosen_by(self, word):
        if re.fullmatch(r"\d+(\.\d+)?", word):
            return self.section == word or self.section.startswith(word + ".")
        return word in self.heading or word in self.file


def read_all(root):
    mutants = []
    for path in sorted((root / "tests/mutants").glob("*.txt")):
        read(path, f"tests/mutants/{path.name}", mutants)
    return mutants


def read(path, name, mutants):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("== "):
            mutants.append(Mutant(line[3:], f"{name}:{number}"))
        elif not line:
            continue
        elif line[:2] in ("- ", "+ "):
            (mutants[-1].old if line[0] == "-" else mutants[-1].new).append(line[2:])
        elif line.startswith("! "):
            mutants[-1].program, *mutants[-1].tests = line[2:].split()
        else:
            mutants[-1].file = line


def tests_of(root):
    return {f"{suite}.{name}" for path in (root / "tests").rglob("*.cc") for suite, name in
            re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text(), re.M)}


def misfits(root, mutants):
    tests = tests_of(root)
    for mutant in mutants:
        where = mutant.where
        path = root / mutant.file
        count = len(mutant.pattern().findall(path.read_text())) if path.is_file() else 0
        if count != 1:
            yield f"{where}: its text stands {count} times in {mutant.file}"
        for test in mutant.tests:
            if test.split("/")[0] not in tests:
                yield f"{where}: there is no test {test}"
        if not mutant.tests:
            yield f"{where}: it names no test"


def rule_of(mutant, rules):
    """The rule that the text names: all of it, or its first words; `: ` and more words may follow."""
    parts = mutant.text.split(": ")
    for end in range(len(parts), 0, -1):
        name = ": ".join(parts[:end])
        named = [rule for rule in rules if rule == name]
        named = named or [rule for rule in rules if rule.startswith(name)]
        if len(named) == 1:
            return named[0]
    return None


def uncovered(root, mutants):
    """Rules without a defect that one of their tests finds."""
    rules = {}
    for section, rule, tests, _ in covered((root / "tests/rules.md").read_text()):
        rules.setdefault(section, {}).setdefault(rule, set()).update(tests)
    found, tried = set(), set()
    for mutant in mutants:
        rule = rule_of(mutant, rules.get(mutant.section, {}))
        tried.add((mutant.section, rule))
        if rule and rules[mutant.section][rule] & set(mutant.tests):
            found.add((mutant.section, rule))
    for section, listed in rules.items():
        for rule in listed:
            if (section, rule) in found:
                continue
            what = "none of its tests finds a defect" if (section, rule) in tried else "it has no defect"
            yield f"tests/rules.md: section {section}, {rule!r}: {what} of tests/mutants/"


def end_all_of(build):
    """Attendants have sessions of their own, and one with a defect may go on for good."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "exe").startswith(f"{build}/"):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            pass  # It has ended, or is another user's.


def run_test(program, test, limit):
    """Whether it passes; None: it takes longer than the limit."""
    try:
        return subprocess.run([str(program), f"--gtest_filter={test}:*/{test}:*/{test}/*"], capture_output=True,
                              timeout=limit, cwd=program.parent).returncode == 0
    except subprocess.TimeoutExpired:
        return None
    finally:
        end_all_of(program.parent)


def seconds_of(chosen, build):
    """How long each test may take; all must pass without a defect."""
    limits, failed = {}, []
    for mutant in chosen:
        for test in mutant.tests:
            if test in limits:
                continue
            begin = time.monotonic()
            if not run_test(build / mutant.program, test, SECONDS_MAX):
                failed.append(test)
            limits[test] = max(SECONDS_MIN, 10 * (time.monotonic() - begin))
    if failed:
        sys.exit("\n".join(f"mutants: {test} fails without any defect" for test in failed))
    return limits


def survivors(mutant, source, build, limits):
    """The tests that do not find it, or why that cannot be said."""
    path = source / mutant.file
    before = path.read_text()
    path.write_text(mutant.planted(before))
    try:
        built = subprocess.run(["ninja", "-C", str(build), mutant.program], capture_output=True, text=True)
        if built.returncode != 0:
            return ["it does not compile: " + "\n".join(
                line for line in built.stdout.splitlines() if "error" in line)[:400]]
        return [test for test in mutant.tests if run_test(build / mutant.program, test, limits[test])]
    finally:
        path.write_text(before)


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    mutants = read_all(root)
    problems = list(misfits(root, mutants))
    if "--check" in sys.argv:
        problems += uncovered(root, mutants)
    if problems or "--check" in sys.argv:
        print("\n".join(problems) or f"{len(mutants)} mutants fit, and every rule has one")
        return 1 if problems else 0
    build = pathlib.Path(sys.argv[2]).resolve()
    words = sys.argv[3:]
    chosen = [m for m in mutants if not words or any(map(m.chosen_by, words))]
    source = build / "source"
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, source / name, copy_function=copy_changed, dirs_exist_ok=True)
        elif (root / name).exists():
            copy_changed(root / name, source / name)
    configure = ["cmake", "-S", str(source), "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
                 "-DCMAKE_CXX_FLAGS=-O0"]
    subprocess.run(configure, check=True, stdout=subprocess.DEVNULL)
    programs = sorted({m.program for m in chosen})
    subprocess.run(["ninja", "-C", str(build), *programs], check=True, stdout=subprocess.DEVNULL)
    limits = seconds_of(chosen, build)
    failed = 0
    for mutant in chosen:
        alive = survivors(mutant, source, build, limits)
        failed += bool(alive)
        print(f"{'SURVIVES' if alive else 'found'}: {mutant.heading} ({mutant.file})"
              + "".join(f"\n    {test}" for test in alive), flush=True)
    print(f"mutants: {len(chosen)} planted, {failed} not found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
