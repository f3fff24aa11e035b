"""Installs the wheel of the command line as a new user would, with Python only, and uses it against the stand-in Hub."""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from time import perf_counter
from urllib.request import Request, urlopen

from checks import NotOk, expect, require
from running import Hub
from tools import ROOT, TARGET, run

# The time from an empty directory to the first plan.
MAX_SECONDS = 20
REPO = "acme/gated-model"


def check():
    """Checks a wheel of the debug build. A release checks its own."""
    run(sys.executable, ROOT / "scripts" / "release.py", "trial")
    [wheel] = (TARGET / "dist" / "trial").glob("*.whl")
    check_wheel(wheel)


def check_wheel(wheel):
    with Hub() as hub, tempfile.TemporaryDirectory() as directory:
        start, processor_start = perf_counter(), processor_seconds()
        computer = Computer(Path(directory), hub)
        computer.install(wheel)
        plan = computer.run("hub-doorman", "plan", REPO)
        seconds, processor = perf_counter() - start, processor_seconds() - processor_start
        expect("\taccept\t" in plan, "with Python only, the wheel is installed and makes a plan", plan)
        # Other work on this machine does not count.
        what = f"in {seconds:.1f} s, {processor:.1f} s of them computing, less than {MAX_SECONDS}"
        expect(processor < MAX_SECONDS, what, "slower")

        for command in (["doorman"], ["python", "-m", "hub_doorman"]):
            require(computer.run(*command, "plan", REPO) == plan, f"{command} makes the same plan", "another one")
        accepted = plan.count("\taccept\t")
        review = computer.run("doorman", "review", "--yes", REPO)
        expect(accepted == len(accepted_users(hub)) == review.count("\taccept"), f"doorman review accepts {accepted} users", review)
        failed = computer.start("hub-doorman", "no-such-command").returncode
        expect(failed == 2, "the script hub-doorman keeps the exit status of the program", failed)


def processor_seconds():
    """The processor time of all commands so far."""
    times = os.times()
    return times.children_user + times.children_system


class Computer:
    """An empty folder, a virtual environment, and no other program."""

    def __init__(self, folder, hub):
        self.folder, self.scripts = folder, folder / "environment" / "bin"
        venv.create(folder / "environment", with_pip=True)
        names = ("HF_ENDPOINT", "HF_TOKEN", "APPROVAL_POLICY")
        self.environment = {name: hub.settings[name] for name in names} | {"PATH": str(self.scripts), "HOME": str(folder)}

    def install(self, wheel):
        self.run("python", "-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", str(wheel))

    def run(self, *command):
        done = self.start(*command)
        if done.returncode:
            raise NotOk(f"{' '.join(command)}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, program, *arguments):
        command = [self.scripts / program, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60)


def accepted_users(hub):
    url = f"{hub.settings['HF_ENDPOINT']}/api/models/{REPO}/user-access-request/accepted"
    with urlopen(Request(url, headers={"Authorization": f"Bearer {hub.settings['HF_TOKEN']}"})) as response:
        return json.load(response)
