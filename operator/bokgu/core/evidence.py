"""Evidence: what was gathered about an incident, once, when it was new."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bokgu.api.observed import (
    EcsService,
    LogLine,
    Metric,
    Series,
    ServiceDeployment,
    ServiceRevision,
    StoppedTask,
    TaskDefinition,
)
from bokgu.api.vocabulary import IncidentType

NO_LOG_GROUP = "FilterLogEvents: NoLogGroup"
"""What is missing where the ProtectedService names no log group: nobody failed to answer, nobody was asked."""


@dataclass(frozen=True)
class Evidence:
    """Facts about one incident, as AWS tells them. Any part may be empty: a new service, a missing permission.

    `detected_at` is when the trouble was seen, `onset` the start of the period in which it began, where a detection
    knows. `stopped_tasks` are the latest first. `task_definitions` are the one that the service is moving to, then the
    one before; `revisions` are the service revisions that go with them, in the same order. `deployments` are service
    deployments, the latest first. `metrics` reach back from detection; `requests` is the one among them that counts
    requests, and `period` the length of the periods of `onset`, where a detection names them. `logs` are lines that
    look like errors.
    `zones` are the Availability Zones of the tasks that run and are well, where that was asked. `callers` say who
    stopped tasks or changed the service by hand, where that was asked. `minute` is how long a minute of the rules is:
    shorter only in a world that runs faster. `missing` names the sources that gave no answer, and why.
    """

    incident_type: IncidentType
    detected_at: datetime
    onset: datetime | None = None
    service: EcsService | None = None
    stopped_tasks: tuple[StoppedTask, ...] = ()
    task_definitions: tuple[TaskDefinition, ...] = ()
    revisions: tuple[ServiceRevision, ...] = ()
    deployments: tuple[ServiceDeployment, ...] = ()
    metrics: Mapping[Metric, Series] = field(default_factory=dict)
    requests: Metric | None = None
    period: timedelta = timedelta(minutes=1)
    logs: tuple[LogLine, ...] = ()
    zones: frozenset[str] = frozenset()
    callers: tuple[str, ...] = ()
    minute: timedelta = timedelta(minutes=1)
    missing: tuple[str, ...] = ()
