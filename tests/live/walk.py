#!/usr/bin/env python3
"""Walks every fact about the Hub that one account can walk, on the real Hub or on its stand-in.

    HF_TOKEN=… HF_LIVE_NAMESPACE=… tests/live/walk.py

The walk makes a private model and a private dataset with random names in the namespace, a webhook and a private collection. It
compares what it sees with each fact. It deletes what it made, also after Ctrl-C. It makes about 500 calls, and changes nothing that it
did not make. HF_ENDPOINT is the Hub, as for huggingface_hub. The exit code is 0 if no fact differs, 1 if one does or was not reached, 2
if nothing was made, and 3 if something could not be deleted.
"""

import argparse
import os
import re
import secrets
import signal
import sys
from collections import Counter

from facts import AS_EXPECTED, DIFFERS, NOT_WALKED, OUTCOMES, NotWalked, walk_fact
from hub import BROKEN, Hub, Stopped
from sections import ALL
from throwaway import Walk

ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}", re.IGNORECASE)
MOST_CHARACTERS = 400
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Output:
    """Prints without the token, the secret of the webhook, and e-mail addresses."""

    def __init__(self, *secret):
        self.secret = [text for text in secret if text]

    def line(self, text=""):
        for secret in self.secret:
            text = text.replace(secret, "[secret]")
        print(ADDRESS.sub("[address]", text), flush=True)

    def value(self, name, value):
        text = repr(value)
        if len(text) > MOST_CHARACTERS:
            text = f"{text[:MOST_CHARACTERS]}… ({len(text)} characters)"
        self.line(f"{'':18}{name}: {text}")


def main():
    arguments = parse()
    token, namespace = (os.environ.get(name, "").strip() for name in ("HF_TOKEN", "HF_LIVE_NAMESPACE"))
    for name, value in (("HF_TOKEN", token), ("HF_LIVE_NAMESPACE", namespace)):
        if not value:
            sys.exit(
                f"walk: {name} is not set; set it to "
                + ("a token that may write" if name == "HF_TOKEN" else "your user name or an organization")
            )
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    output = Output(token)
    for number in SIGNALS:
        signal.signal(number, end)
    try:
        suffix = secrets.token_hex(6)
        walk = Walk(Hub(endpoint, token, suffix), namespace, suffix, arguments.public)
        output.secret.append(walk.secret)
        identify(walk)
        confirm(arguments, walk, output)
    except (Stopped, KeyboardInterrupt, *BROKEN) as error:
        output.line(f"walk: {error or 'nothing was made'}")
        sys.exit(2)
    sys.exit(run(walk, output))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--yes", action="store_true", help="do not ask before making anything")
    parser.add_argument(
        "--public", action="store_true", help="make the dataset public for some seconds, for the facts about public files"
    )
    return parser.parse_args()


def end(number, _):
    """Ends the walk at the first signal, so that what it made is deleted. A second signal does not interrupt that."""
    ignore_signals()
    raise KeyboardInterrupt(f"stopped by {signal.Signals(number).name}")


def ignore_signals():
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def identify(walk):
    response = walk.hub.get("/api/whoami-v2")
    if response.status != 200:
        raise Stopped(f"the Hub does not know the token: {response.status} {response.message}")
    who = response.json()
    walk.user, walk.user_id = who["name"], who["id"]


def confirm(arguments, walk, output):
    seen = "public for some seconds" if walk.is_public else "private"
    output.line(f"Hub: {walk.hub.endpoint}, account: {walk.user}")
    output.line(
        f"The walk makes the model {walk.model.name} (private), the dataset of the same name ({seen}), a webhook and a private"
    )
    output.line("collection. It makes about 500 calls, takes some minutes, and deletes what it made at the end.")
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise Stopped("standard input is no terminal; confirm with --yes")
    if input("Begin? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Stopped("nothing was made")


def run(walk, output):
    """Walks all facts, deletes what was made, and returns the exit code."""
    counts, stopped, fails = Counter(), None, False
    try:
        walk.create()
        for section in ALL:
            fails |= walk_section(section, walk, output, counts)
    except KeyboardInterrupt as error:
        stopped = str(error)
    except (Stopped, NotWalked, *BROKEN) as error:
        stopped = str(error)
    finally:
        left = clean_up(walk, output)
    if stopped is None:
        show_beyond(output)
    else:
        output.line(f"The walk ended early: {stopped}")
    output.line()
    output.line(f"{', '.join(f'{counts[outcome]} {outcome}' for outcome in OUTCOMES)}; {len(walk.hub.responses)} calls")
    if left:
        return 3
    return 1 if stopped or fails else 0


def walk_section(section, walk, output, counts):
    """Walks a section, prints its facts, and returns whether one of them fails."""
    output.line(f"\n== {section.title}")
    fails = False
    for fact in section.facts:
        result = walk_fact(fact, walk)
        counts[result.outcome] += 1
        fails |= result.fails
        output.line(f"{result.outcome:18}{fact.sentence} ({fact.mark})")
        if result.outcome == DIFFERS:
            output.value("expected", fact.expected)
        if result.outcome == NOT_WALKED:
            output.line(f"{'':18}because {result.seen}")
        elif result.outcome != AS_EXPECTED:
            output.value("seen", result.seen)
    return fails


def clean_up(walk, output):
    """Deletes what was made, and says what could not be deleted. No signal interrupts it."""
    ignore_signals()
    output.line("\n== clean-up")
    left = walk.delete()
    for line in left:
        output.line(f"could not be deleted: {line}")
    if not left:
        output.line("deleted: the model, the dataset, webhooks and collections of the walk")
    return left


def show_beyond(output):
    output.line("\n== cannot be walked by one account")
    for section in ALL:
        for fact in section.beyond:
            output.line(f"needs {fact.needs}: {fact.sentence} ({fact.mark})")


if __name__ == "__main__":
    main()
