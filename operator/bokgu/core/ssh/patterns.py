"""Lists of patterns for names: PATTERNS of ssh_config(5)."""

import re
from dataclasses import dataclass

_LONGEST = 1022  # Bytes; OpenSSH lets a list with a longer pattern match nothing.


@dataclass(frozen=True)
class PatternList:
    """Patterns in which `*` stands for any bytes and `?` for one; with `!` before it a pattern takes names out.

    A name is in the list if a pattern matches it and none with `!` does, wherever in the list that stands.
    """

    patterns: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Whether the name is in the list."""
        # OpenSSH compares bytes; what JSON may carry that is not UTF-8 matches nothing but a wildcard.
        data = name.encode(errors="surrogatepass")
        found = {pattern.startswith("!") for pattern in self.patterns if _matches(pattern.removeprefix("!"), data)}
        return found == {False}

    def __str__(self) -> str:
        return ",".join(self.patterns)


def parse_patterns(text: str) -> PatternList:
    """Patterns with commas between them. Raises ValueError for an empty or too long one."""
    patterns = tuple(text.split(","))
    for pattern in patterns:
        if not 0 < len(pattern.removeprefix("!").encode()) <= _LONGEST:
            raise ValueError(f"there is an empty or too long pattern in {text!r}")
    return PatternList(patterns)


def _matches(pattern: str, name: bytes) -> bool:
    """Each part between two `*` is taken where it comes first and never moved again, so that time stays linear."""
    first, *rest = (re.escape(part).replace(rb"\?", b".") for part in pattern.encode().split(b"*"))
    middle = b"".join(b"(?>.*?" + part + b")" for part in rest[:-1])
    last = b".*" + rest[-1] if rest else b""
    return re.fullmatch(first + middle + last, name, re.DOTALL) is not None
