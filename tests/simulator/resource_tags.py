"""Tags as callers give them to Amazon ECS."""

from .aws_protocol import Json
from .errors import AwsError

MAX_TAGS = 50
MAX_KEY = 128
MAX_VALUE = 256
RESERVED_PREFIX = "aws:"


def read_tags(request: Json) -> dict[str, str]:
    """The `tags` of a request."""
    return {tag["key"]: tag.get("value", "") for tag in request.get("tags", [])}


def read_own_tags(request: Json) -> dict[str, str]:
    """The same under AWS's rules; InvalidParameterException for what they do not allow.

    API type Tag: at most 50 tags, 128 characters a key and 256 a value, every key once, and "Do not use aws:, AWS:, or
    any upper or lowercase combination of such as a prefix … as it is reserved". So what CloudFormation tagged cannot be
    copied with its tags.
    """
    tags = read_tags(request)
    if len(tags) != len(request.get("tags", [])):
        raise AwsError("InvalidParameterException", "Duplicate tag keys found. Each tag key must be unique.")
    if len(tags) > MAX_TAGS:
        raise AwsError("InvalidParameterException", f"A resource can have at most {MAX_TAGS} tags.")
    for key, value in tags.items():
        if key.lower().startswith(RESERVED_PREFIX):
            raise AwsError("InvalidParameterException", "aws: prefixed tag key names are not allowed for external use.")
        if not 1 <= len(key) <= MAX_KEY or len(value) > MAX_VALUE:
            raise AwsError(
                "InvalidParameterException",
                f"A tag key must have 1 to {MAX_KEY} characters, and its value at most {MAX_VALUE}: {key[:MAX_KEY]}.",
            )
    return tags
