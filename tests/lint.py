#!/usr/bin/env python3
"""Formatting, clang-tidy and the rules of the tree, over all files that git knows.

    lint.py ROOT BUILD_DIR [FILE...]

clang-tidy looks only at files whose text, headers or configuration have changed since they were last
found clean; BUILD_DIR/lint remembers that. Most of its time goes into the headers that a file includes,
so several files of a folder are looked at as one (a source that includes them), if they do not define
the same names; where anything is found in such a batch, its files are looked at one by one, and what
is said of them then counts. Ends in a line `lint: N files, M problems`.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

BATCH_MAX = 8
DEFINED = re.compile(r"^(?:"
                     r"(?:struct|class|enum class|#define) (?P<type>\w+)|using (?P<alias>\w+) ="
                     r"|(?!namespace|template)\w[\w:<>,*&\[\] ]*?[ *&](?P<value>\w+)(?:\(|\{| =|;|\[)"
                     r"|[A-Z_]+\((?P<suite>\w+), (?P<test>\w+))")


def digest_of(root, headers, command, source):
    digest = hashlib.sha256()
    for path in [root / ".clang-tidy", pathlib.Path(source)] + headers:
        digest.update(path.read_bytes())
    digest.update(command.encode())
    return digest.hexdigest()


class Job:
    def __init__(self, source, mark, flags, names):
        self.source, self.mark, self.flags, self.names = source, mark, flags, names


def flags_of(entry):
    words = shlex.split(entry["command"])
    end = words.index("-o")
    return [w for w in words[1:end] if w != "-c"]


def names_in(path):
    """What a file defines outside of any braces, roughly: two files that share none of it go together."""
    names = set()
    for line in path.read_text().split("\n"):
        if found := DEFINED.match(line):
            names.add(found["type"] or found["alias"] or found["value"] or
                       f"{found['suite']}.{found['test']}")
    return names


def batches_of(jobs):
    """Parts of at most BATCH_MAX files of one folder, with the same flags and no name twice."""
    batches = []
    for job in sorted(jobs, key=lambda job: job.source):
        for batch in batches:
            first = batch[0]
            if (len(batch) < BATCH_MAX and first.flags == job.flags
                    and os.path.dirname(first.source) == os.path.dirname(job.source)
                    and not any(job.names & other.names for other in batch)):
                batch.append(job)
                break
        else:
            batches.append([job])
    return sorted(batches, key=len, reverse=True)


def main():
    root, build = (pathlib.Path(a).resolve() for a in sys.argv[1:3])
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
    seen = set()
    for entry in database:
        source = os.path.relpath(entry["file"], root)
        if source not in files or source in seen:  # Once, also if two targets compile it.
            continue
        seen.add(source)
        mark = clean / digest_of(root, headers, entry["command"], entry["file"])
        if not mark.exists():
            jobs.append(Job(source, mark, flags_of(entry), names_in(root / source)))

    def tidy(job):
        done = subprocess.run(["clang-tidy", "-quiet", "-p", str(build),
                               "-extra-arg=-Wno-unknown-warning-option", job.source],
                              cwd=root, capture_output=True, text=True)
        if done.returncode == 0:
            job.mark.touch()
            return ""
        return done.stdout + "\n".join(
            line for line in done.stderr.split("\n") if "warnings generated" not in line)

    def tidy_batch(batch):
        if len(batch) > 1:
            text = "".join(f'#include "{root / job.source}"\n' for job in batch)
            together = clean / (hashlib.sha256(text.encode()).hexdigest()[:16] + ".cc")
            together.write_text(text)
            done = subprocess.run(["clang-tidy", "-quiet", f"--config-file={root / '.clang-tidy'}",
                                   "--checks=-bugprone-suspicious-include",
                                   f"--header-filter=^{re.escape(str(root))}/[a-z].*",
                                   str(together), "--", "-Wno-unknown-warning-option",
                                   *batch[0].flags], cwd=build, capture_output=True)
            together.unlink()
            if done.returncode == 0:
                for job in batch:
                    job.mark.touch()
                return []
        return [tidy(job) for job in batch]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for outputs in pool.map(tidy_batch, batches_of(jobs)):
            for output in filter(None, outputs):
                failed += 1
                print(output, flush=True)

    print(f"lint: {len(files)} files, {failed} problems")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
