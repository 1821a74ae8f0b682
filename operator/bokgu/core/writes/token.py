"""Where a request carries the token of its intent, so that AWS itself tells its effect from everybody else's.

All attempts of one step carry the same: an attempt of which nothing was seen may still have its effect, and then AWS
must take the next one for it.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from bokgu.api.recovery_plan import AwsRequest
from bokgu.core.writes.write import build_request, request_arguments

Arguments = Mapping[str, Any]

INTENT_TAG = "bokgu:intent"
"""Tag of what a step made. A copy of a copy has only its own."""


def as_uuid(token: str) -> str:
    """The token in the form of a UUID, which Systems Manager demands; the same for the same token."""
    digits = sha256(token.encode()).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


_CARRIERS: Mapping[str, Callable[[Arguments, str], Arguments]] = {
    "RegisterTaskDefinition": lambda arguments, token: {
        **arguments,
        "tags": [*arguments["tags"], {"key": INTENT_TAG, "value": token}],
    },
    "RunTask": lambda arguments, token: {**arguments, "clientToken": token, "startedBy": token},
    "StartAutomationExecution": lambda arguments, token: {
        **arguments,
        "ClientToken": as_uuid(token),
        "Tags": [{"Key": f"{INTENT_TAG}:{token}", "Value": token}],
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
