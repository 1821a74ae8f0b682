"""Sending through Apprise to a real receiver on loopback."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from bokgu.alerts.channel import Refusal, read_retry_after, send_by_apprise
from bokgu.aws.sns import topic_region
from tests.world.pager import Webhook


def send(url: str) -> Refusal | None:
    return send_by_apprise(url, title="제목 title", body="body", key="uid-1", urgent=True)


def test_a_webhook_gets_the_text_and_the_key() -> None:
    with Webhook() as hook:
        assert send(hook.url) is None
        (one,) = hook.received
    assert (one.key, one.title, one.type) == ("uid-1", "제목 title", "warning")
    assert one.message == "body\n\nuid-1"


def test_lines_stay_lines_where_the_receiver_wants_html() -> None:
    with Webhook() as hook:
        assert send_by_apprise(f"{hook.url}?format=html", title="t", body="a <b>\nc", key="k", urgent=False) is None
        (one,) = hook.received
    assert "&lt;b&gt;<br" in one.message
    assert one.type == "info"


def test_a_refusal_says_why_and_when_to_come_again() -> None:
    with Webhook(answer=(429, {"Retry-After": "7"})) as hook:
        assert send(hook.url) == Refusal("the receiver answers 429", timedelta(seconds=7))
        hook.answer = (503, {})
        assert send(hook.url) == Refusal("the receiver answers 503")
        hook.answer = (302, {"Location": hook.url})
        assert send(hook.url) == Refusal("the receiver answers 302"), "a redirect could lead anywhere"
        assert len(hook.received) == 3, "Apprise tries once: the outbox is what tries again"


def test_nobody_there_is_a_refusal_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    with Webhook() as hook:
        url = hook.url
    with caplog.at_level(logging.DEBUG):
        assert send(url) == Refusal("the receiver does not answer")
    assert "s3cret-path" not in caplog.text
    with Webhook(answer=(0, {})) as hook:
        assert send(hook.url) == Refusal("the receiver does not answer")


@pytest.mark.parametrize("url", ["bogus://x", "no address", "https://"])
def test_what_apprise_does_not_know_is_a_refusal(url: str) -> None:
    refusal = send(url)
    assert refusal is not None
    assert "no URL that Apprise knows" in refusal.why
    assert url not in refusal.why


NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120),
        ("999999999", 86400),
        ("Tue, 24 Nov 2026 08:01:00 GMT", 60),
        ("Tue, 24 Nov 2026 07:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after_is_seconds_or_a_moment(header: str | None, seconds: int | None) -> None:
    assert read_retry_after(header, NOW) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("arn", "region"),
    [
        ("arn:aws:sns:eu-central-1:123456789012:alerts", "eu-central-1"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:alerts.fifo", "cn-north-1"),
        ("arn:aws:sqs:eu-central-1:123456789012:alerts", None),
        ("sns://key/secret/eu-central-1/alerts", None),
    ],
)
def test_a_topic_names_its_region(arn: str, region: str | None) -> None:
    assert topic_region(arn) == region
