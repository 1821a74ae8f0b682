"""An incident that was recovered, with all that a report can tell of it."""

from dataclasses import replace
from typing import Any

from bokgu.api.detector import Detector
from bokgu.api.incident import Incident
from bokgu.api.observed import AwsError, Series
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.commands.report_plots import Inquiry, Measured, build_inquiry, build_plots, choose_window
from bokgu.commands.report_sources import Hold, Present, Surroundings
from bokgu.core.watch import Source
from tests.unit import facts
from tests.unit.facts import (
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    ROLES,
    VALIDATION,
    approval,
    classification,
    detector,
    protected_service,
    task_definition,
)

BEGUN = NOW - 24 * MINUTE
SEEN = NOW - 20 * MINUTE
APPROVED = NOW - 12 * MINUTE
STARTED = NOW - 11 * MINUTE
GONE = NOW - 6 * MINUTE
RESOLVED = NOW

EVIDENCE = [
    {"source": "cloudwatch GetMetricData", "fact": "requests grew from 600 to 1200 a minute"},
    {"source": "ecs DescribeServices", "fact": "service api has reached a steady state"},
]


def timeline() -> list[dict[str, Any]]:
    told = [
        (SEEN, "Detected", "error_rate is 0.37 on api"),
        (NOW - 19 * MINUTE, "Classified", "TrafficSurge (high confidence): requests grew"),
        (NOW - 18 * MINUTE, "Planned", "plan-1: runbook traffic-surge"),
        (NOW - 15 * MINUTE, "Approved", "alice@example.com as system_admin (Signed)"),
        (APPROVED, "Approved", "bob@example.com as service_owner (Signed)"),
        (STARTED, "RecoveryStarted", "plan-1"),
        (RESOLVED, "Resolved", "Recovered: what was verified worked"),
    ]
    return [{"at": at, "event": event, "message": message} for at, event, message in told]


def recovered(**spec: Any) -> Incident:
    entry = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST, "runbook": "traffic-surge", "outcome": "Completed"}
    known = classification(
        evidence=EVIDENCE,
        ruledOut=["OutOfMemory: memory peaked at 31 %"],
        similarIncidents={"count": 2, "medianResolution": "12m", "names": ["api-1", "api-2"]},
    )
    status = {
        "phase": "Resolved",
        "reason": "Recovered",
        "classification": known.to_dict(),
        "plans": [entry],
        "mitigatedAt": GONE,
        "resolvedAt": RESOLVED,
        "timeline": timeline(),
    }
    return facts.incident(
        status=status,
        meta={"creationTimestamp": SEEN},
        **{"detectedAt": SEEN, "description": "error_rate is 0.37 on api", **spec},
    )


def said(role: str, who: str, at: Any, **fields: Any) -> dict[str, Any]:
    name = f"{who.partition('@')[0]}-{role}-approve".replace("_", "-")
    return {
        "role": role,
        "approver": who,
        "decision": "Approve",
        "at": at,
        "ref": name,
        "uid": f"uid-{name}",
        "verifiedBy": "Signed",
        "reason": "Accepted",
        **fields,
    }


def completed_plan(**status: Any) -> RecoveryPlan:
    counted = [
        said(ROLES[0], "alice@example.com", NOW - 15 * MINUTE),
        said(ROLES[1], "bob@example.com", APPROVED),
        said(ROLES[1], "mallory@example.com", NOW - 14 * MINUTE, verifiedBy=None, reason="RoleNotHeld"),
    ]
    intent = {
        "token": "plan-1-scale-out-1",
        "attempt": 1,
        "planUID": PLAN_UID,
        "digest": DIGEST,
        "request": {"service": "ecs", "operation": "UpdateService", "arguments": '{"desiredCount":5}'},
        "before": {"desiredCount": 3, "taskDefinition": task_definition(2)},
        "holder": "operator-1",
        "writtenAt": STARTED,
    }
    done = {
        "name": "scale-out",
        "phase": "Completed",
        "startedAt": STARTED,
        "effectiveAt": NOW - 9 * MINUTE,
        "finishedAt": GONE + MINUTE,
        "intent": intent,
        "answer": {"at": STARTED, "result": "Accepted", "deploymentId": "ecs-svc/3"},
        "output": "5 of 5 tasks run",
        "verdict": "Passed",
    }
    return facts.plan(
        facts.scale_out(description="Run 5 tasks instead of 3.", validation=VALIDATION),
        meta={"creationTimestamp": NOW - 18 * MINUTE},
        status={
            "phase": "Completed",
            "reason": "AllSteps",
            "digest": DIGEST,
            "requiredApprovals": list(ROLES),
            "approvalCount": "2/2",
            "progress": "1/1",
            "approvals": counted,
            "startedAt": STARTED,
            "finishedAt": GONE + MINUTE,
            "steps": [done],
            "metrics": [{"name": "error_rate", "before": "0.37", "after": "0.01"}],
            "conditions": [
                {"type": "Approved", "status": "True", "reason": "Approved", "lastTransitionTime": APPROVED}
            ],
            **status,
        },
        chosenBecause="it fits the cause best",
        trackRecord="helped 3 of 4 times here",
        ifNothingIsDone="Errors go on.",
        runbookRef={"name": "traffic-surge"},
    )


HOLDS = (
    Hold(APPROVED, "plan-1", True, "WindowClosed: office-hours opens at eight"),
    Hold(STARTED, "plan-1", False, "WindowClosed holds it no more"),
)


def present(**fields: Any) -> Present:
    mine = approval(ROLES[0], "alice@example.com", reason="the sale must go on")
    around = Surroundings(protected_service(), detector(), NOW)
    usual = Present(recovered(), (completed_plan(),), (mine,), HOLDS, around)
    return replace(usual, **fields)


def inquire(incident: Incident | None = None, watched: Detector | None = None) -> Inquiry:
    window = choose_window(SEEN, RESOLVED, NOW + 10 * MINUTE, MINUTE)
    found = build_inquiry(
        incident or recovered(), protected_service(), watched or detector(), window, now=NOW, minute=MINUTE
    )
    assert found is not None
    return found


def answers(inquiry: Inquiry) -> dict[Source, Series | AwsError]:
    """Errors from BEGUN until GONE, 37 of 100 requests a minute; CPU that CloudWatch may not tell; memory; no more."""
    since, until = inquiry.window.since, inquiry.window.until
    moments = [since + i * MINUTE for i in range((until - since) // MINUTE)]
    found: dict[Source, Series | AwsError] = {source: Series((), source.period) for source in inquiry.sources}
    for source in inquiry.sources:
        name = source[1]
        if name == "RequestCount":
            found[source] = Series(tuple((at, 100.0) for at in moments), 60)
        elif name == "HTTPCode_Target_5XX_Count":
            found[source] = Series(tuple((at, 37.0) for at in moments if BEGUN <= at < GONE), 60)
        elif name == "MemoryUtilization":
            found[source] = Series(tuple((at, 31.0) for at in moments), 60)
        elif name == "CPUUtilization":
            found[source] = AwsError("GetMetricData", "Forbidden", "no answer of it", sent=False)
    return found


def measured() -> Measured:
    inquiry = inquire()
    return build_plots(inquiry, recovered(), answers(inquiry))
