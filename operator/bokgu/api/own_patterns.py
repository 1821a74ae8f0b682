"""Own patterns: what an organisation hides beside the built-in redaction, such as its customers' numbers.

They are simple regular expressions, whose cost has a bound: characters, classes and escapes one after the other, each
of which may repeat. What repeats never gives characters back (possessive, Python's re), so that nothing backtracks; a
pattern that would need that to match is refused. A text costs at most its looked-at length times the longest match.
"""

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bokgu.api.redaction import REDACTED

MAX_PATTERNS = 16
LONGEST_PATTERN = 200
"""Characters of a pattern."""
LOOKED_AT = 2048
"""Characters of a text that are looked at: quotes come from the first 1024 of them."""
REPEATS = 128
"""How often `*`, `+` and `{n,}` repeat at most."""
LONGEST_MATCH, SHORTEST_MATCH = 512, 4
"""Characters that a pattern may match at most, and must at least: of shorter ones too much is found everywhere."""

TEXT_MEMBERS = frozenset(
    {
        "FailureMessage",
        "message",
        "reason",
        "rolloutStateReason",
        "statusReason",
        "stoppedReason",
    }
)
"""Members of AWS's answers and events that hold text for people: API_AutomationExecution; API_ServiceEvent,
API_FilteredLogEvent, ErrorInformation of CodeDeploy; API_Container, API_Rollback and the state of an alarm;
API_Deployment; API_ServiceDeployment; API_Task."""

DECIDED_ON = (
    "(service x) rolling back to deployment ecs-svc/1.",
    "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.",
    "Service deployment rolled back because of alarm: rolling back to service revision 1.",
    "(service x) has reached a steady state.",
    "(service x) has started 3 tasks: (task 1).",
    "Task failed ELB health checks in (target-group arn).",
    "Task failed container health checks",
    "(port 80) is unhealthy in target-group x due to (reason Health checks failed with these codes: [502]).",
    "(service x) was unable to stop or start tasks because of the service deployment configuration.",
    "CannotPullContainerError: pull image manifest has been retried 5 time(s): manifest unknown",
    "CannotStartContainerError: failed to create task: no space left on device",
    "ResourceInitializationError: unable to pull secrets: AccessDeniedException: is not authorized to perform",
    "OutOfMemoryError: container killed due to memory usage",
    "Scaling activity initiated by (deployment ecs-svc/1)",
    "Your Spot Task was interrupted.",
    "Capacity is unavailable at this time.",
    "MISSING",
    "ERROR connection refused: i/o timeout, ThrottlingException: Rate exceeded",
)
"""What decisions rest on, as ECS and logs say it: a pattern that finds anything in these hides too much."""

_ATOM = re.compile(r"\[\^?(?:\\[^\w\s]|\\[dws]|[^\[\]\\])+\]|\\[dwsDWS]|\\[^\w\s]|[^\\\[\](){}*+?|^$]")
_REPEAT = re.compile(r"\?|\*|\+|\{(\d{1,3})(?:(,)(\d{0,3}))?\}")
_USUAL = tuple(map(chr, range(128)))


class BadPattern(ValueError):
    """A pattern cannot be used; the text says why, and what to write instead."""


@dataclass(frozen=True)
class _Piece:
    """One character or class, and how often it comes."""

    text: str
    least: int
    most: int

    @property
    def varies(self) -> bool:
        return self.least != self.most

    @property
    def source(self) -> str:
        return f"(?:{self.text}){{{self.least},{self.most}}}+"

    def matches(self, characters: Iterable[str]) -> frozenset[str]:
        return frozenset(filter(re.compile(self.text).fullmatch, characters))


@dataclass(frozen=True)
class OwnPatterns:
    """Patterns that `compile_patterns` has found good."""

    compiled: tuple[re.Pattern[str], ...] = ()

    def hide(self, text: str) -> str:
        """The text with `[redacted]` in the place of what a pattern matches, within its first 2048 characters."""
        if not self.compiled:
            return text
        text = text.lstrip()
        head, tail = text[:LOOKED_AT], text[LOOKED_AT:]
        for pattern in self.compiled:
            head = pattern.sub(REDACTED, head)
        return head + tail

    def hide_members(self, content: Any) -> Any:
        """Content as JSON has it, with what its members for people say hidden."""
        if not self.compiled:
            return content
        if isinstance(content, Mapping):
            return {name: self._hide_member(name, value) for name, value in content.items()}
        if isinstance(content, list) and content and isinstance(content[0], dict | list):
            return [self.hide_members(item) for item in content]
        return content

    def _hide_member(self, name: object, value: Any) -> Any:
        if isinstance(value, str):
            return self.hide(value) if name in TEXT_MEMBERS else value
        return self.hide_members(value)


