#!/usr/bin/env python3
"""Plants the defects of tests/mutants.txt one by one and sees that the tests named find them.

    mutants.py ROOT BUILD_DIR [WORDS...]   those whose heading or file has one of the words, else all
    mutants.py ROOT --check                only that each still fits the sources and names real tests

Works in a copy of the tree beside BUILD_DIR's. Exit 1 and a line per defect that a test did not find.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import time

COPIED = ["base", "bench", "cli", "cmake", "config", "coordinator", "deploy", "docs", "examples", "fuzz",
          "protocol", "simulation", "storage", "tests", "worker", "workflow", "CMakeLists.txt"]
SECONDS_MIN = 20  # That a test may take, and ten times what it takes without a defect.


def copy_changed(source, target):
    """A file that stays as it is keeps its time, so that it is not compiled again; a changed one gets a new time."""
    data = pathlib.Path(source).read_bytes()
    target = pathlib.Path(target)
    if not target.exists() or target.read_bytes() != data:
        target.write_bytes(data)


class Mutant:
    def __init__(self, heading, number):
        self.heading, self.number = heading, number
        self.file, self.old, self.new, self.program, self.tests = "", [], [], "", []

    def pattern(self):
        return re.compile(r"\n\s*".join(re.escape(line.strip()) for line in self.old))

    def planted(self, text):
        # It can be shorter than what stands there; what stays unused is no error of the tests.
        return self.pattern().sub(lambda _: "\n".join(self.new), text, count=1)


def read(path):
    mutants = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("== "):
            mutants.append(Mutant(line[3:], number))
        elif not line or line.startswith("#") and not mutants:
            continue
        elif line[:2] in ("- ", "+ "):
            (mutants[-1].old if line[0] == "-" else mutants[-1].new).append(line[2:])
        elif line.startswith("! "):
            mutants[-1].program, *mutants[-1].tests = line[2:].split()
        else:
            mutants[-1].file = line
    return mutants


def tests_of(root):
    return {f"{suite}.{name}" for path in (root / "tests").rglob("*.cc") for suite, name in
            re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text(), re.M)}


def misfits(root, mutants):
    tests = tests_of(root)
    for mutant in mutants:
        where = f"tests/mutants.txt:{mutant.number}"
        path = root / mutant.file
        count = len(mutant.pattern().findall(path.read_text())) if path.is_file() else 0
        if count != 1:
            yield f"{where}: its text stands {count} times in {mutant.file}"
        for test in mutant.tests:
            if test.split("/")[0] not in tests:
                yield f"{where}: there is no test {test}"
        if not mutant.tests:
            yield f"{where}: it names no test"


def run_test(program, test, limit):
    """Whether it passes; None: it takes longer than the limit."""
    try:
        return subprocess.run([str(program), f"--gtest_filter={test}:*/{test}:*/{test}/*"], capture_output=True,
                              timeout=limit, cwd=program.parent).returncode == 0
    except subprocess.TimeoutExpired:
        return None


def seconds_of(chosen, build):
    """How long each test may take; it must pass without a defect."""
    limits = {}
    for mutant in chosen:
        for test in mutant.tests:
            if test in limits:
                continue
            begin = time.monotonic()
            if not run_test(build / mutant.program, test, None):
                sys.exit(f"mutants: {test} fails without any defect")
            limits[test] = max(SECONDS_MIN, 10 * (time.monotonic() - begin))
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
    mutants = read(root / "tests/mutants.txt")
    problems = list(misfits(root, mutants))
    if problems or "--check" in sys.argv:
        print("\n".join(problems) or f"{len(mutants)} mutants fit")
        return 1 if problems else 0
    build = pathlib.Path(sys.argv[2]).resolve()
    words = sys.argv[3:]
    chosen = [m for m in mutants if not words or any(w in m.heading or w in m.file for w in words)]
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
