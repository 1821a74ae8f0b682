"""EventBridge event patterns: which events a rule matches.

Follows the EventBridge user guide, "Creating Amazon EventBridge event patterns" and "Comparison operators for use in
event patterns". All operators of event buses are known.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Json = dict[str, Any]

_MISSING = object()
_NUMERIC: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, limit: value == limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}


class EventPatternError(ValueError):
    """The text is not an event pattern."""


def parse_pattern(text: str) -> Json:
    """The pattern in `text`; EventPatternError says what is wrong with it."""
    try:
        pattern = json.loads(text)
    except ValueError as error:
        raise EventPatternError("Event pattern is not valid. Reason: not JSON") from error
    if not isinstance(pattern, dict) or not pattern:
        raise EventPatternError("Event pattern is not valid. Reason: Filter is not an object")
    _check_object(pattern)
    return pattern


def _check_object(pattern: Json) -> None:
    for name, part in pattern.items():
        if name == "$or":
            if not isinstance(part, list) or len(part) < 2 or not all(isinstance(item, dict) for item in part):
                raise EventPatternError("Event pattern is not valid. Reason: $or needs a list of two or more objects")
            for item in part:
                _check_object(item)
        elif isinstance(part, dict):
            if not part:
                raise EventPatternError(f'Event pattern is not valid. Reason: Empty objects are not allowed: "{name}"')
            _check_object(part)
        elif not isinstance(part, list) or not part:
            raise EventPatternError(
                f'Event pattern is not valid. Reason: "{name}" must be an object or a non-empty array'
            )
        else:
            for condition in part:
                if isinstance(condition, dict):
                    _check_operator(condition)
                elif isinstance(condition, list):
                    raise EventPatternError(f'Event pattern is not valid. Reason: array in the array of "{name}"')


def _check_operator(condition: Json) -> None:
    if len(condition) != 1:
        raise EventPatternError("Event pattern is not valid. Reason: Only one key allowed in match expression")
    operator, operand = next(iter(condition.items()))
    check = _OPERAND_CHECKS.get(operator)
    if check is None:
        raise EventPatternError(f"Event pattern is not valid. Reason: Unrecognized match type {operator}")
    if not check(operand):
        raise EventPatternError(f"Event pattern is not valid. Reason: {operator} match pattern is not valid")


def _is_text(operand: Any) -> bool:
    return isinstance(operand, str)


def _is_text_or_caseless(operand: Any) -> bool:
    return _is_text(operand) or (isinstance(operand, dict) and set(operand) == {"equals-ignore-case"})


def _is_network(operand: Any) -> bool:
    try:
        ipaddress.ip_network(operand, strict=False)
    except ValueError:
        return False
    return True


def _is_numeric(operand: Any) -> bool:
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        return False
    pairs = zip(operand[::2], operand[1::2], strict=True)
    return all(sign in _NUMERIC and _is_number(limit) for sign, limit in pairs)


def _is_anything_but(operand: Any) -> bool:
    if isinstance(operand, dict):
        return len(operand) == 1 and set(operand) <= {"prefix", "suffix", "wildcard", "equals-ignore-case"}
    values = operand if isinstance(operand, list) else [operand]
    return bool(values) and all(isinstance(value, str) or _is_number(value) for value in values)


_OPERAND_CHECKS: dict[str, Callable[[Any], bool]] = {
    "prefix": _is_text_or_caseless,
    "suffix": _is_text_or_caseless,
    "equals-ignore-case": _is_text,
    "wildcard": _is_text,
    "cidr": _is_network,
    "exists": lambda operand: isinstance(operand, bool),
    "numeric": _is_numeric,
    "anything-but": _is_anything_but,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def matches(pattern: Json, event: Any) -> bool:
    """Whether `event` fits a pattern that parse_pattern gave: every field named in the pattern must."""
    for name, part in pattern.items():
        if name == "$or":
            if not any(matches(item, event) for item in part):
                return False
            continue
        value = event.get(name, _MISSING) if isinstance(event, dict) else _MISSING
        if isinstance(part, dict):
            # "exists": false within an object that is not there matches, as nothing is there at all.
            nested = value if isinstance(value, list) else [{} if value is _MISSING else value]
            if not any(matches(part, item) for item in nested):
                return False
        elif not _fits_any(part, value):
            return False
    return True


def _fits_any(conditions: Sequence[Any], value: Any) -> bool:
    """Whether a leaf fits one of `conditions`; of an array in the event, one element has to ("intersection")."""
    if isinstance(value, dict):
        # "Exists matching only works on leaf nodes. It does not work on intermediate nodes."
        return {"exists": False} in conditions
    leaves = value if isinstance(value, list) else [value]
    return any(_fits(condition, leaf) for condition in conditions for leaf in leaves or [_MISSING])


def _fits(condition: Any, leaf: Any) -> bool:
    if not isinstance(condition, dict):
        return leaf is not _MISSING and _same(condition, leaf)
    operator, operand = next(iter(condition.items()))
    if operator == "exists":
        return (leaf is not _MISSING) is operand
    if leaf is _MISSING:
        return False
    if operator == "anything-but":
        return not _is_one_of(operand, leaf)
    if operator == "numeric":
        return _is_number(leaf) and all(
            _NUMERIC[sign](leaf, limit) for sign, limit in zip(operand[::2], operand[1::2], strict=True)
        )
    return isinstance(leaf, str) and _fits_text(operator, operand, leaf)


def _is_one_of(operand: Any, leaf: Any) -> bool:
    if isinstance(operand, dict):
        return _fits(operand, leaf)
    return any(_same(value, leaf) for value in (operand if isinstance(operand, list) else [operand]))


def _same(expected: Any, leaf: Any) -> bool:
    """Equal as JSON: `true` is not 1, and a string is not a number."""
    if _is_number(expected) and _is_number(leaf):
        return bool(expected == leaf)
    return type(expected) is type(leaf) and bool(expected == leaf)


def _fits_text(operator: str, operand: Any, text: str) -> bool:
    if isinstance(operand, Mapping):
        operand, text = str(operand["equals-ignore-case"]).casefold(), text.casefold()
    if operator == "prefix":
        return text.startswith(operand)
    if operator == "suffix":
        return text.endswith(operand)
    if operator == "equals-ignore-case":
        return text.casefold() == str(operand).casefold()
    if operator == "wildcard":
        return _compile_wildcard(operand).fullmatch(text) is not None
    try:
        return ipaddress.ip_address(text) in ipaddress.ip_network(operand, strict=False)
    except ValueError:
        return False


def _compile_wildcard(pattern: str) -> re.Pattern[str]:
    r"""`*` is any text, `\*` an asterisk and `\\` a backslash."""
    parts = re.findall(r"\\.|\*|[^*\\]+|\\", pattern, re.DOTALL)
    texts = (part[1:] if part.startswith("\\") and len(part) > 1 else part for part in parts)
    regular = (".*" if part == "*" else re.escape(text) for part, text in zip(parts, texts, strict=True))
    return re.compile("".join(regular), re.DOTALL)
