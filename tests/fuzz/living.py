"""One living object of each kind, with nearly all fields filled in: what is changed, and what others refer to."""

from typing import Any

from tests.world.manifests import CLUSTER, IN_PEACE, REGION, detector, incident, protected_service, roomy_policy
from tests.world.roles import USUAL, runs_role
from tests.world.world import Raw

SERVICE = "crowd"
"""The ECS service that all of them are about. Nothing is wrong with it."""

ACTIONS = [
    *("health_check", "service_restart", "scale_out", "scale_in", "rollback_to_previous_version", "wait"),
    *("stop_unhealthy_tasks", "register_task_definition", "run_task", "ssm_automation", "manual"),
]
TASK_DEFINITION = f"arn:aws:ecs:{REGION}:{USUAL}:task-definition/{SERVICE}:1"
NAMES = {
    "recoverypolicies": "default",
    "protectedservices": SERVICE,
    "detectors": f"{SERVICE}-errors",
    "runbooks": "own",
    "incidents": "filed",
    "recoveryplans": "by-hand",
}
"""In the order in which they are made. The name of a PlanApproval hangs on what it approves."""
KINDS = {
    "recoverypolicies": "RecoveryPolicy",
    "protectedservices": "ProtectedService",
    "detectors": "Detector",
    "runbooks": "Runbook",
    "incidents": "Incident",
    "recoveryplans": "RecoveryPlan",
    "planapprovals": "PlanApproval",
}


