"""Which service revision a rollback may return to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bokgu.api.observed import ServiceDeployment
from bokgu.api.protected_service import TaintedRevision

Interval = tuple[datetime, datetime | None]
"""(start, end) of an incident of the service; end None while it is open."""

_EVER, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


MAX_TAINTED = 32
"""Entries that the status of a ProtectedService holds."""


@dataclass(frozen=True)
class Trouble:
    """An incident of the service: `end` is None while it is open. `at_fault` are the service revisions that its plans
    found at fault."""

    incident_uid: str
    begin: datetime
    end: datetime | None
    at_fault: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GoodRevision:
    """A service revision that served cleanly. `served_until` is None while it is the latest deployed."""

    service_revision_arn: str
    served_from: datetime
    served_until: datetime | None


@dataclass(frozen=True)
class _Span:
    """A service revision that was the newest one from `begin` to `until`, None: that it still is. `served_from` is when
    its deployment had ended well, None where it has not."""

    arn: str
    begin: datetime
    served_from: datetime | None
    until: datetime | None


def find_last_known_good(
    deployments: Iterable[ServiceDeployment],
    tainted: Iterable[TaintedRevision],
    *,
    min_served: timedelta,
    now: datetime,
) -> GoodRevision | None:
    """The newest revision whose deployment ended SUCCESSFUL and that then served for `min_served` without trouble.

    The revision in use counts too: nobody rolls back from it, but the next one is rolled back to it.
    """
    troubled: dict[str, list[Interval]] = {}
    for taint in tainted:
        troubled.setdefault(taint.service_revision_arn, []).append((taint.since or _EVER, taint.until))
    for span in reversed(_spans(deployments)):
        if span.served_from is None:
            continue
        if _served_cleanly(span.served_from, span.until or now, troubled.get(span.arn, ()), min_served):
            return GoodRevision(span.arn, span.served_from, span.until)
    return None


def taint_revisions(
    known: Iterable[TaintedRevision],
    deployments: Iterable[ServiceDeployment],
    troubles: Iterable[Trouble],
    *,
    now: datetime,
) -> tuple[TaintedRevision, ...]:
    """What is known of trouble, with what the incidents that are there say: their revisions are those that served while
    they were open, and those that a plan found at fault. An incident that is gone was open until now, at the latest."""
    spans = _spans(deployments)
    arns = {span.arn for span in spans}
    found: dict[tuple[str, str], TaintedRevision] = {}
    present = {trouble.incident_uid: trouble for trouble in troubles}
    for taint in known:
        end = present[taint.incident_uid].end if taint.incident_uid in present else taint.until or now
        key = taint.service_revision_arn, taint.incident_uid
        found[key] = taint if taint.until == end else taint.model_copy(update={"until": end})
    for trouble in present.values():
        during = {span.arn for span in spans if _overlap(span, trouble)}
        for arn in sorted(during | trouble.at_fault):
            told = found.get((arn, trouble.incident_uid))
            since = None if arn in trouble.at_fault or _is_at_fault(told) else trouble.begin
            if told is None or (told.since, told.until) != (since, trouble.end):
                found[arn, trouble.incident_uid] = TaintedRevision(
                    service_revision_arn=arn, incident_uid=trouble.incident_uid, since=since, until=trouble.end
                )
    return _bound([taint for taint in found.values() if taint.service_revision_arn in arns])


def _is_at_fault(taint: TaintedRevision | None) -> bool:
    return taint is not None and taint.since is None


def _overlap(span: _Span, trouble: Trouble) -> bool:
    """Whether the revision was the newest one during the trouble."""
    began_before_its_end = trouble.end is None or span.begin < trouble.end
    return began_before_its_end and (span.until is None or span.until > trouble.begin)


def _bound(tainted: list[TaintedRevision]) -> tuple[TaintedRevision, ...]:
    """At most as many as fit, the latest first. Where there are too many, two of a revision become one: as if it had
    been in trouble all the time between them, too."""
    ordered = sorted(tainted, key=_order, reverse=True)
    while len(ordered) > MAX_TAINTED:
        arns = [taint.service_revision_arn for taint in ordered]
        first = next((i for i in reversed(range(len(arns))) if arns[i] in arns[i + 1 :]), None)
        if first is None:
            return tuple(ordered[:MAX_TAINTED])
        other = ordered.pop(arns.index(arns[first], first + 1))
        known = ordered[first]
        since = None if known.since is None or other.since is None else min(known.since, other.since)
        ordered[first] = known.model_copy(update={"since": since})
    return tuple(ordered)


def _order(taint: TaintedRevision) -> tuple[datetime, datetime, str, str]:
    return (taint.until or _NEVER, taint.since or _NEVER, taint.service_revision_arn, taint.incident_uid)


def _spans(deployments: Iterable[ServiceDeployment]) -> list[_Span]:
    """The newest revisions one after the other, oldest first.

    A deployment that ECS has rolled back makes no revision of its own: from its end on that of the last successful one
    serves again, as it has done all the time (docs/ecs-facts.md, 6).
    """
    ordered = sorted(deployments, key=lambda d: d.created_at)
    spans: list[_Span] = []
    good: _Span | None = None
    for number, deployment in enumerate(ordered, 1):
        until = ordered[number].created_at if number < len(ordered) else None
        arn, begin, end = deployment.target_service_revision_arn, deployment.created_at, deployment.finished_at
        if deployment.status == "SUCCESSFUL" and end is not None:
            good = _Span(arn, begin, end, until)
            spans.append(good)
        elif deployment.status == "ROLLBACK_SUCCESSFUL" and end is not None and good is not None:
            spans += [_Span(arn, begin, None, end), replace(good, begin=end, until=until)]
        else:
            spans.append(_Span(arn, begin, None, until))
    return spans


def _served_cleanly(begin: datetime, end: datetime, troubled: Sequence[Interval], min_served: timedelta) -> bool:
    """Whether there is a stretch of `min_served` without an incident: a surge that was mastered taints nobody."""
    start = _clean_from(begin, troubled)
    while start is not None and start < end:
        following = min((at for at, _ in troubled if at > start), default=end)
        if min(following, end) - start >= min_served:
            return True
        start = _clean_from(following, troubled) if following < end else None
    return False


def _clean_from(moment: datetime, troubled: Sequence[Interval]) -> datetime | None:
    """The moment, or the end of the incidents that were open then; None where one is open still."""
    while ends := [end for begin, end in troubled if begin <= moment and (end is None or end > moment)]:
        if None in ends:
            return None
        moment = max(end for end in ends if end)
    return moment
