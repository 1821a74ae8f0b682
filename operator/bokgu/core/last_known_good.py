"""Which service revision a rollback may return to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.observed import ServiceDeployment

Interval = tuple[datetime, datetime | None]
"""(start, end) of an incident of the service; end None while it is open."""


@dataclass(frozen=True)
class GoodRevision:
    """A service revision that served cleanly. `served_until` is None while it is the latest deployed."""

    service_revision_arn: str
    served_from: datetime
    served_until: datetime | None


def find_last_known_good(
    deployments: Iterable[ServiceDeployment], troubled: Sequence[Interval], *, min_served: timedelta, now: datetime
) -> GoodRevision | None:
    """The newest revision whose deployment ended SUCCESSFUL and that then served for `min_served` without an incident.

    The revision in use counts too: nobody rolls back from it, but the next one is rolled back to it.
    """
    ordered = sorted(deployments, key=lambda d: d.created_at)
    ends = [*(d.created_at for d in ordered[1:]), None][: len(ordered)]
    for deployment, until in reversed(list(zip(ordered, ends, strict=True))):
        if deployment.status != "SUCCESSFUL" or deployment.finished_at is None:
            continue
        if _served_cleanly(deployment.finished_at, until or now, troubled, min_served):
            return GoodRevision(deployment.target_service_revision_arn, deployment.finished_at, until)
    return None


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
