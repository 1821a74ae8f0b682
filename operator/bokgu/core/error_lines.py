"""Which lines of a log are evidence: what to search for, and what of it to quote."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from bokgu.api.fields import bounded
from bokgu.api.observed import LogLine
from bokgu.core.redaction import redact

MAX_LINES = 50
"""Lines that are kept of one search."""
SAME = 5
"""Lines that differ in numbers only, of which the others say nothing new."""
READ = 4096
"""Characters of a line that are looked at."""

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

_NUMBERS = re.compile(r"[0-9a-fA-F]*\d[0-9a-fA-F]*")


def choose_lines(lines: Iterable[LogLine]) -> tuple[LogLine, ...]:
    """The latest lines, oldest first: redacted, each at most 300 characters, few of those that say the same."""
    shapes: Counter[str] = Counter()
    chosen: list[LogLine] = []
    for line in reversed(list(lines)):
        text = bounded(redact(_beginning(line.text)))
        shape = _NUMBERS.sub("0", text)
        shapes[shape] += 1
        if not text or shapes[shape] > SAME:
            continue
        chosen.append(replace(line, text=text))
        if len(chosen) == MAX_LINES:
            break
    return tuple(reversed(chosen))


def _beginning(text: str) -> str:
    """The first words of a long line: a cut within a word could leave half a secret that nobody recognises."""
    text = text.strip()
    return text if len(text) <= READ else text[:READ].rpartition(" ")[0]