def compile_patterns(patterns: Iterable[str]) -> OwnPatterns:
    """Patterns that may be used. Raises BadPattern."""
    found = tuple(patterns)
    if len(found) > MAX_PATTERNS:
        raise BadPattern(f"{len(found)} patterns: {MAX_PATTERNS} may be set")
    compiled = []
    for number, pattern in enumerate(found, 1):
        try:
            compiled.append(_compile(pattern))
        except BadPattern as error:
            raise BadPattern(f"pattern {number}, {pattern[:LONGEST_PATTERN]!r}: {error}") from error
    return OwnPatterns(tuple(compiled))


def _compile(pattern: str) -> re.Pattern[str]:
    if len(pattern) > LONGEST_PATTERN:
        raise BadPattern(f"it is longer than {LONGEST_PATTERN} characters")
    body = pattern.removeprefix(r"\b")
    at_end = body.endswith(r"\b") and not body.endswith(r"\\b")
    pieces = _split(body.removesuffix(r"\b") if at_end else body)
    _check_lengths(pieces)
    _check_giving_back(pieces, set(pattern), at_end=at_end)
    begin, end = (r"\b" if there else "" for there in (body != pattern, at_end))
    compiled = re.compile("".join([begin, *(piece.source for piece in pieces), end]))
    for message in DECIDED_ON:
        if found := compiled.search(message):
            raise BadPattern(f"it would hide {found[0]!r} of ECS's {message!r}, which decisions rest on: narrow it")
    return compiled


def _split(body: str) -> list[_Piece]:
    pieces, at = [], 0
    while at < len(body):
        atom = _ATOM.match(body, at)
        if atom is None:
            raise BadPattern(
                f"{body[at:][:8]!r} is not understood: use characters, classes such as [A-Z], \\d, \\w, \\s, the"
                " repeats ? * + {2,5}, and \\b at an end; write two patterns for two alternatives"
            )
        repeat = _REPEAT.match(body, atom.end())
        text = atom[0]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                re.compile(text)
        except (re.error, Warning) as error:
            raise BadPattern(f"{text!r}: {error}") from error
        pieces.append(_Piece(text, *_read_repeat(repeat)))
        at = repeat.end() if repeat else atom.end()
    return pieces


def _read_repeat(repeat: re.Match[str] | None) -> tuple[int, int]:
    if repeat is None:
        return 1, 1
    if repeat[0] in "?*+":
        return {"?": (0, 1), "*": (0, REPEATS), "+": (1, REPEATS)}[repeat[0]]
    least = int(repeat[1])
    most = least if not repeat[2] else int(repeat[3] or max(REPEATS, least))
    if most < least:
        raise BadPattern(f"{repeat[0]}: the second number is the smaller one")
    return least, most


def _check_lengths(pieces: list[_Piece]) -> None:
    least, most = (sum(getattr(piece, name) for piece in pieces) for name in ("least", "most"))
    if least < SHORTEST_MATCH:
        raise BadPattern(f"it matches {least} characters, and must match {SHORTEST_MATCH} at least")
    if most > LONGEST_MATCH:
        raise BadPattern(
            f"it matches up to {most} characters, and may match {LONGEST_MATCH}; * and + stand for up to {REPEATS}"
        )


def _check_giving_back(pieces: list[_Piece], named: set[str], *, at_end: bool) -> None:
    """What repeats takes all that it can. So what follows must not be among it, or it would never be found."""
    characters = (*_USUAL, *(chr(min(ord(c) + more, 0x10FFFF)) for c in named for more in (0, 1)))
    sets = [piece.matches(characters) for piece in pieces]
    for number, piece in enumerate(pieces):
        if not piece.varies:
            continue
        for other, after in zip(pieces[number + 1 :], sets[number + 1 :], strict=True):
            if sets[number] & after:
                raise BadPattern(
                    f"{piece.text} repeats, and {other.text} behind it may be the same character: repeat it a fixed"
                    " number of times, or part them by another one"
                )
            if other.least:
                break
        else:
            if at_end and not all(re.match(r"\w", c) for c in sets[number]):
                raise BadPattern(rf"{piece.text} repeats before \b and is not of word characters only: leave \b out")
