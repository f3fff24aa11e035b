"""The desk in a real browser: Debian's Chromium, driven by Playwright. `tests/desk/` has the tests."""

import os
import re
import shutil
import subprocess

import tools
from checks import expect, ok

TESTS = tools.ROOT / "tests" / "desk"
MODULES = tools.TARGET / "desk-browser"


def check():
    environment = os.environ | {"DESK_MODULES": str(MODULES), "CHROMIUM": chromium()}
    install_modules()
    done = subprocess.run(
        # The tests mostly wait for decisions that can be undone, so both files run at once.
        ["node", "--test", "--test-reporter=spec", "--test-concurrency=2", "owner.test.mjs", "trouble.test.mjs"],
        cwd=TESTS,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    passed = re.search(r"^ℹ pass (\d+)$", done.stdout, re.MULTILINE)
    expect(done.returncode == 0, f"{passed[1] if passed else 0} tests of the desk in a browser", done.stdout[-20_000:])


def chromium():
    """Returns the path of Chromium. On a machine without it, Debian's is installed."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    subprocess.run([*sudo, "apt-get", "update", "-qq"], **quiet)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
    subprocess.run([*sudo, "env", "DEBIAN_FRONTEND=noninteractive", *install], **quiet)
    ok("Chromium is installed")
    return shutil.which("chromium")


def install_modules():
    """Installs Playwright and axe-core beside the other tools, if they are not there in the versions of the lock file."""
    lock = (TESTS / "package-lock.json").read_text()
    marker = MODULES / "installed.json"
    if marker.exists() and marker.read_text() == lock:
        return
    MODULES.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(TESTS / name, MODULES)
    subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=MODULES, check=True)
    marker.write_text(lock)
