"""Checks of the template and of the function's package with the tools of AWS and cargo."""

import json
import os
import subprocess
from pathlib import Path

from checks import NotOk, expect, ok

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ["CARGO_TARGET_DIR"])

# A temporary directory, which `__main__` sets.
WORK = None


def run(*command):
    """Runs a command, which must succeed, and returns its standard output."""
    # This machine's compiler, whose output is cached already. By default, cargo-lambda builds with zig.
    environment = os.environ | {"CARGO_LAMBDA_COMPILER": "cargo"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise NotOk(f"{' '.join(map(str, command))}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def lint():
    run("sam", "validate", "--lint")
    ok("sam validate --lint")
    output = run("cfn-lint", "template.yaml", "doorman/src/deploy/template.json")
    expect(not output, "cfn-lint reports nothing", output)


def artifact():
    return WORK / "build" / "Doorman" / "bootstrap"


def build():
    # This machine's architecture, because arm64 would need a cross-compiler.
    run("sam", "build", "--build-dir", WORK / "build", "--parameter-overrides", "Architecture=x86_64")
    expect(os.access(artifact(), os.X_OK), "sam build makes an executable bootstrap", "it does not exist, or is not executable")
    # Lambda allows 250 MB, but a small file starts faster.
    size = artifact().stat().st_size
    expect(size < 10_000_000, f"the bootstrap has {size} bytes, less than 10 MB", size)

    check_separation()


def check_separation():
    """The function contains no crate that only the command line depends on.

    A program contains the source paths of panics, and so the names of its crates.
    """
    of_function, of_command_line = dependencies("hub-doorman"), dependencies("doorman")
    every = of_function | of_command_line
    in_command_line, in_function = crates_in(TARGET / "debug" / "doorman", every), crates_in(artifact(), every)
    expect(in_command_line - of_function, "the command line contains crates of its own", sorted(in_command_line))
    expect(in_function, f"the bootstrap shows {len(in_function)} crates that it contains", "none")
    others = sorted(in_function - of_function)
    expect(not others, "and none of them is a dependency of the command line alone", others)


def dependencies(package):
    """Returns the crates that a package depends on at run time, as `name-version`."""
    tree = run("cargo", "tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}")
    packages = [line.split() for line in tree.splitlines() if "(proc-macro)" not in line]
    return {f"{name}-{version.removeprefix('v')}" for name, version, *_ in packages}


def crates_in(program, names):
    """Returns the crates among `names` whose source paths are in the program."""
    content = program.read_bytes()
    return {name for name in names if f"/{name}/src/".encode() in content}


def cargo_lambda():
    """Deploys with cargo-lambda as a dry run, which makes no calls and needs no account."""
    package = TARGET / "lambda" / "hub-doorman" / "bootstrap.zip"
    try:
        output = run("cargo", "lambda", "deploy", "hub-doorman", "--dry", "--output-format", "json")
    finally:
        package.unlink(missing_ok=True)
    # Messages about the progress come before the JSON.
    plan = json.loads(output[output.index("{") :])
    seen = (plan["arch"], plan["files"], plan["config"]["runtime"])
    expect(seen == ("x86_64", ["bootstrap"], "provided.al2023"), "cargo lambda deploy --dry", seen)
