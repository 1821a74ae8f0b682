"""Events as EventBridge sends them, with the members that the documentation of CloudWatch and ECS shows."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from tests.world.manifests import CLUSTER, REGION

ACCOUNT = "123456789012"
Raw = dict[str, Any]


def wrap(source: str, detail_type: str, resources: list[str], detail: Raw, **members: Any) -> Raw:
    """The envelope of an event that happened now."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": REGION,
        "resources": resources,
        "detail": detail,
        **members,
    }


def wrap_by_sns(event: Raw) -> Raw:
    """The event as a queue gets it that is subscribed to a topic."""
    return {
        "Type": "Notification",
        "MessageId": str(uuid.uuid4()),
        "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:events",
        "Message": json.dumps(event),
        "Timestamp": "2026-11-24T08:00:00.000Z",
        "SignatureVersion": "1",
        "Signature": "c2lnbmVk",
        "SigningCertURL": "",
        "UnsubscribeURL": "",
    }


def metric(namespace: str, name: str, dimensions: dict[str, str], *, returned: bool = True) -> Raw:
    """One query of an alarm."""
    return {
        "id": "m1",
        "metricStat": {
            "metric": {"namespace": namespace, "name": name, "dimensions": dimensions},
            "period": 60,
            "stat": "Average",
        },
        "returnData": returned,
    }


def cpu_of(service: str, cluster: str = CLUSTER) -> Raw:
    """The CPU of an ECS service."""
    return metric("AWS/ECS", "CPUUtilization", {"ClusterName": cluster, "ServiceName": service})


def alarm(
    name: str,
    value: str = "ALARM",
    *,
    at: datetime | None = None,
    metrics: list[Raw] | None = None,
    datapoints: list[float | None] | None = None,
    threshold: float = 90.0,
    **members: Any,
) -> Raw:
    """ "CloudWatch Alarm State Change"."""
    moment = at or datetime.now(UTC)
    data = {
        "version": "1.0",
        "queryDate": _milliseconds(moment),
        "statistic": "Average",
        "period": 60,
        "recentDatapoints": datapoints,
        "threshold": threshold,
    }
    state = {"value": value, "reason": f"Threshold Crossed ({value})", "timestamp": _milliseconds(moment)}
    if datapoints is not None:
        state["reasonData"] = json.dumps(data)
    detail = {
        "alarmName": name,
        "state": state,
        "previousState": {"value": "OK", "timestamp": _milliseconds(moment)},
        "configuration": {"metrics": metrics or []},
    }
    arn = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"
    time = {"time": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
    return wrap("aws.cloudwatch", "CloudWatch Alarm State Change", [arn], detail, **(time | members))


def stopped_task(service: str, code: str = "EssentialContainerExited", **detail: Any) -> Raw:
    """ "ECS Task State Change" of a task of a service that ended."""
    task = uuid.uuid4().hex
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{CLUSTER}/{task}"
    content = {
        "clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{CLUSTER}",
        "containers": [{"name": "app", "lastStatus": "STOPPED", "exitCode": 1}],
        "desiredStatus": "STOPPED",
        "group": f"service:{service}",
        "lastStatus": "STOPPED",
        "startedBy": "ecs-svc/1234567890123456789",
        "stopCode": code,
        "stoppedReason": "Essential container in task exited",
        "taskArn": arn,
        "version": 4,
        **detail,
    }
    return wrap("aws.ecs", "ECS Task State Change", [arn], content)


def service_arn(service: str) -> str:
    """In the long format."""
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/{CLUSTER}/{service}"


def deployment(service: str, name: str = "SERVICE_DEPLOYMENT_FAILED") -> Raw:
    """ "ECS Deployment State Change"."""
    detail = {
        "eventType": "ERROR" if name.endswith("FAILED") else "INFO",
        "eventName": name,
        "deploymentId": "ecs-svc/1234567890123456789",
        "updatedAt": "2026-11-24T08:00:00Z",
        "reason": "ECS deployment circuit breaker: tasks failed to start.",
    }
    return wrap("aws.ecs", "ECS Deployment State Change", [service_arn(service)], detail)


def action(service: str, name: str = "SERVICE_TASK_START_IMPAIRED", kind: str = "WARN") -> Raw:
    """ "ECS Service Action"."""
    detail = {
        "eventType": kind,
        "eventName": name,
        "clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{CLUSTER}",
        "createdAt": "2026-11-24T08:00:00.000Z",
    }
    return wrap("aws.ecs", "ECS Service Action", [service_arn(service)], detail)


def _milliseconds(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
