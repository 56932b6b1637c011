#!/usr/bin/env python3
"""Holds tests/rules.md against the language page and the tests.

    rules.py ROOT            exit 1 and a line per problem
    rules.py ROOT --list     the rules of the page, as rules.md needs them

A rule of docs/language.md is an item of a list or a row of a table. rules.md has, under the heading of
each section that it covers, a line per rule: `* RULE` and the tests that hold it. RULE is the first
cell of the row, or the first words of the item. Tables there may name tests for rules in other words.
"""

import pathlib
import re
import sys

FIRST_WORDS = 8


def words_of(text):
    return re.sub(r"\s+", " ", text).strip()


def first_cell(row):
    cells = re.split(r"(?<!\\)\|", row.strip().strip("|"))
    return words_of(cells[0])


def rules_of(page):
    """Section number → its rules in order."""
    rules = {}
    section = ""
    item = None
    in_code = False
    lines = page.splitlines() + [""]
    for number, line in enumerate(lines):
        if line.startswith("```"):
            in_code = not in_code
        heading = re.match(r"#+ (\d+(?:\.\d+)?) ", line)
        if heading and not in_code:
            section = heading.group(1)
        goes_on = item is not None and line.startswith("  ")
        if item is not None and not goes_on:
            rules.setdefault(section_of_item, []).append(" ".join(item.split(" ")[:FIRST_WORDS]))
            item = None
        if in_code or not section:
            continue
        if line.startswith("* "):
            item = words_of(line[2:])
            section_of_item = section
        elif goes_on:
            item = words_of(item + " " + line)
        elif line.startswith("|") and not re.match(r"\|[-|]+\|?$", line):
            # The row above the dashes names the columns.
            if re.match(r"\|[-|]+\|?$", lines[number + 1]):
                continue
            rules.setdefault(section, []).append(first_cell(line))
    return rules


def tests_of(root):
    names = set()
    for path in (root / "tests").rglob("*.cc"):
        for suite, name in re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text(), re.M):
            names.add(f"{suite}.{name}")
    for path in (root / "tests" / "e2e").glob("*.py"):
        for name in re.findall(r"^\s*def (test_\w+)", path.read_text(), re.M):
            names.add(name)
    return names


def named_in_tables(text):
    """(test or suite, line number) of what stands in tables as `Suite.Name` or `Suite.*`."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|"):
            for name in re.findall(r"`([A-Z]\w+\.(?:\w+|\*))`", line):
                yield name, number


def covered(text):
    """(section, rule, tests, line number) of each line of rules.md."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        heading = re.match(r"#+ (\d+(?:\.\d+)?) ", line)
        if heading:
            section = heading.group(1)
        match = re.match(r"\* (.*?) → (.*)$", line)
        if match:
            yield section, match.group(1), match.group(2).split(", "), number


def main():
    root = pathlib.Path(sys.argv[1])
    rules = rules_of((root / "docs/language.md").read_text())
    if "--list" in sys.argv:
        for section, listed in rules.items():
            print(f"## {section}")
            for rule in listed:
                print(f"* {rule} → ")
        return 0
    tests = tests_of(root)
    problems = []
    found = {}
    sections = set()
    text = (root / "tests/rules.md").read_text()
    suites = {name.split(".")[0] + ".*" for name in tests}
    for name, number in named_in_tables(text):
        if name not in tests | suites:
            problems.append(f"tests/rules.md:{number}: there is no test {name}")
    for section, rule, names, number in covered(text):
        sections.add(section)
        found.setdefault(section, []).append(rule)
        if rule not in rules.get(section, []):
            problems.append(f"tests/rules.md:{number}: section {section} of the page has no rule {rule!r}")
        for name in names:
            if name not in tests:
                problems.append(f"tests/rules.md:{number}: there is no test {name}")
    for section in sorted(sections):
        for rule in rules.get(section, []):
            if rule not in found[section]:
                problems.append(f"tests/rules.md: no test is named for {rule!r} in section {section}")
    print("\n".join(problems) or f"{sum(map(len, found.values()))} rules have tests")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
