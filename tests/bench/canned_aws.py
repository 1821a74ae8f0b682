"""`python -m tests.bench.canned_aws`: AWS with answers off the shelf, so that only the operator's own work is measured.

Every service that is asked about is there, and runs its three tasks behind a load balancer of its own. Its metrics are
calm; with --surge traffic and CPU have doubled twenty minutes ago, whenever that is. UpdateService is obeyed at once.
`GET /updates` tells by service when its first UpdateService came, in seconds since 1970, `GET /calls` how often each
operation was called.
"""

import argparse
import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

CLUSTER = "bench"
ACCOUNT = "arn:aws:ecs:us-east-1:123456789012"
BALANCERS = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
BORN = 1_780_000_000
CALM = {"CPUUtilization": 40.0, "MemoryUtilization": 50.0, "HealthyHostCount": 3.0, "RequestCount": 6000.0}
SURGE = {"CPUUtilization": 95.0, "RequestCount": 12000.0}
SURGE_MINUTES = 20
EVENTS = 20
"""Events a service shows; ECS has up to 100."""
TASKS = 3

Json = dict[str, Any]


class CannedAws:
    """What is asked, and what is answered: a JSON text."""

    def __init__(self, services: int, *, surge: bool) -> None:
        """`services` is how many have a load balancer of their own."""
        self._services, self._surge = services, surge
        self._counts: dict[str, int] = {}
        self.updates: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self._operations: dict[str, Callable[[Json], str]] = {
            "DescribeServices": self._describe_services,
            "UpdateService": self._update_service,
            "GetMetricData": self._get_metric_data,
            "ListServiceDeployments": _list_service_deployments,
            "DescribeServiceRevisions": _describe_service_revisions,
            "ListTasks": lambda _: '{"taskArns": []}',
            "DescribeTaskDefinition": _describe_task_definition,
            "DescribeScalableTargets": lambda _: '{"ScalableTargets": []}',
        }

    def answer_json(self, operation: str, body: bytes) -> str:
        """The answer to an operation of a JSON protocol."""
        self.calls[operation] += 1
        return self._operations[operation](json.loads(body))

    def knows(self, operation: str) -> bool:
        """Whether there is an answer to it."""
        return operation in self._operations

    def answer_query(self, body: bytes) -> str:
        """The answer to an operation of the Query protocol: XML."""
        request = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.calls[request["Action"]] += 1
        if request["Action"] == "DescribeTargetHealth":
            return _describe_target_health()
        return describe_target_groups(self._services, request.get("Marker", ""))

    def _describe_services(self, request: Json) -> str:
        found = ",".join(_service(name, self._counts.get(name, TASKS)) for name in request["services"])
        return f'{{"services": [{found}], "failures": []}}'

    def _update_service(self, request: Json) -> str:
        name = request["service"]
        self.updates.setdefault(name, time.time())
        self._counts[name] = request.get("desiredCount", TASKS)
        return f'{{"service": {_service(name, self._counts[name])}}}'

    def _get_metric_data(self, request: Json) -> str:
        """The same calm value in every period; error counts have no datapoints, as on a calm day."""
        start, end = int(float(request["StartTime"])), int(min(float(request["EndTime"]), time.time()))
        surges = end - SURGE_MINUTES * 60 if self._surge else end
        results = []
        for query in request["MetricDataQueries"]:
            metric, period = query["MetricStat"]["Metric"]["MetricName"], query["MetricStat"]["Period"]
            points = _points(metric, period, -(-start // period), end // period, surges // period)
            results.append(f'{{"Id": "{query["Id"]}", "Label": "{metric}", {points}, "StatusCode": "Complete"}}')
        return f'{{"MetricDataResults": [{",".join(results)}], "Messages": []}}'


@lru_cache(1000)
def _points(metric: str, period: int, first: int, last: int, surge: int) -> str:
    """Datapoints of the periods from `first` to before `last`; the ones from `surge` on are of a surge."""
    numbers = range(first, last) if metric in CALM else ()
    values = [SURGE.get(metric, CALM[metric]) if number >= surge else CALM[metric] for number in numbers]
    return f'"Timestamps": {json.dumps([number * period for number in numbers])}, "Values": {json.dumps(values)}'


@cache
def _service(name: str, count: int) -> str:
    events = [
        {"id": f"{n}", "createdAt": BORN + n, "message": f"(service {name}) has reached a steady state."}
        for n in range(EVENTS)
    ]
    shown = {
        "serviceArn": f"{ACCOUNT}:service/{CLUSTER}/{name}",
        "serviceName": name,
        "clusterArn": f"{ACCOUNT}:cluster/{CLUSTER}",
        "status": "ACTIVE",
        "desiredCount": count,
        "runningCount": count,
        "pendingCount": 0,
        "launchType": "FARGATE",
        "taskDefinition": f"{ACCOUNT}:task-definition/{name}:1",
        "deploymentController": {"type": "ECS"},
        "schedulingStrategy": "REPLICA",
        "loadBalancers": [{"targetGroupArn": target_group(name), "containerName": "app", "containerPort": 80}],
        "currentServiceDeployment": f"{ACCOUNT}:service-deployment/{CLUSTER}/{name}/1",
        "currentServiceRevisions": [
            {"arn": f"{ACCOUNT}:service-revision/{CLUSTER}/{name}/1", "runningTaskCount": count}
        ],
        "deployments": [
            {
                "id": "ecs-svc/1",
                "status": "PRIMARY",
                "taskDefinition": f"{ACCOUNT}:task-definition/{name}:1",
                "desiredCount": count,
                "runningCount": count,
                "pendingCount": 0,
                "failedTasks": 0,
                "rolloutState": "COMPLETED",
                "createdAt": BORN,
            }
        ],
        "events": events,
        "createdAt": BORN,
        "tags": [],
    }
    return json.dumps(shown)


def target_group(name: str) -> str:
    """ARN of the service's target group."""
    return f"{BALANCERS}:targetgroup/{name}/73e2d6bc24d8a067"


def _list_service_deployments(request: Json) -> str:
    """One, successful, long ago."""
    name = request["service"]
    shown = {
        "serviceDeploymentArn": f"{ACCOUNT}:service-deployment/{CLUSTER}/{name}/1",
        "status": "SUCCESSFUL",
        "targetServiceRevisionArn": f"{ACCOUNT}:service-revision/{CLUSTER}/{name}/1",
        "createdAt": BORN,
        "finishedAt": BORN + 60,
    }
    return json.dumps({"serviceDeployments": [shown]})


def _describe_service_revisions(request: Json) -> str:
    found = [
        {"serviceRevisionArn": arn, "taskDefinition": f"{ACCOUNT}:task-definition/x:1", "createdAt": BORN}
        for arn in request["serviceRevisionArns"]
    ]
    return json.dumps({"serviceRevisions": found})


def _describe_task_definition(request: Json) -> str:
    container = {"name": "app", "image": "app:1", "essential": True, "environment": []}
    shown = {
        "taskDefinitionArn": request["taskDefinition"],
        "family": "app",
        "revision": 1,
        "status": "ACTIVE",
        "cpu": "256",
        "memory": "512",
        "containerDefinitions": [container],
        "registeredAt": BORN,
    }
    return json.dumps({"taskDefinition": shown, "tags": []})


def describe_target_groups(count: int, marker: str) -> str:
    """DescribeTargetGroups: 400 a page, each with a load balancer of its own."""
    begin = int(marker or 0)
    end = min(count, begin + 400)
    members = "".join(
        f"<member><TargetGroupArn>{target_group(name)}</TargetGroupArn><LoadBalancerArns><member>{BALANCERS}:loadbalancer"
        f"/app/{name}/50dc6c495c0c9188</member></LoadBalancerArns></member>"
        for name in (service_name(n) for n in range(begin, end))
    )
    following = f"<NextMarker>{end}</NextMarker>" if end < count else ""
    return (
        f"<DescribeTargetGroupsResponse><DescribeTargetGroupsResult><TargetGroups>{members}</TargetGroups>{following}"
        "</DescribeTargetGroupsResult></DescribeTargetGroupsResponse>"
    )


@cache
def _describe_target_health() -> str:
    """All targets are healthy."""
    members = "".join(
        f"<member><Target><Id>10.0.0.{n}</Id><Port>80</Port></Target><TargetHealth><State>healthy</State></TargetHealth></member>"
        for n in range(TASKS)
    )
    return (
        f"<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>{members}"
        "</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
    )


def service_name(number: int) -> str:
    """Name of the service of that number."""
    return f"bench-{number:05d}"


class _Connection(asyncio.Protocol):
    """HTTP/1.1, as much of it as AWS's SDK speaks: the less it costs, the more of the machine is left to what is
    measured."""

    def __init__(self, aws: CannedAws) -> None:
        self._aws, self._buffer = aws, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
            whole = end + 4 + int(headers.get("content-length", 0))
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            status, media_type, answer = self._answer(line, headers, body)
            content = answer.encode()
            head = f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(content)}\r\n\r\n"
            self._transport.write(head.encode() + content)

    def _answer(self, line: str, headers: dict[str, str], body: bytes) -> tuple[str, str, str]:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        match line.split(" ")[:2]:
            case ["GET", "/updates"]:
                return "200 OK", "application/json", json.dumps(self._aws.updates)
            case ["GET", "/calls"]:
                return "200 OK", "application/json", json.dumps(self._aws.calls)
        if not operation:
            return "200 OK", "text/xml", self._aws.answer_query(body)
        if not self._aws.knows(operation):
            return "400 Bad Request", headers["content-type"], json.dumps({"__type": "UnknownOperationException"})
        return "200 OK", headers["content-type"], self._aws.answer_json(operation, body)


async def _serve(options: argparse.Namespace) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    aws = CannedAws(options.services, surge=options.surge)
    server = await loop.create_server(lambda: _Connection(aws), "127.0.0.1", 0)
    partial = options.port_file.with_suffix(".partial")
    partial.write_text(str(server.sockets[0].getsockname()[1]))
    partial.rename(options.port_file)
    await stopped.wait()
    server.close()


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.canned_aws", description=__doc__)
    parser.add_argument("--services", type=int, default=1000, help="how many have load balancers (default %(default)s)")
    parser.add_argument("--surge", action="store_true", help="traffic and CPU doubled twenty minutes ago")
    parser.add_argument("--port-file", type=Path, required=True, help="file to write the port to")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
