"""What stops everything new in a namespace, whatever an incident is about: a pause, a storm, an open breaker."""

from collections.abc import Sequence

from bokgu.api.incident import Incident
from bokgu.core.guards.protection import BREAKER_OPEN, MADE_BEFORE, STORM
from bokgu.core.planning_facts import NoPlan
from bokgu.core.surroundings import Surroundings


def find_stop(around: Surroundings, paused_by: Sequence[str], incident: Incident) -> NoPlan | None:
    """Why nothing is planned now. Pause and storm pass; a breaker a person resets, and an incident that was there at
    the reset is not replayed."""
    if paused_by:
        return NoPlan("Paused", f"nothing is planned: paused by {', '.join(paused_by)}", wait=True)
    if around.storm is not None:
        return NoPlan(STORM, f"{around.storm.incidents} incidents at once are a storm: look at all of them", wait=True)
    if (breaker := around.service_breaker or around.namespace_breaker) is not None:
        failed = f"{', '.join(breaker.plans)} failed: find out why, then reset the breaker (spec.resetBreakerAt)"
        return NoPlan(BREAKER_OPEN, failed, wait=False)
    opened = incident.metadata.creation_timestamp
    if any(reset and opened and opened < reset for reset in (around.service_reset_at, around.namespace_reset_at)):
        old = "the incident is older than the reset of the breaker: a person looks after it"
        return NoPlan(MADE_BEFORE, old, wait=False)
    return None
