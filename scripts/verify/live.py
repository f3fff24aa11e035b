"""Walks the facts about the Hub on the stand-in Hub. The walk on the real Hub is the same."""

import os
import re
import signal
import subprocess
import sys
import urllib.request

from checks import expect, require
from running import Hub
from tools import ROOT

# The namespace of the account.
NAMESPACE = "owner"


def check():
    with Hub() as hub:
        done = subprocess.run(command(), env=environment(hub), capture_output=True, text=True)
        lines = done.stdout.splitlines()
        shown = "\n".join([*faults(lines), done.stderr])
        require(done.returncode == 0, "the stand-in Hub behaves differently from the facts", shown)
        expect(re.match(r"[1-9]\d+ as expected, 0 differs, .* 0 not walked", lines[-1]), f"on the stand-in: {lines[-1]}", shown)
        require(hub.settings["HF_TOKEN"] not in done.stdout + done.stderr, "the walk does not print the token", "the token")
        expect(not left(hub), "the walk has deleted what it made", left(hub))
    for number in (signal.SIGINT, signal.SIGTERM):
        check_stop(number)


def check_stop(number):
    """A walk that is stopped in the middle deletes what it made."""
    with Hub() as hub, subprocess.Popen(command(), env=environment(hub), stdout=subprocess.PIPE, text=True) as walk:
        before = next(line for line in walk.stdout if line.startswith("== access requests")), left(hub)
        walk.send_signal(number)
        rest = walk.stdout.read()
        passes = "ended early: stopped by" in rest and walk.wait() == 1 and len(before[1]) == 2 and not left(hub)
        expect(passes, f"after {number.name}, the walk deletes what it made", (before, rest, left(hub)))


def faults(lines):
    """The lines about facts that differ or were not walked, and the last ones."""
    is_shown, shown = False, []
    for line in lines:
        if not line.startswith(" "):
            is_shown = not line.startswith(("as expected", "unknown until now", "needs ", "==")) and bool(line)
        if is_shown:
            shown.append(line)
    return shown


def command():
    return [sys.executable, ROOT / "tests" / "live" / "walk.py", "--yes", "--public"]


def environment(hub):
    return os.environ | {name: hub.settings[name] for name in ("HF_ENDPOINT", "HF_TOKEN")} | {"HF_LIVE_NAMESPACE": NAMESPACE}


def left(hub):
    """The repos, webhooks and collections of the account."""
    paths = [f"api/{kind}?author={NAMESPACE}" for kind in ("models", "datasets")]
    paths += ["api/settings/webhooks", f"api/collections?owner={NAMESPACE}"]
    headers = {"Authorization": f"Bearer {hub.settings['HF_TOKEN']}"}
    found = []
    for path in paths:
        request = urllib.request.Request(f"{hub.settings['HF_ENDPOINT']}/{path}", headers=headers)
        with urllib.request.urlopen(request) as response:
            body = response.read().decode()
        found += [path] if body != "[]" else []
    return found
