"""Which lines of a log are evidence: what to search for, and what of it to quote."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from bokgu.api.observed import LogLine
from bokgu.api.redaction import redact_quote

MAX_LINES = 50
"""Lines that are kept of one search."""
SAME = 5
"""Lines that differ in numbers only, of which the others say nothing new."""
EXAMINED = 2000
"""Lines that are looked at, the latest ones: what one search finds."""
REDACTED_LINES = 64
"""Lines that are redacted, which is the work: those that say nothing new are left out before, as far as can be told."""

_TERMS = (
    *("ERROR", "Error", "error", "FATAL", "Fatal", "fatal", "CRITICAL", "Exception", "exception", "Traceback"),
    *("panic", "Panic", "WARN", "SIGTERM", "SIGKILL", "Killed", "signal 9", "abort", "Abort", "failed", "Failed"),
    *("refused", "REFUSED", "timed out", "timeout", "Timeout", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN", "ECONNRESET"),
    *("unreachable", "Unavailable", "unavailable", "denied", "Denied", "Forbidden", "Unauthorized", "hrottl"),
    *("Too Many Requests", "No space left", "ENOSPC", "memory", "Memory", "corrupt", "Corrupt", "mismatch"),
)
ERROR_PATTERN = " ".join(f'?"{term}"' for term in _TERMS)
"""Any of these terms, which are case-sensitive and may be part of a word (Amazon CloudWatch Logs User Guide, "Filter
pattern syntax"); at most 1024 characters (API_FilterLogEvents)."""

_SHOWN = 300
_NUMBERS = re.compile(r"(?<![0-9a-fA-F])(?=[a-fA-F]*+\d)[0-9a-fA-F]++")
"""Decimal and hexadecimal; each is looked for where it begins only, so that long ones take no long time."""


def choose_lines(lines: Iterable[LogLine]) -> tuple[LogLine, ...]:
    """The latest lines, oldest first: redacted, each at most 300 characters, few of those that say the same."""
    raw: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    chosen: list[LogLine] = []
    redacted = 0
    for line in list(lines)[: -EXAMINED - 1 : -1]:
        if not _is_new(line.text.lstrip()[:_SHOWN], raw):
            continue
        redacted += 1
        text = redact_quote(line.text)
        if text and _is_new(text, shapes):
            chosen.append(replace(line, text=text))
        if len(chosen) == MAX_LINES or redacted == REDACTED_LINES:
            break
    return tuple(reversed(chosen))


def _is_new(text: str, shapes: Counter[str]) -> bool:
    """Count the text, by all that is no number in it: whether few before it said the same."""
    shape = _NUMBERS.sub("0", text)
    shapes[shape] += 1
    return shapes[shape] <= SAME
