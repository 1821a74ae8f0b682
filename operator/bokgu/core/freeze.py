"""Freezes: open incidents of a service that keep plans from changing it, whatever people approve."""

from collections.abc import Iterable
from dataclasses import dataclass

from bokgu.api.incident import Incident
from bokgu.api.vocabulary import Action, Confidence, IncidentPhase, IncidentType, RootCause, Trait

_FREEZING = frozenset({RootCause.DATA_CORRUPTION, RootCause.UNKNOWN})

_REPLACING = frozenset({Action.SERVICE_RESTART, Action.STOP_UNHEALTHY_TASKS})
"""Actions that stop tasks and need others in their place."""


@dataclass(frozen=True)
class Freeze:
    """An open incident that keeps plans from changing its service. `replacing`: only from replacing tasks that run."""

    incident: str
    reason: str
    message: str
    replacing: bool = False

    def holds(self, action: Action, running: int) -> bool:
        """Whether the action must not be done to a service with so many running tasks. Where none runs, a restart can
        take nothing away: it is how a person ends ECS's waiting between two tries once the cause is gone."""
        if self.replacing:
            return action in _REPLACING and running > 0
        return action.writes


def find_freeze(incidents: Iterable[Incident], plan_of: str) -> Freeze | None:
    """The strictest freeze of a service by its incidents, for a plan of the incident with the uid `plan_of`."""
    listed = list(incidents)
    for incident in listed:
        name = incident.metadata.name
        if freezes_service(incident, plan_of):
            said = f"{name} reports corrupted data: a person must look before anything is changed"
            return Freeze(name, RootCause.DATA_CORRUPTION, said)
    for incident in listed:
        name, found = incident.metadata.name, incident.status.classification
        if found is not None and keeps_tasks(incident):
            said = (
                f"{name} says {found.root_cause}: no task starts, so that those that run could not be replaced. The"
                " gate opens when tasks start again and the trouble has gone away, or when none runs any more"
            )
            return Freeze(name, "TasksIrreplaceable", said, replacing=True)
    return None


def freezes_service(incident: Incident, plan_of: str) -> bool:
    """Whether the incident keeps a plan from changing anything on its service: data was corrupted, and what is changed
    now may destroy more of it, or the traces. `plan_of` is the uid of the plan's incident: only a plan of this very
    incident may act, where the mechanism behind it is known and sure."""
    if incident.spec.type is not IncidentType.DATA_CORRUPTION or _is_over(incident):
        return False
    found = incident.status.classification
    known = found is not None and found.root_cause not in _FREEZING and found.confidence is not Confidence.LOW
    return not (known and incident.metadata.uid == plan_of)


def keeps_tasks(incident: Incident) -> bool:
    """Whether the incident says that no new task of the revision in use starts: those that run are all there is, and a
    restart turns a partial outage into a total one. Its own plans are no exception.

    Once the trouble has gone away tasks do start again.
    """
    found = incident.status.classification
    gone = _is_over(incident) or incident.status.mitigated_at is not None
    return found is not None and not gone and Trait.START_FAILS in found.traits


def _is_over(incident: Incident) -> bool:
    return incident.status.phase is IncidentPhase.RESOLVED
