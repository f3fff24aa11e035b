"""How a check says what came of it."""

import sys


class NotOk(Exception):
    """A check that failed: what was checked, and what was seen instead."""


def ok(what):
    print(f"ok: {what}")
    sys.stdout.flush()


def require(condition, what, seen):
    """Part of a check, which says nothing if all is well."""
    if not condition:
        raise NotOk(f"{what}: {seen}")


def expect(condition, what, seen):
    """A check of one condition."""
    require(condition, what, seen)
    ok(what)
