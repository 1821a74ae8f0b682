"""What one check came to."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How good it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """One check on one subject: what was found, and unless all is well, what to do next."""

    check: str
    subject: str
    level: Level
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Unread:
    """What could not be asked, and why. `forbidden`: this account may not, which says nothing about the operator."""

    why: str
    forbidden: bool = False


def well(check: str, subject: str, message: str) -> Outcome:
    """All is well."""
    return Outcome(check, subject, Level.OK, message)


def warn(check: str, subject: str, message: str, hint: str) -> Outcome:
    """It works, or may; somebody should look."""
    return Outcome(check, subject, Level.WARNING, message, hint)


def fail(check: str, subject: str, message: str, hint: str) -> Outcome:
    """It does not work."""
    return Outcome(check, subject, Level.FAILED, message, hint)


def not_known(check: str, subject: str, unread: Unread, hint: str) -> Outcome:
    """Whether all is well is not known: a warning where only this account may not look."""
    level = Level.WARNING if unread.forbidden else Level.FAILED
    return Outcome(check, subject, level, f"not known: {unread.why}", hint)


def worst(outcomes: Iterable[Outcome]) -> Level:
    """The worst level of all."""
    levels = list(Level)
    return max((outcome.level for outcome in outcomes), key=levels.index, default=Level.OK)
