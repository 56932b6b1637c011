#!/usr/bin/env python3
"""Formatting, clang-tidy and the rules of the tree, over all files that git knows.

    lint.py ROOT BUILD_DIR [FILE...]

clang-tidy looks only at files whose text, headers or configuration have changed since they were last
found clean; BUILD_DIR/lint remembers that. Ends in a line `lint: N files, M problems`.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys


def digest_of(root, headers, command, source):
    digest = hashlib.sha256()
    for path in [root / ".clang-tidy", pathlib.Path(source)] + headers:
        digest.update(path.read_bytes())
    digest.update(command.encode())
    return digest.hexdigest()


def main():
    root, build = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    wanted = set(sys.argv[3:])
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "*.cc", "*.h"],
        capture_output=True, text=True).stdout.split()
    if not listed:
        sys.exit(f"lint: git lists no files in {root}")
    files = [f for f in listed if (root / f).exists() and (not wanted or f in wanted)]
    failed = 0

    for number in range(0, len(files), 50):
        part = files[number:number + 50]
        done = subprocess.run(["clang-format", "--dry-run", "-Werror"] + part, cwd=root)
        failed += done.returncode != 0

    failed += subprocess.run([sys.executable, str(root / "tests/tidy.py"), str(root)]).returncode != 0

    clean = build / "lint"
    clean.mkdir(exist_ok=True)
    headers = sorted(root / f for f in listed if f.endswith(".h") and (root / f).exists())
    database = json.loads((build / "compile_commands.json").read_text())
    jobs = []
    for entry in database:
        source = os.path.relpath(entry["file"], root)
        if source not in files:
            continue
        mark = clean / digest_of(root, headers, entry["command"], entry["file"])
        if not mark.exists():
            jobs.append((source, mark))

    def tidy(job):
        source, mark = job
        done = subprocess.run(["clang-tidy", "-quiet", "-p", str(build),
                               "-extra-arg=-Wno-unknown-warning-option", source],
                              cwd=root, capture_output=True, text=True)
        if done.returncode == 0:
            mark.touch()
            return ""
        return done.stdout + "\n".join(
            line for line in done.stderr.split("\n") if "warnings generated" not in line)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for output in pool.map(tidy, jobs):
            if output:
                failed += 1
                print(output, flush=True)

    print(f"lint: {len(files)} files, {failed} problems")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
