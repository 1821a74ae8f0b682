"""Field types shared by the kinds: each carries the bound that its CRD schema needs.

Kubernetes prices every CEL rule by the largest value that the schema admits, so a string, list or map without a
bound makes the rules of its kind exceed their budget (KEP-2876).
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, StringConstraints
from pydantic.alias_generators import to_camel

from bokgu.api.plain_text import make_plain, make_plain_lines


class ApiModel(BaseModel):
    """Base of all API types: camelCase outside, snake_case inside, immutable once read.

    Unknown fields are dropped on reading, as the API server prunes them.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def to_dict(self) -> dict[str, Any]:
        """The JSON form that the API server stores: no nulls, camelCase keys."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class StatusModel(ApiModel):
    """Base of what a status consists of. Fields of a later version are carried along: while two versions run side by
    side, the older one writes back what the newer one has written."""

    model_config = ConfigDict(extra="allow")


def format_timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes `metav1.Time`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TIMESTAMP_PATTERN = r"^2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"
"""Timestamps are in UTC and of this millennium: of the others not all programs make the same moment, or any."""

NAMES_REVISION = "{0}.matches(':[0-9]+$')"
"""Rule for a task definition that is always the same: of a family alone ECS takes the latest revision."""

Timestamp = Annotated[datetime, PlainSerializer(format_timestamp, when_used="json")]

ObjectName = Annotated[
    str, StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
"""Name of a Kubernetes object: a DNS subdomain (RFC 1123), at most 253 characters."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=63)]
"""A short token: the name of a step, a metric, a role, a reason."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS label (RFC 1123): the name of a step or a rule."""

NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""Name of a namespace: a DNS label."""

PersonName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+$")]
"""Name of a person or account: a principal of allowed_signers, or a user name at the API server. It can all be seen."""

Line = Annotated[str, StringConstraints(max_length=300)]
"""One line of text; quoted evidence is cut to this length."""

Text = Annotated[str, StringConstraints(max_length=2048)]
"""A paragraph of prose."""

_VISIBLE = r"^[^\x00-\x08\x0B-\x1F\x7F-\x9F\p{Cf}\p{Zl}\p{Zp}]*$"

ApprovedLine = Annotated[str, StringConstraints(max_length=300, pattern=_VISIBLE)]
"""A line that people approve as it stands: without characters that make it read otherwise than it is, such as
bidirectional controls (CVE-2021-42574). It is refused, as what is approved must not be changed."""

ApprovedText = Annotated[str, StringConstraints(max_length=2048, pattern=_VISIBLE)]
"""A paragraph that people approve as it stands."""

Arn = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""An Amazon Resource Name, or an id that AWS gives."""

Region = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")]
"""Code of an AWS region, such as eu-central-1 (AWS Regions and Availability Zones). It becomes a part of host names."""

LogGroup = Annotated[str, StringConstraints(min_length=1, max_length=512)]
"""Name of a CloudWatch Logs log group (API_LogGroup)."""

Uid = Annotated[str, StringConstraints(min_length=1, max_length=64)]
"""`metadata.uid` of a Kubernetes object."""

RoleName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9_]*$")]
"""An approval role, such as `system_admin`."""

Digest = Annotated[str, StringConstraints(min_length=71, max_length=71, pattern=r"^sha256:[0-9a-f]{64}$")]
"""`sha256:` and 64 hexadecimal digits."""

DecimalString = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
"""A number as text. The API conventions forbid floats, which do not survive a round trip between clients."""

_DURATION = re.compile(r"(\d+)(h|m|s)")

Duration = Annotated[
    str, StringConstraints(min_length=2, max_length=32, pattern=r"^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$")
]
"""A length of time such as `90s`, `5m` or `1h30m` (Go's notation, whole hours, minutes and seconds)."""


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> timedelta:
    """Read a `Duration`. An empty or malformed text raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"not a duration: {text!r} (write it as 90s, 5m or 1h30m)")
    seconds = {"h": 3600, "m": 60, "s": 1}
    try:
        return timedelta(seconds=sum(int(number) * seconds[unit] for number, unit in parts))
    except OverflowError as error:
        raise ValueError(f"too long: {text!r}") from error


def format_duration(length: timedelta) -> str:
    """Write a length of time as a `Duration`, in whole seconds; anything below one second is `0s`."""
    minutes, seconds = divmod(max(0, int(length.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    text = "".join(f"{n}{unit}" for n, unit in ((hours, "h"), (minutes, "m"), (seconds, "s")) if n)
    return text or "0s"


def format_decimal(value: float) -> str:
    """Write a measured value as a `DecimalString`, rounded to four decimals and without trailing zeros."""
    text = f"{Decimal(str(max(-1e25, min(1e25, value)))):.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def bounded(text: str, limit: int = 300) -> str:
    """The text in one plain line of `limit` characters at most; a cut is marked."""
    return _cut(make_plain(text), limit)


def bounded_lines(text: str, limit: int) -> str:
    """The text in plain lines, `limit` characters at most in all; a cut is marked."""
    return _cut(make_plain_lines(text), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
