"""Builds the facts that the pure core decides on: one healthy service, one plan, two people who approve."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bokgu.api.detector import Detection, Detector
from bokgu.api.fields import parse_duration
from bokgu.api.incident import Classification, Incident
from bokgu.api.observed import (
    Deployment,
    DescribedDeployment,
    EcsService,
    Series,
    ServiceDeployment,
    ServiceRevision,
    StoppedTask,
    Task,
)
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService, TargetGroup
from bokgu.api.recovery_plan import FINALIZER, RecoveryPlan, Step
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import Proof
from bokgu.core.approval.judgement import Judgement
from bokgu.core.approval.requirement import Requirement
from bokgu.core.approval.tally import Tally, tally_approvals
from bokgu.core.lifecycle import Standing
from bokgu.core.live_state import LiveState
from bokgu.core.plan_facts import Measurement, PlanFacts, Timing
from bokgu.core.presets import build_watch
from bokgu.core.recovery_policy import Policies, PolicyReading
from bokgu.core.watch import Watch, watch_of

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DIGEST = "sha256:" + "ab" * 32
OTHER_DIGEST = "sha256:" + "cd" * 32
ROLES = ("system_admin", "service_owner")
PLAN_UID = "5c8f6d1e-plan"
INCIDENT_UID = "0a1b2c3d-incident"
ARN = "arn:aws:ecs:us-east-1:123456789012"

Raw = dict[str, Any]


def task_definition(number: int) -> str:
    return f"{ARN}:task-definition/api:{number}"


def revision_arn(number: int) -> str:
    return f"{ARN}:service-revision/shop/api/{number}"


def service_deployment_arn(number: int) -> str:
    return f"{ARN}:service-deployment/shop/api/{number}"


def metadata(name: str, uid: str, /, **fields: Any) -> Raw:
    return {
        "name": name,
        "namespace": "shop",
        "uid": uid,
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": NOW - 30 * MINUTE,
        **fields,
    }


# AWS


def deployment(number: int = 2, *, desired: int = 3, state: str = "COMPLETED", **fields: Any) -> Deployment:
    return replace(
        Deployment(
            id=f"ecs-svc/{number}",
            status="PRIMARY",
            task_definition=task_definition(number),
            desired_count=desired,
            running_count=desired,
            pending_count=0,
            failed_tasks=0,
            rollout_state=state,
            rollout_state_reason="",
            created_at=NOW - 60 * MINUTE,
        ),
        **fields,
    )


def service(number: int = 2, *, desired: int = 3, running: int | None = None, **fields: Any) -> EcsService:
    """A steady service that runs deployment, revision and task definition of that number."""
    return replace(
        EcsService(
            arn=f"{ARN}:service/shop/api",
            status="ACTIVE",
            desired_count=desired,
            running_count=desired if running is None else running,
            pending_count=0,
            task_definition=task_definition(number),
            controller="ECS",
            scheduling_strategy="REPLICA",
            current_service_deployment=service_deployment_arn(number),
            current_service_revisions=(revision_arn(number),),
            deployments=(deployment(number, desired=desired),),
            events=(),
            tags={},
            read_at=NOW,
            minimum_healthy_percent=100,
        ),
        **fields,
    )


def deploying(new: int, old: int, *, state: str = "IN_PROGRESS", **fields: Any) -> EcsService:
    """A service on its way from one revision to another, both of them running."""
    return replace(
        service(new),
        current_service_revisions=(revision_arn(new), revision_arn(old)),
        deployments=(deployment(new, state=state, running_count=1), deployment(old, status="ACTIVE", running_count=2)),
        **fields,
    )


def revisions(*numbers: int) -> dict[str, ServiceRevision]:
    return {
        revision_arn(n): ServiceRevision(revision_arn(n), task_definition(n), NOW - 60 * MINUTE, {"platformVersion": n})
        for n in numbers
    }


def service_deployment(number: int, created: datetime, status: str = "SUCCESSFUL") -> ServiceDeployment:
    return ServiceDeployment(
        arn=service_deployment_arn(number),
        status=status,
        target_service_revision_arn=revision_arn(number),
        created_at=created,
        finished_at=created + MINUTE,
    )


def described_deployment(
    number: int, *, replaces: int, status: str = "IN_PROGRESS", returns_to: int | None = None, **fields: Any
) -> DescribedDeployment:
    """The service deployment of that number in full; `returns_to` is the revision that ECS rolls back to."""
    return replace(
        DescribedDeployment(
            arn=service_deployment_arn(number),
            status=status,
            status_reason="",
            source_revision_arns=(revision_arn(replaces),),
            target_revision_arn=revision_arn(number),
            rollback_revision_arn=None if returns_to is None else revision_arn(returns_to),
            rollback_reason="",
            waiting_hook=None,
            lifecycle_stage="",
            created_at=NOW - 5 * MINUTE,
            finished_at=None,
        ),
        **fields,
    )


def stopped_task(
    number: int, *, code: str = "EssentialContainerExited", ago: timedelta = MINUTE, now: datetime = NOW
) -> StoppedTask:
    """A task that ended `ago` before `now`."""
    return StoppedTask(f"{ARN}:task/shop/{number}", now - ago, code, "Essential container in task exited")


def task_arn(number: int) -> str:
    return f"{ARN}:task/shop/{number}"


def task(number: int, **fields: Any) -> Task:
    """A task of the service that runs and is well."""
    usual = Task(
        task_arn(number),
        "RUNNING",
        "RUNNING",
        health_status="HEALTHY",
        started_by="ecs-svc/2",
        task_definition=task_definition(2),
        created_at=NOW - (60 - number) * MINUTE,
    )
    return replace(usual, **fields)


def tasks(count: int, *bad: int, **fields: Any) -> dict[str, Task]:
    """So many tasks of the service, of which those numbers fail their container health check."""
    well = [task(n, **fields) for n in range(1, count + 1)]
    return {t.arn: replace(t, health_status="UNHEALTHY") if i in bad else t for i, t in enumerate(well, 1)}


def series(values: Mapping[int, float], *, until: datetime = NOW, period: int = 60) -> Series:
    """Datapoints by how many whole periods before `until` they ended: 0 is the last one."""
    points = {until - timedelta(seconds=period * (ago + 1)): value for ago, value in values.items()}
    return Series(points=tuple(sorted(points.items())), period=period)


# Our objects


def scale_out(desired: int = 5, **fields: Any) -> Raw:
    return {
        "name": "scale-out",
        "action": "scale_out",
        "parameters": {"desiredCount": desired},
        "timeout": "15m",
        "onFailure": "Stop",
        **fields,
    }


def roll_back(to: int = 1, **fields: Any) -> Raw:
    return {
        "name": "rollback",
        "action": "rollback_to_previous_version",
        "parameters": {"serviceRevisionArn": revision_arn(to)},
        "timeout": "30m",
        "onFailure": "RollBack",
        "rollback": {"action": "rollback_to_previous_version"},
        **fields,
    }


def restart(**fields: Any) -> Raw:
    return {"name": "restart", "action": "service_restart", "timeout": "15m", "onFailure": "Stop", **fields}


def stop_task(number: int = 1, **fields: Any) -> Raw:
    return {
        "name": f"replace-{number}",
        "action": "stop_unhealthy_tasks",
        "parameters": {"task": task_arn(number)},
        "timeout": "20m",
        "onFailure": "Stop",
        **fields,
    }


def register(number: int = 1, **fields: Any) -> Raw:
    return {
        "name": "rollback-register",
        "action": "register_task_definition",
        "parameters": {"taskDefinition": task_definition(number)},
        "timeout": "15m",
        "onFailure": "Stop",
        **fields,
    }


RUNS_ROLE = "arn:aws:iam::123456789012:role/runs"


def run_task(number: int = 9, **fields: Any) -> Raw:
    return {
        "name": "run",
        "action": "run_task",
        "parameters": {"taskDefinition": task_definition(number), "roleArn": RUNS_ROLE},
        "timeout": "30m",
        "onFailure": "Stop",
        **fields,
    }


RUNS: Raw = {
    "allowedActions": ["run_task"],
    "runTask": {"roleArn": RUNS_ROLE, "taskDefinitions": [task_definition(9)]},
}
"""Members of the spec of a ProtectedService that lets that task be run."""


def health_check(**fields: Any) -> Raw:
    return {"name": "health-check", "action": "health_check", "timeout": "5m", "onFailure": "Stop", **fields}


def manual(**fields: Any) -> Raw:
    return {
        "name": "look",
        "action": "manual",
        "description": "The service looks well.",
        "timeout": "30m",
        "onFailure": "Stop",
        **fields,
    }


VALIDATION: Raw = {
    "type": "metric",
    "criteria": "error_rate_decrease",
    "expression": "error_rate < 0.05",
    "for": "5m",
    "timeout": "20m",
}


def plan(*steps: Raw, status: Raw | None = None, meta: Raw | None = None, **spec: Any) -> RecoveryPlan:
    return RecoveryPlan.model_validate(
        {
            "kind": "RecoveryPlan",
            "metadata": metadata("plan-1", PLAN_UID, **{"finalizers": [FINALIZER], **(meta or {})}),
            "spec": {
                "incidentRef": {"name": "incident-1", "uid": INCIDENT_UID},
                "serviceRef": {"name": "api"},
                "preconditions": {
                    "serviceRevisionArn": revision_arn(2),
                    "serviceDeploymentArn": service_deployment_arn(2),
                    "desiredCount": 3,
                    "rootCause": "TrafficSurge",
                },
                "steps": [Step.model_validate(s).to_dict() for s in (steps or (scale_out(),))],
                "expiresAt": NOW + 60 * MINUTE,
                **spec,
            },
            "status": status or {},
        }
    )


def incident(*, status: Raw | None = None, meta: Raw | None = None, **spec: Any) -> Incident:
    return Incident.model_validate(
        {
            "kind": "Incident",
            "metadata": metadata("incident-1", INCIDENT_UID, **(meta or {})),
            "spec": {
                "type": "high_error_rate",
                "severity": "high",
                "serviceRef": {"name": "api"},
                "metrics": [{"name": "error_rate", "value": "0.37", "threshold": "0.3"}],
                "detectedAt": NOW - 20 * MINUTE,
                "source": {"kind": "Detector", "name": "api-errors", "condition": "error_rate"},
                **spec,
            },
            "status": status or {},
        }
    )


def runbook(name: str = "ours", **spec: Any) -> Runbook:
    """A runbook that scales out against anything."""
    steps = [{"name": "scale-out", "action": "scale_out", "estimatedDuration": "15m"}]
    return Runbook.model_validate(
        {"kind": "Runbook", "metadata": metadata(name, f"uid-{name}"), "spec": {"steps": steps, **spec}}
    )


def protected_service(*, status: Raw | None = None, meta: Raw | None = None, **spec: Any) -> ProtectedService:
    return ProtectedService.model_validate(
        {
            "kind": "ProtectedService",
            "metadata": metadata("api", "psvc-uid", **(meta or {})),
            "spec": {
                "region": "us-east-1",
                "ecs": {"cluster": "shop", "service": "api"},
                "mode": "Approve",
                "allowedActions": [
                    "scale_out",
                    "rollback_to_previous_version",
                    "service_restart",
                    "stop_unhealthy_tasks",
                ],
                "limits": {"maxDesiredCount": 10},
                **spec,
            },
            "status": status or {},
        }
    )


def target_group(
    name: str = "blue", *, balancer: str = "app/web/1a2b", shared: bool = False, pair: str | None = None
) -> TargetGroup:
    base = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup"
    other = None if pair is None else f"{base}/{pair}/0123"
    return TargetGroup(arn=f"{base}/{name}/0123", load_balancer=balancer, shared=shared, pair=other)


def preset_watch(*presets: str, groups: Iterable[TargetGroup] = (), period: str = "1m", **spec: Any) -> Watch:
    """The watch of presets of a service with these target groups; windows are in periods."""
    length = int(parse_duration(period).total_seconds())
    detection = {"presets": presets, "period": period, "settle": f"{2 * length}s", **spec.pop("detection", {})}
    return build_watch(protected_service(detection=detection, **spec), tuple(groups))


def locked_by(name: str, uid: str) -> Raw:
    """Status of a ProtectedService whose lock that plan holds."""
    return {"activePlan": {"name": name, "uid": uid}}


def started(uid: str = PLAN_UID, digest: str = DIGEST) -> Raw:
    """Status of an incident that shows a plan as started."""
    return {"plans": [{"name": "plan-1", "uid": uid, "digest": digest, "startedAt": NOW}]}


def detector(*, condition: Raw | None = None, period: str = "1m", **spec: Any) -> Detector:
    query = {"namespace": "AWS/ApplicationELB", "period": period}
    return Detector.model_validate(
        {
            "kind": "Detector",
            "metadata": metadata("api-errors", "detector-uid"),
            "spec": {
                "serviceRef": {"name": "api"},
                "settle": "0s",
                "queries": [
                    {"name": "errors", "metricName": "HTTPCode_Target_5XX_Count", **query},
                    {"name": "requests", "metricName": "RequestCount", **query},
                ],
                "conditions": [
                    {
                        "name": "error_rate",
                        "type": "high_error_rate",
                        "ratio": {"numerator": "errors", "denominator": "requests", "minDenominator": "100"},
                        "thresholds": {"medium": "0.05", "high": "0.1", "critical": "0.3"},
                        **(condition or {}),
                    }
                ],
                **spec,
            },
        }
    )


def watch(*, condition: Raw | None = None, period: str = "1m", **spec: Any) -> Watch:
    """The watch of a Detector on the share of failed requests."""
    return watch_of(detector(condition=condition, period=period, **spec))


def detection(state: str = "Firing", since: datetime = NOW - 20 * MINUTE, **fields: Any) -> Detection:
    return Detection.model_validate({"condition": "error_rate", "state": state, "since": since, **fields})


def classification(**fields: Any) -> Classification:
    return Classification.model_validate(
        {
            "category": "Capacity",
            "rootCause": "TrafficSurge",
            "newRevisionAtFault": False,
            "confidence": "high",
            "deploymentId": "ecs-svc/2",
            "impactLevel": "high",
            "priority": 2,
            "estimatedResolutionTime": "15m",
            **fields,
        }
    )


def standing(**fields: Any) -> Standing:
    """What a pass finds out about an incident that is classified and has no plan."""
    seen = Standing(
        now=NOW,
        detection=detection(),
        classification=classification(),
        problem=None,
        plan=None,
        entry=None,
        no_plan=None,
    )
    return replace(seen, **fields)


# Approvals


def approval(
    role: str = "system_admin", approver: str = "alice@example.com", *, meta: Raw | None = None, **spec: Any
) -> PlanApproval:
    name = f"{approver.split('@', maxsplit=1)[0]}-{role}-{spec.get('decision', 'Approve')}".lower().replace("_", "-")
    return PlanApproval.model_validate(
        {
            "kind": "PlanApproval",
            "metadata": metadata(name, f"uid-{name}", **(meta or {})),
            "spec": {
                "planRef": {"name": "plan-1"},
                "planDigest": DIGEST,
                "role": role,
                "decision": "Approve",
                "approver": approver,
                "validUntil": NOW + 60 * MINUTE,
                **spec,
            },
        }
    )


def judged(role: str, approver: str, decision: str = "Approve", *, accepted: bool = True) -> Judgement:
    reason = "Accepted" if accepted else "RoleNotHeld"
    return Judgement(approval(role, approver, decision=decision), reason, "", Proof.SIGNED if accepted else None)


ALICE = judged("system_admin", "alice@example.com")
BOB = judged("service_owner", "bob@example.com")
REJECT = judged("service_owner", "carol@example.com", "Reject")


def tally(*judgements: Judgement) -> Tally:
    return tally_approvals(Requirement(ROLES), judgements)


APPROVED = tally(ALICE, BOB)


def live_state(**members: Any) -> LiveState | None:
    """What AWS says of a steady service; None where `service` is None: it could not be read."""
    if members.get("service", True) is None:
        return None
    return replace(LiveState(service(), revisions=revisions(1, 2)), **members)


def split_live(fields: Raw) -> tuple[Raw, Raw]:
    """Those fields that are members of a LiveState, and the others."""
    names = {member.name for member in dataclass_fields(LiveState)}
    members = {name: value for name, value in fields.items() if name in names}
    return members, {name: value for name, value in fields.items() if name not in names}


def policies(*, operator: Mapping[str, Any] | None = None, **spec: Any) -> Policies:
    """The policy of the plan's namespace, with this spec, and that of the operator's; none of them where nothing is
    given."""
    own = PolicyReading(_policy("shop", spec) if spec else None)
    return Policies(own, PolicyReading(_policy("bokgu-system", operator) if operator else None))


def _policy(namespace: str, spec: Mapping[str, Any]) -> RecoveryPolicy:
    return RecoveryPolicy.model_validate({"metadata": {"name": "default", "namespace": namespace}, "spec": spec})


def facts(**fields: Any) -> PlanFacts:
    """Everything is well: approved, locked, claimed, readable. Members of the LiveState may be given, too."""
    members, others = split_live(fields)
    return replace(
        PlanFacts(
            now=NOW,
            cluster_id="cluster",
            digest=DIGEST,
            incident=incident(status=started()),
            protected_service=protected_service(status=locked_by("plan-1", PLAN_UID)),
            tally=APPROVED,
            live=live_state(**members),
            problem=None,
            measurement=None,
            elder=None,
            role_refused=None,
            at_work=None,
            policies=policies(),
            unsent=frozenset(),
            known_since=NOW - 60 * MINUTE,
            holder="operator-1",
            timing=Timing(consistency_delay=5 * MINUTE, poll=timedelta(seconds=20)),
        ),
        **others,
    )


def measured(
    since: datetime, until: datetime, value: Callable[[datetime], float | None] | float, *, requests: float = 100
) -> Measurement:
    """One value a minute, of the minutes that began at or after `since` and ended by `until`; a hundred requests are
    enough to tell."""
    moments = [since + i * MINUTE for i in range((until - since) // MINUTE)]
    points = tuple((t, value(t) if callable(value) else value) for t in moments)
    volumes = dict.fromkeys(moments, requests)
    return Measurement(points, period=MINUTE, settle=timedelta(), volumes=volumes, enough=100)
