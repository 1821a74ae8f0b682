"""What a plan is made from, and what may stand in its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from bokgu.api.detector import DetectorCondition
from bokgu.api.incident import Classification, Incident
from bokgu.api.observed import (
    AwsError,
    CodeDeployment,
    DescribedDeployment,
    EcsService,
    ScalableTarget,
    ServiceDeployment,
    ServiceRevision,
    Task,
    TaskDefinition,
)
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.runbook import Runbook
from bokgu.core.next_rung import Tried
from bokgu.core.surroundings import Surroundings
from bokgu.core.track_record import TrackRecord
from bokgu.core.watch import Watch


@dataclass(frozen=True)
class NoPlan:
    """Why there is no plan. `wait`: what blocks may go away by itself or by a change of the ProtectedService;
    otherwise a person is needed now."""

    reason: str
    message: str
    wait: bool


class RungFacts(Protocol):
    """What is asked before a rung is tried: none of it is the service as it stands now. As in `PlanningFacts`."""

    @property
    def incident(self) -> Incident:
        """The incident."""

    @property
    def classification(self) -> Classification:
        """What it was told to be."""

    @property
    def protected_service(self) -> ProtectedService:
        """Its service."""

    @property
    def now(self) -> datetime:
        """When it is asked."""

    @property
    def track_records(self) -> Mapping[str, TrackRecord]:
        """How often runbooks helped, by their names."""

    @property
    def last_begun(self) -> Mapping[str, datetime]:
        """When runbooks last began, by their names."""

    @property
    def tried(self) -> tuple[Tried, ...]:
        """The incident's own plans that had begun."""


@dataclass(frozen=True)
class PlanningFacts:
    """What a plan is made from.

    `runbooks` are the built-in ones and the namespace's own. `track_records` and `last_begun` say by the name of a
    runbook how often it helped against this root cause on this service, and when it last began there. `deployments` are
    the latest service deployments, newest first; `patience` is how long after a rollback by ECS itself the detection
    needs to say whether that has helped. `deployment` is the one in flight. `revisions` are the service revision in use
    and the last known good one, where both have the same task definition. `policy` is the namespace's RecoveryPolicy,
    `paused_by` what keeps plans from being made there, `around` what stands around the incident in its namespace.
    `scalable_target` is what Application Auto Scaling owns of the service, asked where the plan scales;
    `scaling_unread` why that could not be read. `frozen_by` names an open incident of corrupted data on the service.
    `tried` are the incident's own plans that had begun. `tasks` are those of the service that should run; None where
    they were not asked for, or not described: `tasks_problem` says why. `good_definition` is the task definition of the
    last known good service revision, where it was asked for. `code_deployments` are those in flight of the CodeDeploy
    group that the ProtectedService names, or why they could not be read.
    """

    incident: Incident
    classification: Classification
    protected_service: ProtectedService
    service: EcsService
    watch: Watch | None
    condition: DetectorCondition | None
    now: datetime
    runbooks: tuple[Runbook, ...] = ()
    deployments: tuple[ServiceDeployment, ...] = ()
    patience: timedelta = timedelta()
    deployment: DescribedDeployment | None = None
    paused_by: tuple[str, ...] = ()
    revisions: Mapping[str, ServiceRevision] = field(default_factory=dict)
    frozen_by: str | None = None
    policy: RecoveryPolicy | None = None
    around: Surroundings = field(default_factory=Surroundings)
    track_records: Mapping[str, TrackRecord] = field(default_factory=dict)
    last_begun: Mapping[str, datetime] = field(default_factory=dict)
    tried: tuple[Tried, ...] = ()
    scalable_target: ScalableTarget | None = None
    scaling_unread: str | None = None
    tasks: tuple[Task, ...] | None = None
    tasks_problem: str | None = None
    good_definition: TaskDefinition | None = None
    code_deployments: tuple[CodeDeployment, ...] | AwsError = ()