def manifest(plural: str, namespace: str, name: str, spec: Any) -> Raw:
    """An object of ours."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "bokgu.dev/v1alpha1", "kind": KINDS[plural], "metadata": metadata, "spec": spec}


def build_specs() -> dict[str, Raw]:
    """The specs of those that refer to nothing but names."""
    return {
        "recoverypolicies": _policy(),
        "protectedservices": _service(),
        "detectors": _detector(),
        "runbooks": _runbook(),
        "incidents": _incident(),
    }


def _policy() -> Raw:
    rule = {
        "name": "more",
        "severities": ["high", "critical"],
        "actions": ["scale_out"],
        "environments": ["production"],
        "roles": [{"name": "system_admin", "people": 1, "identities": ["alice@example.com", "bob@example.com"]}],
        "proofs": ["Signed", "Cluster"],
        "expiresAfter": "30m",
    }
    window = {"name": "hours", "kind": "Allow", "schedule": "* * * * *", "duration": "1h", "timeZone": "Asia/Seoul"}
    route = {
        "name": "pager",
        "severities": ["critical"],
        "environments": ["production"],
        "services": [SERVICE],
        "kinds": ["Escalated"],
        "receivers": ["nobody"],
        "language": "ko",
    }
    usual: Raw = roomy_policy()["spec"]
    budget = {**usual["budget"], "environments": [{"environment": "staging", "maxConcurrent": 2}]}
    storm = {**usual["storm"], "window": "10m", "cooldown": "10m"}
    auto = [{"service": SERVICE, "action": "scale_out", "rootCause": "TrafficSurge"}]
    return {
        **usual,
        "approvals": [rule],
        "auto": auto,
        "maxAutoPerHour": 1,
        "budget": budget,
        "storm": storm,
        "resetBreakerAt": "2026-01-01T00:00:00Z",
        "windows": [window],
        "alerts": [route],
        "pause": False,
        "dryRun": False,
    }


def _service() -> Raw:
    detection = {
        "presets": [
            "alb-target-5xx",
            "alb-latency",
            "ecs-running",
            "ecs-cpu",
            "sqs-age",
            "log-corruption",
            "apigw-rest",
        ],
        "interval": "1s",
        "settle": "1s",
        "period": "1s",
        "latencyLimit": "2.5",
        "queue": {"name": "orders", "maxAge": "10m"},
        "corruption": {"pattern": "checksum mismatch"},
        "alarms": [{"name": "orders-late", "type": "resource_exhaustion", "severity": "medium"}],
        "relapseWatch": "2s",
    }
    spec: Raw = protected_service(
        SERVICE,
        allowedActions=ACTIONS,
        limits={"maxDesiredCount": 10, "scaleStepPercent": 50, **IN_PEACE},
        rollback={
            "maxAge": "72h",
            "minServed": "5s",
            "reregister": True,
            "codeDeploy": {"applicationName": "shop", "deploymentGroupName": "orders"},
        },
        runTask={"roleArn": runs_role(USUAL), "taskDefinitions": [TASK_DEFINITION]},
        automation={"roleArn": runs_role(USUAL), "documents": ["Repair"]},
        runbooks=["own"],
        apiGateway={"type": "REST", "name": "orders", "id": "a1b2c3", "stage": "prod"},
        logGroup=f"/ecs/{SERVICE}",
        dependsOn=["payments"],
        detection=detection,
        resetBreakerAt="2026-01-01T00:00:00Z",
        suspend=False,
        dryRun=False,
    )["spec"]
    return spec


def _detector() -> Raw:
    spec: Raw = detector(SERVICE)["spec"]
    logs = {"name": "lines", "log": {"logGroup": f"/ecs/{SERVICE}", "pattern": "ERROR"}, "period": "1s"}
    condition = {
        **spec["conditions"][0],
        "criticalEvaluation": {"evaluationPeriods": 2, "datapointsToAlarm": 2},
        "minVolumes": [{"query": "requests", "sum": "10"}],
        "clearThreshold": "0.04",
        "comparison": "GreaterThanThreshold",
        "treatMissingData": "missing",
    }
    noisy = {
        "name": "noisy",
        "type": "data_corruption",
        "query": "lines",
        "thresholds": {"high": "100000"},
        "evaluationPeriods": 3,
        "datapointsToAlarm": 2,
    }
    return {**spec, "queries": [*spec["queries"], logs], "conditions": [condition, noisy], "suspend": False}


def _runbook() -> Raw:
    restart = {
        "name": "restart",
        "action": "service_restart",
        "description": "restart {service}",
        "parameters": {"minimumHealthyPercent": 50},
        "estimatedDuration": "5m",
        "timeout": "10m",
        "requiredResources": ["ecs_service"],
        "onFailure": "RollBack",
        "validation": {"type": "metric", "criteria": "error_rate_decrease", "for": "5m", "timeout": "10m"},
        "rollback": {"action": "rollback_to_previous_version"},
    }
    look = {"name": "look", "action": "health_check", "timeout": "5m", "onFailure": "Continue"}
    return {
        "description": "what we do",
        "incidentTypes": ["high_error_rate"],
        "rootCauses": ["ApplicationCrash"],
        "newRevisionAtFault": False,
        "traits": ["LoadDriven"],
        "serviceSelector": {"environment": "production", "matchLabels": {"team": "pay"}},
        "onlyByName": False,
        "priority": 5,
        "steps": [restart, look],
        "estimatedResolution": "10m",
        "cooldown": "1h",
        "escalatesTo": "own",
        "advice": "call {service}'s team",
    }


def _incident() -> Raw:
    spec: Raw = incident(
        NAMES["incidents"],
        SERVICE,
        severity="low",
        description="a customer called",
        metrics=[{"name": "error_rate", "value": "0.4", "unit": "Percent", "threshold": "0.1"}],
        affectedResources=[SERVICE],
        detectedAt="2026-11-24T08:00:00Z",
        source={"kind": "Manual", "name": "desk", "condition": "call"},
    )["spec"]
    return spec


def plan_spec(incident_uid: str) -> Raw:
    """A plan that people wrote for that incident. It waits for approvals, whatever it holds."""
    validation = {
        "type": "metric",
        "criteria": "error_rate_decrease",
        "expression": "error_rate < 0.05",
        "for": "5m",
        "timeout": "10m",
    }
    scale_out = {
        "name": "scale-out",
        "action": "scale_out",
        "description": "two more",
        "parameters": {"desiredCount": 5, "minCapacity": 5, "maxCapacity": 8},
        "estimatedDuration": "5m",
        "timeout": "15m",
        "requiredResources": ["ecs_service"],
        "onFailure": "Stop",
        "validation": validation,
    }
    run_task = {
        "name": "repair",
        "action": "run_task",
        "parameters": {
            "taskDefinition": TASK_DEFINITION,
            "container": "app",
            "command": ["repair"],
            "roleArn": runs_role(USUAL),
        },
        "timeout": "15m",
        "onFailure": "RollBack",
    }
    return {
        "incidentRef": {"name": NAMES["incidents"], "uid": incident_uid},
        "serviceRef": {"name": SERVICE},
        "runbookRef": {"name": "own"},
        "chosenBecause": "people said so",
        "trackRecord": "never tried",
        "classification": {
            "rootCause": "TrafficSurge",
            "newRevisionAtFault": False,
            "confidence": "high",
            "impactLevel": "high",
            "incidentType": "high_error_rate",
        },
        "preconditions": {
            "target": {"region": REGION, "cluster": CLUSTER, "service": SERVICE},
            "taskDefinition": TASK_DEFINITION,
            "desiredCount": 3,
            "scalableTarget": {"minCapacity": 3, "maxCapacity": 8, "suspended": ["ScheduledScaling"]},
            "rootCause": "TrafficSurge",
        },
        "steps": [scale_out, run_task],
        "estimatedTotalDuration": "20m",
        "requiredApprovals": ["system_admin"],
        "risks": [{"description": "cost", "probability": "low", "impact": "low", "mitigation": "scale in"}],
        "ifNothingIsDone": "errors go on",
        "expiresAt": "2999-01-01T00:00:00Z",
        "suspend": False,
    }
