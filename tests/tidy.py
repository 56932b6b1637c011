#!/usr/bin/env python3
"""The rules of the tree that no compiler checks: who may include whom, what stays pure.

    tidy.py ROOT            exit 1 and a line per problem: file:line: what

Run by ctest and by ./dev lint.
"""

import pathlib
import re
import sys

# A folder may include its own headers and those of the folders named here.
MAY_USE = {
    "base": set(),
    "workflow": {"base"},
    "protocol": {"base"},
    "config": {"base", "workflow", "protocol"},
    "storage": {"base"},
    "coordinator": {"base", "workflow", "protocol", "storage"},
    "worker": {"base", "protocol"},
    "worker/attendant": {"base"},
    "simulation": {"base", "workflow", "protocol", "storage", "coordinator", "worker"},
    "cli": {"base", "workflow", "protocol", "config", "storage", "coordinator", "worker", "worker/attendant", "simulation"},
}
# The worker's daemon and what starts attendants for it know the attendant's spool.
EXTRA = {f"worker/{name}.cc": {"worker/attendant"} for name in ("worker_daemon", "attendant_pool")}

# An outside library's headers, and the files that may include them. JSON, fmt and CLI11 are for .cc
# files only; the others have one home each.
HOMES = {
    r"yaml-cpp/": {"workflow"},
    r"zmq(_addon)?\.hpp|zmq\.h": {"protocol"},
    r"msgpack": {"protocol"},
    r"rocksdb/": {"storage"},
    r"systemd/": {"cli"},
    r"httplib": {"cli"},
    r"prometheus/": {"cli"},
}
OUTSIDE = r"yaml-cpp/|zmq|msgpack|rocksdb/|nlohmann/|fmt/|spdlog/|CLI/|curl/|httplib|prometheus/"

# Headers that only their own module's .cc files include.
PRIVATE_HEADERS = {"worker/attendant/json_text.h"}

# Cores: no clock, thread, socket, file, random device or hash order.
CORES = ["coordinator", "worker", "simulation"]
EDGE = re.compile(r"(_daemon|^client_service|^background|^attendant_pool)\.(h|cc)$")
IMPURE_HEADERS = r"<(thread|mutex|atomic|condition_variable|random|filesystem|fstream|iostream|ctime|unordered_map|unordered_set|sys/.*|unistd\.h|fcntl\.h|poll\.h|signal\.h|time\.h)>"
IMPURE_WORDS = r"\b(system_clock|steady_clock|random_device|getenv|std::rand)\b"

WIDTH = 100
problems = []


def complain(path, number, text):
    problems.append(f"{path}:{number}: {text}")


def module_of(path):
    parts = path.parts
    if parts[:2] == ("worker", "attendant"):
        return "worker/attendant"
    return parts[0]


def check_includes(path, number, line, homes):
    match = re.match(r'#include ([<"])(.+)[>"]', line)
    if not match:
        return
    quoted, header = match.group(1) == '"', match.group(2)
    module = module_of(path)
    if quoted and module in MAY_USE:
        target = module_of(pathlib.Path(header))
        allowed = MAY_USE[module] | {module} | EXTRA.get(str(path), set())
        if "/" not in header:
            complain(path, number, f'"{header}" must be given from the root of the tree')
        elif target not in allowed:
            complain(path, number, f"{module}/ may not include {target}/")
    if quoted:
        return
    public = path.suffix == ".h" and str(path) not in PRIVATE_HEADERS
    if public and path.parts[0] != "tests" and re.match(OUTSIDE, header):
        complain(path, number, f"<{header}> belongs into a .cc file, not into a header")
    if path.parts[0] == "tests":
        return
    for pattern, modules in HOMES.items():
        if re.match(pattern, header):
            homes.setdefault(pattern, set()).add(str(path))
            if module not in modules:
                complain(path, number, f"<{header}> may be included only in {', '.join(modules)}/")


def check_pure(path, number, line):
    if path.parts[0] not in CORES or path.parts[:2] == ("worker", "attendant"):
        return
    if EDGE.search(path.name):
        return
    if re.search(IMPURE_HEADERS, line) or re.search(IMPURE_WORDS, line.split("//")[0]):
        complain(path, number, "a core knows no clock, thread, file, socket or hash order")


def check_file(root, path, homes):
    text = (root / path).read_text()
    lines = text.split("\n")
    if path.suffix == ".h" and "#pragma once" not in text:
        complain(path, 1, "a header begins with its contract and #pragma once")
    for number, line in enumerate(lines, 1):
        if len(line) > WIDTH and "http" not in line and 'R"' not in text:
            complain(path, number, f"{len(line)} columns; the limit is {WIDTH}")
        check_includes(path, number, line, homes)
        check_pure(path, number, line)


def check_listed(root, sources):
    listed = set()
    for cmake in root.glob("**/CMakeLists.txt"):
        if "build" in cmake.relative_to(root).parts:
            continue
        folder = cmake.parent.relative_to(root)
        for name in re.findall(r"[\w./-]+\.cc\b", cmake.read_text()):
            listed.add(str(folder / name))
    for path in sources:
        if path.suffix == ".cc" and str(path) not in listed:
            complain(path, 1, "no CMakeLists.txt lists this file")


def main():
    root = pathlib.Path(sys.argv[1])
    folders = list(MAY_USE) + ["tests", "bench"]
    sources = sorted(
        {
            path.relative_to(root)
            for folder in folders
            for path in (root / folder).glob("**/*")
            if path.suffix in (".h", ".cc")
        }
    )
    homes = {}
    for path in sources:
        check_file(root, path, homes)
    for pattern, paths in homes.items():
        if len(paths) > 1:
            complain(sorted(paths)[1], 1, f"{pattern} is included by more than one file: {sorted(paths)}")
    check_listed(root, sources)
    print("\n".join(problems) or f"{len(sources)} files are in order")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
