#!/usr/bin/env python3
"""Runs all tests, and searches everything that is printed, logged and answered in them for what must never be there: tokens,
webhook secrets and e-mail addresses. Arguments are cargo's.

The tests keep what they capture themselves, and whom and what they have seeded, in the directory that `KEEP_OUTPUT` names.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "test-output"

# Whoever it is: no address has any business there.
ADDRESS = re.compile(rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
# Below this a seed may be part of anything, as `x` is.
SHORTEST = 8


def main(arguments):
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    print("What the tests print, log and answer is kept, and searched at the end.", flush=True)
    failed = run(arguments)
    leaks, is_too_little = search()
    for leak in leaks[:20]:
        print(leak, file=sys.stderr)
    if failed:
        sys.exit(failed)
    if leaks:
        sys.exit(f"not ok: {len(leaks)} lines of what the tests have printed hold what must never be seen")
    if is_too_little:
        print("nothing was kept, so nothing was searched", file=sys.stderr)
        # Whoever asks for some of the tests may have asked for those that keep nothing.
        sys.exit(0 if arguments else 1)


def run(arguments):
    """Cargo's exit code; what it prints is shown and kept."""
    command = ["cargo", "test", *arguments]
    environment = os.environ | {"KEEP_OUTPUT": str(KEPT), "RUST_TEST_NOCAPTURE": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with (KEPT / "console").open("wb") as console:
        for line in process.stdout:
            console.write(line)
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
    return process.wait()


def search():
    """The lines that hold what must never be there, and whether too little was kept for that to mean anything."""
    seeds = set((KEPT / "seeded").read_bytes().splitlines()) if (KEPT / "seeded").exists() else set()
    # Of addresses only those that do not look like one have to be searched for by themselves.
    exact = sorted(seed for seed in seeds if len(seed) >= SHORTEST and not seed.startswith(b"arn:") and not ADDRESS.fullmatch(seed))
    sought = [ADDRESS, *([re.compile(b"|".join(map(re.escape, exact)))] if exact else [])]
    leaks, lines = [], 0
    for name in ("console", "output"):
        path = KEPT / name
        if not path.exists():
            continue
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                lines += 1
                if any(pattern.search(line) for pattern in sought):
                    leaks.append(f"{path}:{number}: {without_secrets(line, sought)}")
    return leaks, not exact or lines < 100


def without_secrets(line, sought):
    """The line as it may be shown, with a hash instead of what leaked, so that one leak is told from another."""
    for pattern in sought:
        line = pattern.sub(lambda found: b"[" + hashlib.sha256(found[0]).hexdigest()[:8].encode() + b"]", line)
    return line.decode(errors="replace").strip()[:300]


main(sys.argv[1:])
