"""Facts about the Hub, and what comes of comparing them with a Hub.

A fact is a sentence with its evidence. Its function makes the calls and returns what it saw. If nobody has observed the fact yet,
nothing is expected, and what was seen is printed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hub import BROKEN

# The evidence of a fact: the Hub's documentation, its OpenAPI description, observed on the Hub, the source of its Python client,
# reported by others, inferred, or never observed.
MARKS = ("doc", "spec", "seen", "client", "rep", "inf", "unknown")

AS_EXPECTED, DIFFERS, UNKNOWN, NOT_WALKED = "as expected", "differs", "unknown until now", "not walked"
OUTCOMES = (AS_EXPECTED, DIFFERS, UNKNOWN, NOT_WALKED)


class NotWalked(Exception):
    """The Hub did not get into the state that a fact is about. The text says why."""


class NotAllowed(NotWalked):
    """The walk was not allowed to do what the fact needs."""


@dataclass(frozen=True)
class Fact:
    sentence: str
    mark: str
    observe: Callable
    expected: Any = None


@dataclass(frozen=True)
class Beyond:
    """A fact that one account cannot walk, and what it would need."""

    sentence: str
    mark: str
    needs: str


@dataclass
class Section:
    """The facts of one topic, in the order in which they are walked."""

    title: str
    facts: list[Fact] = field(default_factory=list)
    beyond: list[Beyond] = field(default_factory=list)

    def fact(self, sentence, mark, expected=None):
        """Adds the decorated function, which takes a `Walk` and returns what it saw."""

        def add(observe):
            self.add(sentence, mark, observe, expected)
            return observe

        return add

    def add(self, sentence, mark, observe, expected=None):
        if mark not in MARKS or (mark == "unknown") != (expected is None):
            raise ValueError(f"{sentence!r}: the mark {mark!r} and what is expected do not fit")
        self.facts.append(Fact(sentence, mark, observe, expected))

    def needs(self, needs, *facts):
        """Adds facts that one account cannot walk, each a sentence with its mark."""
        self.beyond.extend(Beyond(sentence, mark, needs) for sentence, mark in facts)


@dataclass(frozen=True)
class Result:
    outcome: str
    seen: Any

    @property
    def fails(self):
        return self.outcome == DIFFERS or self.outcome == NOT_WALKED and not isinstance(self.seen, NotAllowed)


def walk_fact(fact, walk):
    """Observes a fact, and compares what was seen with what is expected."""
    try:
        seen = fact.observe(walk)
    except NotWalked as why:
        return Result(NOT_WALKED, why)
    except (*BROKEN, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        # There is no response, or it has another shape than any that is known.
        return Result(UNKNOWN if fact.mark == "unknown" else DIFFERS, f"{type(error).__name__}: {error}")
    if fact.mark == "unknown":
        return Result(UNKNOWN, seen)
    return Result(AS_EXPECTED if seen == fact.expected else DIFFERS, seen)
