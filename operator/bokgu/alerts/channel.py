"""Sending through Apprise: Slack, Teams, PagerDuty, Opsgenie, e-mail, webhooks and the rest.

Apprise says only whether it worked, so the HTTP answers are listened to: their status tells people why, and their
Retry-After when to come again (RFC 9110, section 10.2.3). Addresses are secrets: nothing of them is said or logged.
"""

import logging
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

import requests

from bokgu.alerts.connections import CheckedAdapter, RefusedAddress

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
OF_RECEIVER = frozenset({401, 403, 404, 408, 425, 429})
"""Refusals that every other alert would get too: no right, no such place, not now (RFC 9110, section 15.5)."""
PAGERS = frozenset({"Pager Duty", "Opsgenie", "Jira"})
"""They keep one alert for one incident of theirs, so that a long text is cut and not sent in parts."""

_SECONDS = re.compile(r"[0-9]{1,18}")
_heard = threading.local()


@dataclass(frozen=True)
class Refusal:
    """Why an alert was not taken, in words that hold no address, and how long the receiver wants to be left alone.

    `of_alert`: the receiver is well, and does not take this one alert.
    """

    why: str
    retry_after: timedelta | None = None
    of_alert: bool = False


class _Session(requests.sessions.Session):
    """Remembers the last answer for the thread that asked, or that its address is refused."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, CheckedAdapter())

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        try:
            answer = super().send(request, **kwargs)
        except requests.ConnectionError as error:
            _heard.refused = isinstance(getattr(next(iter(error.args), None), "reason", None), RefusedAddress)
            raise
        _heard.answer = answer
        return answer


def send_by_apprise(url: str, *, title: str, body: str, key: str, urgent: bool) -> Refusal | None:
    """Send once, and wait until it is sent: seconds, where the receiver does not answer. None: it was taken.

    `key` names the alert to receivers that drop what they have had already: `dedup_key` of PagerDuty, `alias` of
    Opsgenie and Jira, the header Idempotency-Key of a webhook, and for the rest the last line of the text.
    """
    apprise = _load_apprise()
    # Without a timeout of its own it sends in this thread, whose answers are listened to.
    asset = apprise.AppriseAsset(async_mode=False, secure_logging=True, service_timeout=0)
    plugin = apprise.Apprise.instantiate(url, asset=asset)
    if plugin is None:
        return Refusal("its value is no URL that Apprise knows, and no ARN of an SNS topic")
    plugin.retry, plugin.redirects = 0, False
    plugin.socket_connect_timeout = min(plugin.socket_connect_timeout or CONNECT_SECONDS, CONNECT_SECONDS)
    plugin.socket_read_timeout = min(plugin.socket_read_timeout or READ_SECONDS, READ_SECONDS)
    _carry_key(plugin, key)
    _fit(plugin, apprise.OverflowMode)
    _heard.answer, _heard.refused = None, False
    kind = apprise.NotifyType.WARNING if urgent else apprise.NotifyType.INFO
    try:
        text = {"title": title, "body": f"{body}\n\n{key}".strip(), "body_format": apprise.NotifyFormat.TEXT}
        sender = apprise.Apprise(asset=asset)
        if sender.add(plugin) and sender.notify(notify_type=kind, **text):
            return None
    except Exception as error:  # A plugin may raise anything; its message may hold the address.
        return Refusal(f"Apprise fails: {type(error).__name__}")
    if _heard.refused:
        return Refusal("its address is one at which machines hand out credentials, or none: nothing is sent there")
    return _explain(_heard.answer, plugin.service_name)


def _carry_key(plugin: Any, key: str) -> None:
    match plugin.service_name:
        case "Pager Duty":
            plugin.dedup = plugin.dedup or key
        case "Opsgenie" | "Jira":
            plugin.alias = plugin.alias or key
            plugin.action = "new"  # By default what is not urgent is a note to an alert that it does not know.
        case "JSON" | "XML" | "Form":
            plugin.headers.setdefault("Idempotency-Key", key)


def _fit(plugin: Any, modes: Any) -> None:
    """Keep to the receiver's limit, which refuses what is longer, again and again."""
    if plugin.overflow_mode == modes.UPSTREAM:
        plugin.overflow_mode = modes.TRUNCATE if plugin.service_name in PAGERS else modes.SPLIT


def _explain(answer: requests.Response | None, service: str) -> Refusal:
    if answer is None and service == "E-Mail":  # SMTP: only HTTP answers are heard.
        return Refusal("the mail server does not answer, or refuses the mail")
    if answer is None:
        return Refusal("the receiver does not answer")
    return Refusal(
        f"the receiver answers {answer.status_code}",
        read_retry_after(answer.headers.get("Retry-After")),
        of_alert=400 <= answer.status_code < 500 and answer.status_code not in OF_RECEIVER,
    )


def read_retry_after(header: str | None, now: datetime | None = None) -> timedelta | None:
    """Seconds, or the moment until when (RFC 9110, section 10.2.3)."""
    if not header:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return timedelta(seconds=min(int(header), 86400))
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(timedelta(), moment - (now or datetime.now(UTC)))


@cache
def _load_apprise() -> Any:
    """Apprise, which takes half a second and 30 MB: only where somebody is told by it."""
    import apprise  # noqa: PLC0415 - as above

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # What it logs names hosts and paths.
    requests.sessions.Session = _Session  # type: ignore[misc]  # Apprise has no other way to hear the answer
    return apprise
