#!/usr/bin/env python3
"""Check, and check + split, of import users: this program beside ajv in Node, alternating.

    npm install                       # once, here
    cargo build --release             # once, at the top
    ./run.py USERS.ndjson [--rounds 3] [--bench EXECUTABLE]

Prints the medians of CPU seconds (user + system), the largest memory and the ratios. With the executable of
`cargo bench --bench import` also the schema alone, and whether both accept the same rows by it.
"""
import argparse
import filecmp
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..", "..")


def measure(command, accepted):
    """Runs a command and returns its CPU seconds and MiB. Exits unless its status is one of `accepted`."""
    with open(os.devnull, "w") as null:
        child = subprocess.Popen(command, stdout=null, stderr=null, cwd=HERE)
        _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status) not in accepted:
        sys.exit(f"failed: {' '.join(command)}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("users")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--program", default=os.path.join(TOP, "target", "release", "user-import-export"))
    arguments.add_argument("--bench", nargs="*", default=[])
    options = arguments.parse_args()
    users = os.path.abspath(options.users)
    directory = tempfile.mkdtemp(prefix="compare-import-")
    chunks = os.path.join(directory, "chunks")
    ours = [options.program, "import", users, "--dry-run"]
    theirs = ["node", "ajv.mjs", users]
    work = {
        ("check", "ours"): ours,
        ("check", "ajv"): theirs,
        ("check + split", "ours"): [*ours, "--chunks", chunks],
        ("check + split", "ajv"): [*theirs, "--chunks", chunks],
    }
    benches = [path for path in options.bench if os.access(path, os.X_OK)]
    if benches:
        bench = os.path.abspath(max(benches, key=os.path.getmtime))
        schema_command = [bench, "--schema", users]
        verdicts = [os.path.join(directory, name) for name in ("ours", "ajv")]
        measure([*schema_command, "--verdicts", verdicts[0]], (0,))
        measure([*theirs, "--verdicts", verdicts[1]], (0,))
        if not filecmp.cmp(*verdicts, shallow=False):
            sys.exit("the schema's verdicts differ")
        print(f"{os.path.getsize(verdicts[0])} rows, the same verdicts of the schema")
        work = {("schema", "ours"): schema_command, **work}
    figures = {name: [] for name in work}
    for _ in range(options.rounds):
        for name, command in work.items():
            shutil.rmtree(chunks, ignore_errors=True)
            # The status of this program is 1 if there are invalid rows.
            figures[name].append(measure(command, (0, 1) if name[1] == "ours" else (0,)))
    print(f"{'':16}{'CPU s':>8}{'MiB':>8}")
    median = {}
    for name, runs in figures.items():
        median[name] = statistics.median(seconds for seconds, _ in runs)
        print(f"{' '.join(name):20}{median[name]:8.2f}{max(size for _, size in runs):8.0f}")
    for task, other, goal in (("schema", "check", 0.25), ("check", "check", 0.25), ("check + split", "check + split", 0.20)):
        if (task, "ours") in median:
            ratio = median[(task, "ours")] / median[(other, "ajv")]
            print(f"{task}: {ratio:.3f} of ajv (goal {goal:.2f})")
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
