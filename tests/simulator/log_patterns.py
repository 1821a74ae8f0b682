"""Filter patterns of CloudWatch Logs: which log events they match, and the fields they extract.

Follows the CloudWatch Logs user guide, "Filter pattern syntax for metric filters, subscription filters, filter log
events, and Live Tail".
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Fields = dict[str, Any]
"""What a pattern takes out of a message: the JSON object, or the space-delimited fields by name and by number."""
Match = Callable[[str], Fields | None]
"""The fields of a message that matches; None when it does not."""

_TERM = re.compile(r'\s*([?-]?)\s*(?:"((?:[^"\\]|\\.)*)"|%((?:[^%\\]|\\.)+)%|([^\s"]+))')
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<regex>%(?:[^%\\]|\\.)+%)|(?P<symbol>&&|\|\||!=|<=|>=|[=<>(){}\[\],])"""
    r"""|(?P<word>(?:[^\s=!<>(){},&|\[\]"]|\[\d+\]|\[\*\]|!(?!=)|&(?!&)|\|(?!\|))+))"""
)
_STEP = re.compile(r"\.([A-Za-z0-9_$-]+)|\[(\d+|\*)\]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_DELIMITED = re.compile(r'\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)')
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class LogPatternError(ValueError):
    """The text is not a filter pattern."""


@functools.lru_cache(maxsize=1000)
def compile_pattern(text: str) -> Match:
    """What `text` matches; the empty pattern matches everything. LogPatternError when it makes no sense."""
    stripped = text.strip()
    if not stripped:
        return lambda _message: {}
    if stripped.startswith("{"):
        return _compile_json(stripped)
    if stripped.startswith("["):
        return _compile_delimited(stripped)
    return _compile_terms(stripped)


# Terms: all plain ones, one of the `?` ones, and none of the `-` ones. Case sensitive; a term may be part of a word.


def _compile_terms(text: str) -> Match:
    kinds: dict[str, list[Callable[[str], bool]]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise LogPatternError("Invalid character(s) in term")
        at = found.end()
        sign, quoted, regular, plain = found.groups()
        if regular is not None:
            kinds[sign].append(functools.partial(_search, _compile_regular(regular)))
        elif quoted is not None:
            kinds[sign].append(functools.partial(_contains, _unescape(quoted)))
        elif re.fullmatch(r"[\w]+", plain) is None:
            # "terms that include characters other than alphanumeric or underscore must be placed inside double quotes"
            raise LogPatternError(f"Invalid character(s) in term '{plain}'")
        else:
            kinds[sign].append(functools.partial(_contains, plain))

    def match(message: str) -> Fields | None:
        wanted = all(has(message) for has in kinds[""])
        # "If you combine ? with other filter patterns, the question mark (?) will be ignored": with such a term.
        one_of = not kinds["?"] or kinds[""] or kinds["-"] or any(has(message) for has in kinds["?"])
        return {} if wanted and one_of and not any(has(message) for has in kinds["-"]) else None

    return match


def _contains(term: str, message: str) -> bool:
    return term in message


def _search(pattern: re.Pattern[str], message: str) -> bool:
    return pattern.search(message) is not None


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _compile_regular(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise LogPatternError(f"Invalid regular expression: {error}") from error


# Conditions, of JSON and of space-delimited patterns


@dataclass(frozen=True)
class _Operand:
    """The right side of a comparison, as text, as a regular expression, or both as number and text."""

    text: str
    quoted: bool
    regular: re.Pattern[str] | None

    @property
    def number(self) -> float | None:
        return float(self.text) if not self.quoted and _NUMBER.fullmatch(self.text) else None

    def fits(self, value: str) -> bool:
        """Equal, with `*` standing for any text."""
        if self.regular is not None:
            return self.regular.search(value) is not None
        parts = self.text.split("*")
        return re.fullmatch(".*".join(re.escape(part) for part in parts), value, re.DOTALL) is not None


def _compare(value: object, sign: str, operand: _Operand) -> bool:
    """Whether `value sign operand`; objects, arrays, null and what is missing fit nothing."""
    if isinstance(value, dict | list) or value is None:
        return False
    number = operand.number
    if sign not in ("=", "!="):
        left = _read_number(value)
        return number is not None and left is not None and _COMPARE[sign](left, number)
    left = _read_number(value)
    if number is not None and left is not None:
        equal = left == number
    else:
        equal = operand.fits(json.dumps(value) if isinstance(value, bool) else str(value))
    return equal == (sign == "=")


def _read_number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


class _Tokens:
    """The tokens of a pattern in braces or brackets."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise LogPatternError(f"Invalid character at position {at}")
            self._tokens.append((str(found.lastgroup), found[found.lastgroup or 0]))
            at = found.end()
        self._at = 0

    def peek(self) -> tuple[str, str]:
        """The next token; ("end", "") after the last."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def take(self, symbol: str | None = None) -> tuple[str, str]:
        """The next token, which has to be `symbol` if given."""
        token = self.peek()
        if token[0] == "end" or (symbol is not None and token != ("symbol", symbol)):
            raise LogPatternError(f"Expected {symbol or 'more'} before {token[1] or 'the end'}")
        self._at += 1
        return token

    def skip(self, *symbols: str) -> str | None:
        """Take the next token if it is one of `symbols`."""
        kind, text = self.peek()
        if text in symbols and kind in ("symbol", "word"):
            self._at += 1
            return text
        return None

    def operand(self) -> _Operand:
        """The right side of a comparison."""
        kind, text = self.take()
        if kind == "string":
            return _Operand(_unescape(text[1:-1]), True, None)
        if kind == "regex":
            return _Operand(text, True, _compile_regular(text[1:-1]))
        if kind != "word":
            raise LogPatternError(f"Expected a value, not {text}")
        return _Operand(text, False, None)


Condition = Callable[[Any], bool]


def _parse_any(tokens: _Tokens, parse_one: Callable[[_Tokens], Condition]) -> Condition:
    """Conditions joined by || and &&, "parenthesis > && > ||"."""

    def parse_or() -> Condition:
        parts = [parse_and()]
        while tokens.skip("||"):
            parts.append(parse_and())
        return lambda subject: any(part(subject) for part in parts)

    def parse_and() -> Condition:
        parts = [parse_operand()]
        while tokens.skip("&&"):
            parts.append(parse_operand())
        return lambda subject: all(part(subject) for part in parts)

    def parse_operand() -> Condition:
        if tokens.skip("("):
            inner = parse_or()
            tokens.take(")")
            return inner
        return parse_one(tokens)

    return parse_or()


# JSON: { $.path = value && … }

_ABSENT = object()


def _compile_json(text: str) -> Match:
    tokens = _Tokens(text)
    tokens.take("{")
    condition = _parse_any(tokens, _parse_selector)
    tokens.take("}")
    if tokens.peek()[0] != "end":
        raise LogPatternError("Text after the closing brace")

    def match(message: str) -> Fields | None:
        try:
            value = json.loads(message)
        except ValueError:
            return None
        return value if isinstance(value, dict) and condition(value) else None

    return match


def _parse_selector(tokens: _Tokens) -> Condition:
    kind, path = tokens.take()
    if kind != "word" or not path.startswith("$"):
        raise LogPatternError(f"Expected a selector that begins with $, not {path}")
    select = functools.partial(read_selector, path)
    read_selector(path, {})
    if tokens.skip("IS"):
        word = tokens.take()[1]
        expected = {"NULL": None, "TRUE": True, "FALSE": False}
        if word not in expected:
            raise LogPatternError(f"Expected NULL, TRUE or FALSE after IS, not {word}")
        return lambda root: any(value is expected[word] for value in select(root))
    if tokens.skip("NOT"):
        if not tokens.skip("EXISTS"):
            raise LogPatternError("Expected EXISTS after NOT")
        return lambda root: not select(root)
    if tokens.skip("EXISTS"):
        return lambda root: bool(select(root))
    sign = _take_sign(tokens)
    operand = tokens.operand()
    return lambda root: any(_compare(value, sign, operand) for value in select(root))


def _take_sign(tokens: _Tokens) -> str:
    kind, sign = tokens.take()
    if kind != "symbol" or sign not in _COMPARE:
        raise LogPatternError(f"Expected =, !=, <, <=, > or >=, not {sign}")
    return sign


def read_selector(path: str, root: object) -> list[Any]:
    """The values at a selector such as `$.users[0].id`; none when there is nothing. `[*]` gives every element."""
    found: list[Any] = [root]
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise LogPatternError(f"Invalid property selector {path}")
        at = step.end()
        name, index = step.groups()
        following: list[Any] = []
        for value in found:
            if name is not None and isinstance(value, Mapping) and name in value:
                following.append(value[name])
            elif index == "*" and isinstance(value, list):
                following.extend(value)
            elif index not in (None, "*") and isinstance(value, list) and int(index) < len(value):
                following.append(value[int(index)])
        found = following
    return found


# Space-delimited: [ip, user, ..., status_code = 4*, bytes]


@dataclass(frozen=True)
class _Field:
    """A field of a space-delimited pattern; it can go without a name."""

    name: str
    condition: Condition | None


def _compile_delimited(text: str) -> Match:
    tokens = _Tokens(text)
    tokens.take("[")
    fields: list[_Field | None] = []
    while not fields or tokens.skip(","):
        if tokens.skip("...", "…"):
            fields.append(None)
        elif tokens.peek() in (("symbol", ","), ("symbol", "]")):
            fields.append(_Field("", None))
        else:
            fields.append(_parse_field(tokens))
    tokens.take("]")
    if tokens.peek()[0] != "end":
        raise LogPatternError("Text after the closing bracket")
    if fields.count(None) > 1:
        raise LogPatternError("Only one ellipsis is possible")

    def match(message: str) -> Fields | None:
        words = [next(part for part in groups if part) if any(groups) else "" for groups in _DELIMITED.findall(message)]
        spread = _spread(fields, len(words))
        if spread is None:
            return None
        for field, word in zip(spread, words, strict=True):
            if field is not None and field.condition is not None and not field.condition(word):
                return None
        numbered = {f"${index}": word for index, word in enumerate(words, 1)}
        return numbered | {f"${f.name}": word for f, word in zip(spread, words, strict=True) if f and f.name}

    return match


def _spread(fields: list[_Field | None], count: int) -> list[_Field | None] | None:
    """One field for each of `count` words, the ellipsis (None) for as many as needed; None when they do not fit."""
    if None not in fields:
        return fields if len(fields) == count else None
    at = fields.index(None)
    missing = count - (len(fields) - 1)
    return None if missing < 0 else [*fields[:at], *([None] * missing), *fields[at + 1 :]]


def _parse_field(tokens: _Tokens) -> _Field:
    kind, name = tokens.take()
    if kind != "word":
        raise LogPatternError(f"Expected the name of a field, not {name}")
    if tokens.peek()[1] not in _COMPARE:
        return _Field(name, None)
    first = [name]

    def parse_one(tokens: _Tokens) -> Condition:
        # The name of the first condition is taken already; later ones repeat it: `status = 4* && status != 403`.
        word = first.pop() if first else tokens.take()[1]
        if word != name:
            raise LogPatternError(f"The conditions of {name} must not be on {word}")
        sign = _take_sign(tokens)
        operand = tokens.operand()
        return lambda value: _compare(value, sign, operand)

    return _Field(name, _parse_any(tokens, parse_one))
