#!/usr/bin/env python3
"""Runs all tests of both packages, and searches their output for tokens, webhook secrets and e-mail addresses.

The output is all that the tests print, and the logs and responses that they capture. They append the latter to files in the
directory that `KEEP_OUTPUT` names, together with the secrets and addresses to search for. Arguments are passed to `cargo test`.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "test-output"

# Any address is a leak, also one that no test has seeded.
ADDRESS = re.compile(rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
# A shorter seed may be part of any text.
MIN_SEED_BYTES = 8


def main(arguments):
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    print("The output of the tests is kept, and searched for secrets at the end.", flush=True)
    failed = run(arguments)
    leaks, is_too_little = search()
    for leak in leaks[:20]:
        print(leak, file=sys.stderr)
    if failed:
        sys.exit(failed)
    if leaks:
        sys.exit(f"not ok: {len(leaks)} lines of what the tests have printed hold a secret or an address")
    if is_too_little:
        print("too little output was kept to search", file=sys.stderr)
        # With arguments, only tests that keep nothing may have run.
        sys.exit(0 if arguments else 1)


def run(arguments):
    """Runs cargo, shows and keeps its output, and returns its exit code."""
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
    """Returns the lines with secrets or addresses, and whether too little was kept for the search to prove anything."""
    seeds = set((KEPT / "seeded").read_bytes().splitlines()) if (KEPT / "seeded").exists() else set()
    # A seed that `ADDRESS` matches needs no search of its own.
    exact = sorted(seed for seed in seeds if len(seed) >= MIN_SEED_BYTES and not seed.startswith(b"arn:") and not ADDRESS.fullmatch(seed))
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
    """Returns the line with a hash in place of each secret, so that different leaks can be distinguished."""
    for pattern in sought:
        line = pattern.sub(lambda found: b"[" + hashlib.sha256(found[0]).hexdigest()[:8].encode() + b"]", line)
    return line.decode(errors="replace").strip()[:300]


main(sys.argv[1:])
