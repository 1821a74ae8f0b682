"""How long a service is looked at again after an event gave reason to: ECS shows late, and trouble must last."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.vocabulary import Severity
from bokgu.core.service_state import AFTER_GRACE, LASTING, ServiceLook, find_excuse


@dataclass(frozen=True)
class FollowUp:
    """A service that an event gave reason to look at.

    `asked_at` is when the last event was taken in, `looked_at` when the last look began, `next_at` when the next one is
    due; None: no more of them.
    """

    asked_at: datetime
    looked_at: datetime
    next_at: datetime | None


def decide_next_look(asked_at: datetime, seen: ServiceLook | None, now: datetime, shows_late: timedelta) -> FollowUp:
    """Whether and when to look again after what was just seen; None is a service that is not there.

    A minute later, until ECS must have shown what the event meant (`shows_late`), and from then on as long as tasks are
    missing, until that would have been found to be trouble.
    """
    if seen is None or find_excuse(seen.service):
        return FollowUp(asked_at, now, None)
    service, primary = seen.service, seen.service.primary
    whole = service.running_count >= service.desired_count and (primary is None or primary.rollout_state != "FAILED")
    grace = timedelta(seconds=service.grace_seconds) / timedelta(minutes=1)
    lasting = (LASTING[Severity.MEDIUM] + AFTER_GRACE + grace) * seen.minute
    limit = shows_late if whole else shows_late + lasting
    return FollowUp(asked_at, now, now + seen.minute if now < asked_at + limit else None)
