"""Where a request carries the token of its intent, so that AWS itself tells its effect from everybody else's.

All attempts of one step carry the same: an attempt of which nothing was seen may still have its effect, and then AWS
must take the next one for it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bokgu.api.recovery_plan import AwsRequest
from bokgu.core.writes.write import build_request, request_arguments

Arguments = Mapping[str, Any]

INTENT_TAG = "bokgu:intent"
"""Tag of what a step made. A copy of a copy has only its own."""

_CARRIERS: Mapping[str, Callable[[Arguments, str], Arguments]] = {
    "RegisterTaskDefinition": lambda arguments, token: {
        **arguments,
        "tags": [*arguments["tags"], {"key": INTENT_TAG, "value": token}],
    },
    "StopTask": lambda arguments, token: {**arguments, "reason": f"{arguments['reason']} ({token})"},
}
"""By operation; the others have no place for a token."""


def stable_token(token: str) -> str:
    """What the tokens of all attempts have in common."""
    return token.rpartition("-")[0] or token


def carry_token(request: AwsRequest, token: str) -> AwsRequest:
    """The request with the token of its intent in it."""
    carry = _CARRIERS.get(request.operation)
    if carry is None:
        return request
    return build_request(request.service, request.operation, carry(request_arguments(request), stable_token(token)))
