"""Correlation: which incidents are one trouble, and which of them leads.

The others are suppressed: they are neither classified nor planned for, and come into their own when the leader is over
and they still hurt.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.incident import Incident
from bokgu.api.meta import UidReference
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import IncidentPhase, IncidentType, RootCause

TOGETHER = timedelta(minutes=10)
"""Incidents that begin within this time of each other can have a common cause."""

SHARED_CAUSES = frozenset({RootCause.UNKNOWN})
"""Root causes that can lie in something that several services need."""

RELAPSE_WATCH = "RelapseWatch"
"""Reason of an incident whose trouble has gone away and is watched for a relapse."""

Dependencies = Mapping[str, Sequence[str]]
"""What each ProtectedService of the namespace depends on."""


@dataclass(frozen=True)
class Trouble:
    """An open incident of a service that another one depends on."""

    service: str
    incident: str


@dataclass(frozen=True)
class Suppression:
    """Why an incident is folded into another one."""

    leader: UidReference
    reason: str
    message: str


def map_dependencies(services: Iterable[ProtectedService]) -> Dependencies:
    """What they depend on, by name."""
    return {service.metadata.name: service.spec.depends_on for service in services}


def find_leader(incident: Incident, others: Iterable[Incident], dependencies: Dependencies) -> Suppression | None:
    """The open incident that this one is folded into, or None where it leads itself.

    `others` are the open incidents of the namespace. An incident with a plan is never folded: people are at it. Nor is
    one of corrupted data: nothing else explains it, and a person must look. One that is watched for a relapse takes in
    no others: nobody works on it, and what begins meanwhile is trouble of its own.
    """
    if incident.status.plans or incident.spec.type is IncidentType.DATA_CORRUPTION:
        return None
    open_ = {o.metadata.uid: o for o in others if o.metadata.uid != incident.metadata.uid}
    ends = [(o, end) for o in open_.values() if (end := _follow(o, incident, open_)) is not None]
    return (
        _same_service(incident, ends)
        or _broken_dependency(incident, ends, dependencies)
        or _common_dependency(incident, [o for o, end in ends if o is end], dependencies)
    )


def find_troubled(
    service: str, plan_of: str, incidents: Iterable[Incident], dependencies: Dependencies
) -> tuple[Trouble, ...]:
    """What troubles the services that this one depends on, for a plan of the incident with the uid `plan_of`.

    Of services that need each other none waits for the other: they would wait for ever. Incidents that are folded into
    one that is told of here are told by that one; one whose trouble has gone away and that is watched for a relapse
    needs nobody.
    """
    needed, incidents = _reach(service, dependencies), tuple(incidents)
    told = {i.metadata.uid for i in incidents if _service(i) in needed} | {plan_of}
    found = {
        Trouble(_service(incident), incident.metadata.name)
        for incident in incidents
        if _service(incident) in needed
        and service not in {_service(incident), *_reach(_service(incident), dependencies)}
        and incident.metadata.uid != plan_of
        and (incident.status.leader is None or incident.status.leader.uid not in told)
        and incident.status.phase is not IncidentPhase.RESOLVED
        and not _is_watched(incident)
    }
    return tuple(sorted(found, key=lambda trouble: (trouble.service, trouble.incident)))


def _is_watched(incident: Incident) -> bool:
    """Whether the trouble has gone away, and only a relapse is watched for."""
    status = incident.status
    return status.phase is IncidentPhase.VERIFYING and status.reason == RELAPSE_WATCH


def _follow(other: Incident, incident: Incident, open_: Mapping[str, Incident]) -> Incident | None:
    """Who leads the other one; None where this one does, or where that one cannot take this one in."""
    seen: set[str] = set()
    while other.status.phase is IncidentPhase.SUPPRESSED and other.status.leader is not None:
        seen.add(other.metadata.uid)
        uid = other.status.leader.uid
        if uid == incident.metadata.uid or uid in seen:
            return None
        if uid not in open_:
            break  # It is over: its follower leads from its next pass on.
        other = open_[uid]
    return None if _calm_for(incident, other) else other


def _calm_for(incident: Incident, other: Incident) -> bool:
    """Whether the other one is watched for a relapse and had not taken this one in before."""
    leader = incident.status.leader
    return _is_watched(other) and (leader is None or leader.uid != other.metadata.uid)


Ends = list[tuple[Incident, Incident]]
"""Other incidents, each with the one that leads it: itself, unless it is folded."""


def _same_service(incident: Incident, ends: Ends) -> Suppression | None:
    """One incident of a service leads: one with a plan, else one of corrupted data, else the worst, else the oldest.
    What is worse than that one is not folded."""
    mine = [(o, end) for o, end in ends if _service(o) == _service(incident)]
    first, leader = min(mine, key=lambda pair: _rank(pair[0]), default=(None, None))
    if first is None or leader is None or _rank(first) > _rank(incident) or _lesser(first, incident):
        return None
    folded = first is not leader
    why = f"{first.metadata.name} is folded into it" if folded else "the service has a worse or older incident"
    return _refer(leader, "SameService", why)


def _lesser(leader: Incident, incident: Incident) -> bool:
    corrupted = leader.spec.type is IncidentType.DATA_CORRUPTION
    return not corrupted and leader.spec.severity.rank < incident.spec.severity.rank


def _rank(incident: Incident) -> tuple[bool, bool, int, datetime, str]:
    corrupted = incident.spec.type is IncidentType.DATA_CORRUPTION
    severity = incident.spec.severity.rank
    return (not incident.status.plans, not corrupted, -severity, _begun(incident), incident.metadata.name)


def _broken_dependency(incident: Incident, ends: Ends, dependencies: Dependencies) -> Suppression | None:
    """A service that this one needs has an incident of its own, whatever that one is folded into."""
    needed = _reach(_service(incident), dependencies)
    broken = [
        (o, end)
        for o, end in ends
        if _service(o) in needed
        and _service(incident) not in _reach(_service(o), dependencies)
        and not _lesser(o, incident)
    ]
    first, leader = min(broken, key=lambda pair: (_begun(pair[0]), pair[0].metadata.name), default=(None, None))
    if first is None or leader is None:
        return None
    return _refer(leader, "DependencyDown", f"{_service(incident)} depends on {_service(first)}")


def _common_dependency(incident: Incident, others: list[Incident], dependencies: Dependencies) -> Suppression | None:
    """Services that need the same thing broke together, none of them by a new revision of its own, and none of them
    needs the other: then the one that is needed leads."""
    if not _may_share(incident):
        return None
    needed = set(dependencies.get(_service(incident), ()))
    below = _reach(_service(incident), dependencies)
    related = [
        o
        for o in others
        if _may_share(o)
        and o.spec.type is incident.spec.type
        and abs(_begun(o) - _begun(incident)) <= TOGETHER
        and needed & set(dependencies.get(_service(o), ()))
        and (_service(o) in below or _service(incident) not in _reach(_service(o), dependencies))
    ]
    leader = min(related, key=_rank, default=None)
    if leader is None or _rank(leader) > _rank(incident):
        return None
    common = ", ".join(sorted(needed & set(dependencies.get(_service(leader), ()))))
    return _refer(leader, "CommonDependency", f"{_service(leader)} depends on {common} too")


def _may_share(incident: Incident) -> bool:
    found = incident.status.classification
    return found is not None and not found.new_revision_at_fault and found.root_cause in SHARED_CAUSES


def _reach(service: str, dependencies: Dependencies) -> set[str]:
    """All that a service depends on, directly or not."""
    found: set[str] = set()
    waiting = list(dependencies.get(service, ()))
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting.extend(dependencies.get(name, ()))
    return found


def _refer(leader: Incident, reason: str, why: str) -> Suppression:
    reference = UidReference(name=leader.metadata.name, uid=leader.metadata.uid)
    return Suppression(reference, reason, f"{why}: {leader.metadata.name} leads")


def _service(incident: Incident) -> str:
    return incident.spec.service_ref.name


def _begun(incident: Incident) -> datetime:
    begun = incident.metadata.creation_timestamp or incident.spec.detected_at
    if begun is None:
        raise ValueError(f"incident {incident.metadata.name} has no time: the API server gives it one")
    return begun
