"""What AWS's and cargo's tools make of the template and of the function."""

import json
import os
import subprocess
from pathlib import Path

from checks import NotOk, expect, ok

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ["CARGO_TARGET_DIR"])

# A directory for files that are not to stay; set by whoever runs the checks.
WORK = None


def run(*command):
    """The standard output of a command that must succeed."""
    # Its own compiler, and so the one whose work is already there; by default cargo-lambda takes zig.
    environment = os.environ | {"CARGO_LAMBDA_COMPILER": "cargo"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise NotOk(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def lint():
    run("sam", "validate", "--lint")
    ok("sam validate --lint")
    said = run("cfn-lint", "template.yaml")
    expect(not said, "cfn-lint has nothing to say", said)


def artifact():
    return WORK / "build" / "Doorman" / "bootstrap"


def build():
    # The processors of this machine; arm64 would take its compiler.
    run("sam", "build", "--build-dir", WORK / "build", "--parameter-overrides", "Architecture=x86_64")
    expect(os.access(artifact(), os.X_OK), "sam build makes a bootstrap", "none, or none to be executed")
    # Lambda allows 250 MB; this is a function that has to start fast.
    size = artifact().stat().st_size
    expect(size < 10_000_000, f"the bootstrap has {size} bytes, less than 10 MB", size)

    check_separation()


def check_separation():
    """Nothing that only the command line is made of is in the function: each crate leaves the paths of its panics."""
    everything, functions = crates(), crates("--no-default-features")
    in_command_line, in_function = found(everything, TARGET / "debug" / "doorman"), found(everything, artifact())
    expect(in_command_line - functions, "the command line has crates of its own", sorted(in_command_line))
    expect(in_function, f"the bootstrap tells {len(in_function)} crates that it is made of", "none")
    expect(in_function <= functions, "and none of them is only the command line's", sorted(in_function - functions))


def crates(*options):
    lines = run("cargo", "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", *options).splitlines()
    packages = [line.split() for line in lines if "(proc-macro)" not in line]
    return {f"{name}-{version.removeprefix('v')}" for name, version, *_ in packages}


def found(names, program):
    text = program.read_bytes()
    return {name for name in names if f"/{name}/src/".encode() in text}


def deploy():
    """cargo-lambda's deployment as far as it goes without an account; a dry run makes no call."""
    package = TARGET / "lambda" / "hub-doorman" / "bootstrap.zip"
    try:
        said = run("cargo", "lambda", "deploy", "hub-doorman", "--dry", "--output-format", "json")
    finally:
        package.unlink(missing_ok=True)
    # What it does comes before the JSON.
    said = json.loads(said[said.index("{") :])
    seen = (said["arch"], said["files"], said["config"]["runtime"])
    expect(seen == ("x86_64", ["bootstrap"], "provided.al2023"), "cargo lambda deploy --dry", seen)
