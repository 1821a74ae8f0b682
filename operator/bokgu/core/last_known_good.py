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
        start = _clean_from(deployment.finished_at, troubled)
        if start is None:
            continue
        end = min([until or now, *(begin for begin, _ in troubled if begin > start)])
        if end - start >= min_served:
            return GoodRevision(deployment.target_service_revision_arn, deployment.finished_at, until)
    return None


def _clean_from(moment: datetime, troubled: Sequence[Interval]) -> datetime | None:
    """The moment, or the end of the incidents that were open then; None where one is open still."""
    while ends := [end for begin, end in troubled if begin <= moment and (end is None or end > moment)]:
        if None in ends:
            return None
        moment = max(end for end in ends if end)
    return moment
