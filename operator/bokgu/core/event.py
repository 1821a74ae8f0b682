"""Events of Amazon EventBridge as they lie in a queue: the envelope, and where its subject lives.

Sources: "Amazon EventBridge events" and "AWS service events" (Amazon EventBridge User Guide); the envelope around a
message that came through a topic: "Fanout to Amazon SQS queues" (Amazon SNS Developer Guide).
"""

import json
import math
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from bokgu.api.own_patterns import OwnPatterns
from bokgu.api.protected_service import ProtectedService
from bokgu.api.redaction import redact_quote


class MalformedMessage(ValueError):
    """Nobody can make sense of the message, now or later; the text says what is wrong with it."""


class WireModel(BaseModel):
    """Base of what others send: what is read must be right, all else may be there too."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


M = TypeVar("M", bound=WireModel)

Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC))]
"""When something happened. What is older stands for no moment at all, as Go's zero time does."""


class Event(WireModel):
    """One event. `time` is when it happened, at whole seconds; `detail` has the shape that `detail_type` tells."""

    source: str
    detail_type: str = Field(alias="detail-type")
    account: str
    region: str
    time: AwareDatetime
    resources: tuple[str, ...] = ()
    detail: dict[str, Any]


def parse_event(body: str, own: OwnPatterns = OwnPatterns()) -> Event:  # noqa: B008 - it is frozen
    """Read the body of a queue's message: an event, bare or wrapped by SNS. What `own` patterns match is hidden in what
    it says for people. Raises MalformedMessage."""
    content = read_json(body)
    if isinstance(content, dict) and content.get("Type") == "Notification" and isinstance(content.get("Message"), str):
        content = read_json(content["Message"])
    return read_model(Event, own.hide_members(content), "not an EventBridge event")


def read_model(kind: type[M], content: object, problem: str) -> M:
    """Content of a message as a model. Raises MalformedMessage that begins with `problem`."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedMessage(redact_quote(f"{problem}: {where or 'the message'}: {first['msg']}")) from error


def read_json(text: str | bytes) -> object:
    """What is in a text of JSON (RFC 8259). Raises MalformedMessage, also for what others might read in another way:
    names that stand twice in an object, and numbers that are none; and for more than 200 levels of nesting or 4300
    digits, which is where this parser stops."""
    try:
        content: object = from_json(text, allow_inf_nan=False)
        json.loads(text, object_pairs_hook=_check_names, parse_float=_check_number)
    except ValueError as error:
        raise MalformedMessage(redact_quote(f"not JSON: {error}")) from error
    return content


def _check_number(text: str) -> None:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is too large a number")


def _check_names(pairs: list[tuple[str, object]]) -> None:
    names = Counter(name for name, _ in pairs)
    if len(names) < len(pairs):
        raise ValueError(f"{names.most_common(1)[0][0]!r} stands twice in one object")


def account_in(arn: str | None) -> str | None:
    """The account that an ARN names, if it is one that names any."""
    parts = (arn or "").split(":")
    return parts[4] if len(parts) > 5 and parts[0] == "arn" and parts[4] else None


def lives_in(protected: ProtectedService, event: Event) -> bool:
    """Whether the service can be one that the event speaks of: its region, and its account as far as that is known.

    The account is that of the role; without a role that of what ECS said of the service last.
    """
    if protected.spec.region != event.region:
        return False
    observed = protected.status.service
    account = account_in(protected.spec.role_arn) or account_in(observed.task_definition if observed else None)
    return account in {None, event.account}


def short_name(cluster: str) -> str:
    """The name of a cluster that is given by name or ARN."""
    return cluster.rsplit("/", 1)[-1]
