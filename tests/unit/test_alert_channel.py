"""Sending through Apprise to a real receiver on loopback."""

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
import requests

from bokgu.alerts.channel import Refusal, read_retry_after, send_by_apprise
from bokgu.api import addresses
from bokgu.aws.sns import topic_region
from tests.world.mail import Mailbox
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


def test_a_refusal_of_one_alert_is_told_from_one_of_all() -> None:
    with Webhook() as hook:
        for status, of_alert in ((400, True), (413, True), (422, True), (401, False), (404, False), (429, False)):
            hook.answer = (status, {})
            refusal = send(hook.url)
            assert refusal is not None
            assert refusal.of_alert is of_alert, status


PLACES = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#incidents",
    "msteams": "workflows://prod.westus.logic.azure.com:443/643ab0d8a1e04e0e8e9d62ac5e76b1b3/signature-of-some-length",
    "discord": "discord://417429632418316298/JHZ7lQml277CDHmQKMHI8qBe7bk2ZwO5UKjCiOAF7711o33MyqU344Qpgv7YTpadV_js",
    "telegram": "tgram://123456789:abcdefg_hijklmnop/12315544",
    "pagerduty": "pagerduty://0123456789abcdef0123456789abcdef@0123456789abcdef0123",
    "opsgenie": "opsgenie://01234567-89ab-cdef-0123-456789abcdef",
    "email": "mailto://{mail}/?from=bokgu@example.com&to=oncall@example.com&mode=insecure",
}
"""`mail` is a mail server on loopback, without TLS and without an account."""
LIMITS = {"discord": 2000, "telegram": 4096, "pagerduty": 1024, "opsgenie": 15000}
"""Characters of a message, by Apprise."""


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bodies of the requests that would have gone out: these receivers have no other addresses."""
    bodies: list[str] = []

    def take(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        body = request.body or b""
        bodies.append(body.decode() if isinstance(body, bytes) else str(body))
        answer = requests.Response()
        host = str(request.url).split("/")[2]
        answer.status_code, answer.request = 202 if "pagerduty" in host or "opsgenie" in host else 200, request
        answer._content = b"ok" if "slack" in host else json.dumps({"ok": True, "requestId": "1"}).encode()
        return answer

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", take)
    return bodies


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as listening:
        yield listening


@pytest.mark.parametrize("urgent", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_what_counts_as_taken_was_sent(place: str, urgent: bool, posted: list[str], mailbox: Mailbox) -> None:
    url = PLACES[place].format(mail=mailbox.address)
    assert send_by_apprise(url, title="title", body="the body", key="uid1", urgent=urgent) is None
    posted += [mail.get_content() for mail in mailbox.mails]
    assert posted
    assert "uid1" in "".join(posted)
    if place == "pagerduty":
        assert '"dedup_key": "uid1"' in posted[0]
    if place == "opsgenie":
        assert '"alias": "uid1"' in posted[0]


def test_a_mail_has_the_title_the_lines_and_the_key(mailbox: Mailbox) -> None:
    assert (
        send_by_apprise(
            PLACES["email"].format(mail=mailbox.address), title="제목 title", body="a <b>\nc", key="uid-1", urgent=True
        )
        is None
    )
    (mail,) = mailbox.mails
    assert (mail["Subject"], mail["From"], mail["To"]) == ("제목 title", "bokgu@example.com", "oncall@example.com")
    assert mail.get_content().split("\r\n") == ["a <b>", "c", "", "uid-1", ""]
    assert mailbox.recipients == ["oncall@example.com"]


def test_a_mail_server_that_refuses_is_not_said_to_be_silent(mailbox: Mailbox) -> None:
    mailbox.refusal = "550 no such user"
    refusal = Refusal("the mail server does not answer, or refuses the mail")
    assert send(PLACES["email"].format(mail=mailbox.address)) == refusal
    assert mailbox.mails == []


@pytest.mark.parametrize("place", LIMITS)
def test_a_long_text_keeps_to_the_limit_of_its_receiver(place: str, posted: list[str]) -> None:
    body = "\n".join(f"line {number} of what is to be read" for number in range(500))
    assert send_by_apprise(PLACES[place], title="title", body=body, key="uid1", urgent=True) is None
    overhead = 1500  # What is around the text: JSON, title, colours.
    assert max(len(one) for one in posted) <= LIMITS[place] * 1.5 + overhead
    if place in {"pagerduty", "opsgenie"}:
        assert len(posted) == 1, "one incident of theirs"
    else:
        assert "line 499 of" in posted[-1], "the rest comes in further messages"


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
        ("²", None),
        ("٣", None),
        ("9" * 5000, None),
        ("Tue, 24 Nov 99999999999999999999 08:01:00 GMT", None),
        ("Tue, 24 Nov 2026 08:01:00 +99999999999999", None),
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


@pytest.mark.parametrize("scheme", ["json", "jsons"])
def test_nothing_is_sent_to_an_address_that_is_refused(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it is that of the test's own receiver: whom a name leads to is looked at once it is connected."""
    monkeypatch.setattr(addresses, "REFUSED", (ip_network("127.0.0.0/8"),))
    with Webhook() as hook:
        refusal = send(hook.url.replace("json://", f"{scheme}://").replace("127.0.0.1", "localhost"))
        assert refusal is not None
        assert "nothing is sent there" in refusal.why
        assert hook.received == []
    monkeypatch.undo()
    with Webhook() as hook:
        assert send(hook.url) is None
