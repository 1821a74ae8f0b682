"""What a line or a message shows, and that none takes long to read, whatever stands in it."""

import pytest

from bokgu.api.observed import LogLine
from bokgu.api.vocabulary import RootCause
from bokgu.core.ecs_messages import LOOKED_AT, explain_start_failure
from bokgu.core.log_signs import Sign, find_hosts, read_signs
from tests.unit.facts import NOW

HOSTILE = (
    *("key access ", "KMS permission ", "status 500 ", "code 503 responded ", "https://", "https://a 500", "timeout "),
    *(
        "timed out a:",
        "a.",
        "a-",
        "1.",
        "deadline exceeded ",
        "upstream error ",
        "schema ",
        "broker ",
        "redis: timeou ",
    ),
    *("checksum ", "environment variable ", "connection to ", "no such file or directory ", "authentication failed "),
    *("capacity provider ", "subnet ", "dial tcp ", "spot capacity ", "platform ", "eventName=Update", "429 ", "key"),
)


@pytest.mark.parametrize("part", HOSTILE)
@pytest.mark.timeout(3)
def test_no_text_takes_long(part: str) -> None:
    """A megabyte: only what is looked at counts."""
    text = part * (1_000_000 // len(part))
    signs = read_signs([LogLine(text, NOW), LogLine(text[:LOOKED_AT] + "!", NOW)])
    find_hosts(signs)
    explain_start_failure(text)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("GET https://payments.internal/charge answered 503", Sign.NO_ANSWER),
        ("status 502 from https://payments.internal", Sign.NO_ANSWER),
        ("payments.internal:8443: request timed out", Sign.NO_ANSWER),
        ("timed out after 5 s: orders-db.internal:5432", Sign.NO_ANSWER),
        ("x" * LOOKED_AT + " connection refused", None),
    ],
)
def test_what_a_line_shows(text: str, sign: Sign | None) -> None:
    assert [found.sign for found in read_signs([LogLine(text, NOW)])] == ([sign] if sign else [])


def test_a_key_whose_use_is_denied_is_a_missing_permission() -> None:
    said = "Client.InvalidKMSKey.InvalidState: key arn:aws:kms:us-west-2:123456789012:key/1: access to it is denied"
    assert explain_start_failure(said) is RootCause.PERMISSION_DENIED
    assert explain_start_failure("x" * LOOKED_AT + said) is None
