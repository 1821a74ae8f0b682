"""Who is told of what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bokgu.api.outbox import Addressee
from bokgu.api.recovery_policy import AlertRoute
from bokgu.api.vocabulary import AlertKind, Language, Severity

DEFAULT_RECEIVER = "default"
"""Who is told where no policy says otherwise, if the Secret has it."""


@dataclass(frozen=True)
class Subject:
    """What an alert is about. None matches every selector: in doubt people are told."""

    severity: Severity | None = None
    environment: str | None = None
    service: str | None = None


@dataclass(frozen=True)
class Routing:
    """`routes` of the policy; `receivers` are those that the Secret has, None where that is not known; `language` is
    for routes that name none."""

    routes: Sequence[AlertRoute] = ()
    receivers: frozenset[str] | None = None
    language: Language = Language.EN


def about(kind: AlertKind, subject: Subject) -> Subject:
    """Whom an alert of an incident is about. A storm is about all of them, and a breaker as bad whichever incident it
    holds."""
    if kind is AlertKind.STORM:
        return Subject()
    return replace(subject, severity=None) if kind is AlertKind.BREAKER else subject


def address_alert(kind: AlertKind, subject: Subject, routing: Routing) -> tuple[Addressee, ...]:
    """Who gets the alert, each once, in the language of the first route that names them. A receiver that the Secret
    does not have is one all the same: its alert waits, and status says why."""
    if not routing.routes:
        urgent = subject.severity is None or subject.severity.rank >= Severity.HIGH.rank
        known = DEFAULT_RECEIVER in (routing.receivers or ())
        return (Addressee(receiver=DEFAULT_RECEIVER, language=routing.language),) if urgent and known else ()
    found: dict[str, Language] = {}
    for route in routing.routes:
        if _matches(route, kind, subject):
            for receiver in route.receivers:
                found.setdefault(receiver, route.language or routing.language)
    return tuple(Addressee(receiver=receiver, language=language) for receiver, language in found.items())


def _matches(route: AlertRoute, kind: AlertKind, subject: Subject) -> bool:
    selectors: tuple[tuple[Sequence[str], str | None], ...] = (
        (route.kinds, kind),
        (route.severities, subject.severity),
        (route.environments, subject.environment),
        (route.services, subject.service),
    )
    return all(not wanted or value is None or value in wanted for wanted, value in selectors)
