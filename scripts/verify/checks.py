"""The result of a check: a line on standard output, or an exception."""

import sys


class NotOk(Exception):
    """A failed check. The text says what was checked and what was seen."""


def ok(what):
    print(f"ok: {what}")
    sys.stdout.flush()


def require(condition, what, seen):
    """Checks a condition, and prints nothing if it is true."""
    if not condition:
        raise NotOk(f"{what}: {seen}")


def expect(condition, what, seen):
    """Checks a condition, and prints a line if it is true."""
    require(condition, what, seen)
    ok(what)
