"""A service, a plan and the passes over it, small enough to follow by hand.

It does what `reconcile.recovery_plan` does around `decide`, with plain values in the place of Kubernetes and AWS.
"""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bokgu.api.incident import IncidentPlan
from bokgu.api.meta import UidReference
from bokgu.api.observed import (
    AwsError,
    DescribedDeployment,
    EcsService,
    ScalableTarget,
    ServiceRevision,
    Task,
    TaskDefinition,
)
from bokgu.api.recovery_plan import FINALIZER, Answer, OperationStatus, RecoveryPlan, RecoveryPlanStatus, StepStatus
from bokgu.api.vocabulary import PlanPhase
from bokgu.core.approval.tally import Tally
from bokgu.core.correlation import Trouble
from bokgu.core.execution import decide
from bokgu.core.live_state import LiveState
from bokgu.core.operation import forget_intent, record_answer
from bokgu.core.plan_facts import Claim, HoldPlan, Outcome, PlanFacts, ReleaseService, Send
from bokgu.core.transitions import check_moves, moves
from tests.unit import facts
from tests.unit.facts import NOW, described_deployment, revision_arn, service_deployment_arn, task_definition

UNREACHABLE = AwsError("DescribeServices", "Unreachable", "no answer", sent=False)


@dataclass
class World:
    """`fate` is what becomes of the next send: accepted, answer lost, never arrived, refused, throttled."""

    plan: RecoveryPlan
    now: datetime = NOW
    ecs: EcsService = field(default_factory=facts.service)
    scalable: ScalableTarget | None = None
    tally: Tally = facts.APPROVED
    lag: timedelta = timedelta()
    readable: bool = True
    fate: str = "accepted"
    error_rate: float | None = 0.01
    traffic: bool = True
    dry_run: str | None = None
    troubled: tuple[Trouble, ...] = ()
    healthy_targets: dict[str, int] | None = None
    sent: list[Send] = field(default_factory=list)
    effects: list[Send] = field(default_factory=list)
    unsent: set[str] = field(default_factory=set)
    known_since: datetime = NOW - timedelta(hours=1)
    tasks: dict[str, Task] | None = None
    family: list[TaskDefinition] = field(default_factory=list)
    runs: dict[str, Task] = field(default_factory=dict)
    moves: set[tuple[str, str, str]] = field(default_factory=set)
    """Transitions of the state machine that have been stored."""
    rollout: DescribedDeployment | None = None
    """The service deployment in flight, or the last one, as DescribeServiceDeployments tells it."""

    def __post_init__(self) -> None:
        self.incident = facts.incident()
        self.protected = facts.protected_service()
        self.policies = facts.policies()
        self.history = [(self.now - timedelta(hours=1), LiveState(self.ecs, self.rollout))]
        self.revisions: dict[str, ServiceRevision] = facts.revisions(1, 2)
        self.next_number = 3

    @property
    def status(self) -> RecoveryPlanStatus:
        return self.plan.status

    @property
    def over(self) -> bool:
        return self.status.phase.terminal

    # What happens to the service

    def change(self, ecs: EcsService) -> None:
        self.ecs = ecs
        self.history.append((self.now, LiveState(ecs, self.rollout)))

    def scale(self, desired: int) -> None:
        (*_, primary) = [d for d in self.ecs.deployments if d.status == "PRIMARY"]
        others = tuple(d for d in self.ecs.deployments if d.status != "PRIMARY")
        changed = replace(primary, desired_count=desired)
        self.change(replace(self.ecs, desired_count=desired, deployments=(changed, *others)))

    def deploy(self, definition: str | None = None) -> None:
        number, self.next_number = self.next_number, self.next_number + 1
        definition = definition or task_definition(number)
        arn = revision_arn(number)
        self.revisions[arn] = ServiceRevision(arn, definition, self.now)
        new = facts.deployment(
            number,
            desired=self.ecs.desired_count,
            state="IN_PROGRESS",
            task_definition=definition,
            running_count=0,
            created_at=self.now,
        )
        old = tuple(replace(d, status="ACTIVE") for d in self.ecs.deployments)
        self.rollout = replace(
            described_deployment(number, replaces=1),
            source_revision_arns=self.ecs.current_service_revisions,
            created_at=self.now,
        )
        self.change(
            replace(
                self.ecs,
                task_definition=definition,
                current_service_deployment=service_deployment_arn(number),
                current_service_revisions=(arn, *self.ecs.current_service_revisions[:1]),
                deployments=(new, *old),
            )
        )

    def settle(self) -> None:
        """ECS finishes what it is doing, or gets half way back in a rollback."""
        if self.rollout and self.rollout.status == "ROLLBACK_REQUESTED":
            self._return_to(self.rollout, self.rollout.source_revision_arns[0])
            return
        if self.rollout and self.rollout.status in {"IN_PROGRESS", "ROLLBACK_IN_PROGRESS"}:
            done = "SUCCESSFUL" if self.rollout.status == "IN_PROGRESS" else "ROLLBACK_SUCCESSFUL"
            self.rollout = replace(self.rollout, status=done, finished_at=self.now)
        desired = self.ecs.desired_count
        primary = replace(self.ecs.deployments[0], rollout_state="COMPLETED", running_count=desired)
        self.change(
            replace(
                self.ecs,
                running_count=desired,
                current_service_revisions=self.ecs.current_service_revisions[:1],
                deployments=(primary,),
            )
        )

    def register(self, minimum: int, maximum: int | None = None) -> None:
        """Application Auto Scaling gets another range, and brings the count into it."""
        was = self.scalable or ScalableTarget(minimum, maximum or minimum)
        self.scalable = replace(was, minimum=minimum, maximum=was.maximum if maximum is None else maximum)
        wanted = min(max(self.ecs.desired_count, self.scalable.minimum), self.scalable.maximum)
        if wanted != self.ecs.desired_count:
            self.scale(wanted)

    def stop_rollout(self, arn: str) -> None:
        """StopServiceDeployment with ROLLBACK."""
        if self.rollout and self.rollout.arn == arn and self.rollout.status == "IN_PROGRESS":
            self.rollout = replace(self.rollout, status="ROLLBACK_REQUESTED")
            self.change(self.ecs)

    def give_up(self, why: str = "") -> None:
        """The circuit breaker, or an alarm, makes ECS go back by itself, and `why` is what ECS says of the old one."""
        if self.rollout:
            self._return_to(self.rollout, self.rollout.source_revision_arns[0])
        back, failed = self.ecs.deployments
        self.change(replace(self.ecs, deployments=(replace(back, rollout_state_reason=why), failed)))

    def _return_to(self, rollout: DescribedDeployment, arn: str) -> None:
        """The deployment that still runs the old revision is PRIMARY again; no service deployment begins."""
        self.rollout = replace(rollout, status="ROLLBACK_IN_PROGRESS", rollback_revision_arn=arn)
        failed, old = self.ecs.deployments[:2]
        back = replace(old, status="PRIMARY", rollout_state="IN_PROGRESS")
        deployments = (back, replace(failed, status="ACTIVE", rollout_state="FAILED"))
        both = (arn, *(r for r in self.ecs.current_service_revisions if r != arn))
        self.change(
            replace(
                self.ecs, task_definition=old.task_definition, current_service_revisions=both, deployments=deployments
            )
        )

    def lose_task(self) -> None:
        self.change(replace(self.ecs, running_count=max(0, self.ecs.running_count - 1)))

    def stop_task(self, arn: str, reason: str) -> None:
        """The task ends; where it is one of the service, that runs one less until `start_task`."""
        if arn in self.runs:
            ended = replace(self.runs[arn], last_status="STOPPED", desired_status="STOPPED", stopped_reason=reason)
            self.runs = self.runs | {arn: ended}
            return
        assert self.tasks is not None
        ended = replace(self.tasks[arn], last_status="STOPPED", desired_status="STOPPED", stopped_reason=reason)
        self.tasks = self.tasks | {arn: ended}
        self.lose_task()

    def start_task(self, number: int) -> None:
        """ECS starts a new task in the place of one that ended."""
        assert self.tasks is not None
        self.tasks = self.tasks | {facts.task_arn(number): facts.task(number)}
        self.change(replace(self.ecs, running_count=self.ecs.running_count + 1))

    def visible(self) -> EcsService:
        """What a read shows: the service as it was `lag` ago."""
        return replace(self._seen().service, read_at=self.now)

    def _seen(self) -> LiveState:
        shown = [live for at, live in self.history if at <= self.now - self.lag]
        return shown[-1] if shown else self.history[0][1]

    # Passes

    def facts(self) -> PlanFacts:
        service = self.visible() if self.readable else None
        since = next((s.effective_at for s in self.status.steps if s.effective_at and not s.finished_at), None)
        measurement = None
        if since and self.error_rate is not None:
            measurement = facts.measured(since, self.now, self.error_rate, requests=100 if self.traffic else 1)
        return facts.facts(
            now=self.now,
            incident=self.incident,
            protected_service=self.protected,
            tally=self.tally,
            service=service,
            problem=None if self.readable else UNREACHABLE,
            revisions=self.revisions if self.readable else {},
            tasks=self.tasks if self.readable else None,
            runs=self.runs if self.readable else {},
            task_definition=self._definition() if self.readable else None,
            measurement=measurement,
            scalable_target=self.scalable,
            unsent=frozenset(self.unsent),
            policies=self.policies,
            known_since=self.known_since,
            deployment=self._seen().deployment if self.readable else None,
            healthy_targets=self.healthy_targets,
            dry_run=self.dry_run,
            troubled=self.troubled,
        )

    def _definition(self) -> TaskDefinition | None:
        """The latest copy, or the INACTIVE one to copy."""
        copied = TaskDefinition(task_definition(1), NOW, {"status": "INACTIVE"})
        return self.family[-1] if self.family else copied

    def do(self) -> Outcome:
        """One pass: decide, then write the status, or do the effect."""
        before = self.plan
        outcome = decide(before, self.facts())
        match outcome.effect:
            case None:
                self._write(outcome.status)
                self.unsent |= open_tokens(outcome.status) - open_tokens(before.status)
            case HoldPlan():
                held = before.metadata.model_copy(update={"finalizers": (*before.metadata.finalizers, FINALIZER)})
                self.plan = before.model_copy(update={"metadata": held})
            case Claim() as claim:
                self._claim(claim)
            case ReleaseService():
                free = self.protected.status.model_copy(update={"active_plan": None})
                self.protected = self.protected.model_copy(update={"status": free})
            case Send() as send:
                self._write(self._send(outcome.status, send))
        return outcome

    def _claim(self, claim: Claim) -> None:
        metadata = self.plan.metadata
        if claim.service:
            reference = UidReference(name=metadata.name, uid=metadata.uid)
            locked = self.protected.status.model_copy(update={"active_plan": reference})
            self.protected = self.protected.model_copy(update={"status": locked})
        if claim.digest is not None:
            entry = IncidentPlan(name=metadata.name, uid=metadata.uid, digest=claim.digest, started_at=self.now)
            marked = self.incident.status.model_copy(update={"plans": (entry,)})
            self.incident = self.incident.model_copy(update={"status": marked})

    def until(self, *phases: PlanPhase, passes: int = 400) -> Outcome:
        """Passes, as soon as they are asked for, until the plan is in one of the phases."""
        for _ in range(passes):
            outcome = self.do()
            if self.status.phase in phases:
                return outcome
            self.now += outcome.requeue_after or timedelta()
        raise AssertionError(f"still {self.status.phase} after {passes} passes: {self.status.to_dict()}")

    def until_intent(self) -> None:
        """Passes until an intent is stored and waits to be sent."""
        for _ in range(20):
            self.do()
            if self.unsent:
                return
        raise AssertionError(f"no intent: {self.status.to_dict()}")

    def until_sent(self) -> None:
        self.until_intent()
        for _ in range(20):
            if not self.unsent:
                return
            self.do()
        raise AssertionError(f"not sent: {self.status.to_dict()}")

    def crash(self) -> None:
        """The process dies and another one begins."""
        self.unsent.clear()
        self.known_since = self.now

    def _write(self, status: RecoveryPlanStatus) -> None:
        stored = RecoveryPlanStatus.model_validate(status.to_dict())
        check_moves(self.status, stored)
        self.moves.update(moves(self.status, stored))
        self.plan = self.plan.model_copy(update={"status": stored})
        self.unsent &= open_tokens(stored)

    def _send(self, status: RecoveryPlanStatus, send: Send) -> RecoveryPlanStatus:
        self.unsent.discard(send.token)
        self.sent.append(send)
        if self.fate == "throttled":
            return forget_intent(status, send.token)
        if self.fate == "refused":
            return record_answer(status, send.token, Answer(at=self.now, result="Refused", message="AccessDenied"))
        if self.fate == "never":
            return status
        self.effects.append(send)
        arguments = json.loads(send.request.arguments)
        if send.request.operation == "RegisterTaskDefinition":
            tags = {tag["key"]: tag["value"] for tag in arguments["tags"]}
            self.family.append(TaskDefinition(task_definition(90 + len(self.family)), self.now, {}, tags))
        if "desiredCount" in arguments:
            self.scale(arguments["desiredCount"])
        made: tuple[str, ...] = ()
        if send.request.operation == "RunTask":
            made = (facts.task_arn(70 + len(self.runs)),)
            self.runs[made[0]] = facts.task(70 + len(self.runs), started_by=arguments["startedBy"])
        if send.request.operation == "RegisterTaskDefinition":
            made = (self.family[-1].arn,)
        if send.request.operation == "StopTask":
            self.stop_task(arguments["task"], arguments["reason"])
        if "MinCapacity" in arguments:
            self.register(arguments["MinCapacity"], arguments.get("MaxCapacity"))
        updates = send.request.operation == "UpdateService"
        if updates and ("taskDefinition" in arguments or arguments.get("forceNewDeployment")):
            self.deploy(arguments.get("taskDefinition", self.ecs.task_definition))
        if "serviceDeploymentArn" in arguments:
            self.stop_rollout(arguments["serviceDeploymentArn"])
        if self.fate == "lost":
            return status
        # UpdateService tells of the service; StopServiceDeployment of nothing (aws/sending.py).
        told = self.ecs.primary if send.request.operation == "UpdateService" else None
        answer = Answer(
            at=self.now,
            result="Accepted",
            deployment_id=told.id if told else None,
            service_revision_arn=self.ecs.service_revision_arn if told else None,
            made=made,
        )
        return record_answer(status, send.token, answer)


def mid_deployment(plan: RecoveryPlan, **fields: Any) -> World:
    """A world in which ECS is deploying revision 2 in the place of revision 1, which the plan was made for."""
    preconditions = plan.spec.preconditions.model_copy(update={"service_revision_arn": None})
    spec = plan.spec.model_copy(update={"preconditions": preconditions})
    return World(
        plan.model_copy(update={"spec": spec}),
        ecs=facts.deploying(2, 1),
        rollout=described_deployment(2, replaces=1),
        **fields,
    )


def operations(status: RecoveryPlanStatus) -> list[StepStatus | OperationStatus]:
    """All steps and undos."""
    return [*status.steps, *(s.rollback for s in status.steps if s.rollback)]


def open_tokens(status: RecoveryPlanStatus) -> set[str]:
    """Tokens of intents without an answer."""
    return {o.intent.token for o in operations(status) if o.intent and o.answer is None}
