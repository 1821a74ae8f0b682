"""`python -m tests.bench.canned_aws`: AWS with answers off the shelf, so that only the operator's own work is measured.

Every service there is runs its three tasks behind a load balancer of its own, and every metric is calm.
"""

import argparse
import json
import signal
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

ACCOUNT = "arn:aws:ecs:us-east-1:123456789012"
BALANCERS = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
BORN = 1_780_000_000
CALM = {"CPUUtilization": 40.0, "MemoryUtilization": 50.0, "HealthyHostCount": 3.0, "RequestCount": 6000.0}
EVENTS = 20
"""Events a service shows; ECS has up to 100."""

Json = dict[str, Any]


def describe_services(request: Json) -> Json:
    """DescribeServices: three of three tasks run."""
    return {"services": [_service(name) for name in request["services"]], "failures": []}


@cache
def _service(name: str) -> Json:
    events = [
        {"id": f"{n}", "createdAt": BORN + n, "message": f"(service {name}) has reached a steady state."}
        for n in range(EVENTS)
    ]
    return {
        "serviceArn": f"{ACCOUNT}:service/bench/{name}",
        "serviceName": name,
        "clusterArn": f"{ACCOUNT}:cluster/bench",
        "status": "ACTIVE",
        "desiredCount": 3,
        "runningCount": 3,
        "pendingCount": 0,
        "taskDefinition": f"{ACCOUNT}:task-definition/{name}:1",
        "deploymentController": {"type": "ECS"},
        "schedulingStrategy": "REPLICA",
        "loadBalancers": [{"targetGroupArn": target_group(name), "containerName": "app", "containerPort": 80}],
        "currentServiceDeployment": f"{ACCOUNT}:service-deployment/bench/{name}/1",
        "currentServiceRevisions": [{"arn": f"{ACCOUNT}:service-revision/bench/{name}/1", "runningTaskCount": 3}],
        "deployments": [
            {
                "id": "ecs-svc/1",
                "status": "PRIMARY",
                "taskDefinition": f"{ACCOUNT}:task-definition/{name}:1",
                "desiredCount": 3,
                "runningCount": 3,
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


def target_group(name: str) -> str:
    """ARN of the service's target group."""
    return f"{BALANCERS}:targetgroup/{name}/73e2d6bc24d8a067"


def list_service_deployments(request: Json) -> Json:
    """ListServiceDeployments: one, successful, an hour ago."""
    name = request["service"]
    return {
        "serviceDeployments": [
            {
                "serviceDeploymentArn": f"{ACCOUNT}:service-deployment/bench/{name}/1",
                "status": "SUCCESSFUL",
                "targetServiceRevisionArn": f"{ACCOUNT}:service-revision/bench/{name}/1",
                "createdAt": BORN,
                "finishedAt": BORN + 60,
            }
        ]
    }


def describe_service_revisions(request: Json) -> Json:
    """DescribeServiceRevisions."""
    return {
        "serviceRevisions": [
            {"serviceRevisionArn": arn, "taskDefinition": f"{ACCOUNT}:task-definition/x:1", "createdAt": BORN}
            for arn in request["serviceRevisionArns"]
        ]
    }


def get_metric_data(request: Json) -> Json:
    """GetMetricData: the same calm value in every period; error counts have no datapoints, as on a calm day."""
    start, end = float(request["StartTime"]), min(float(request["EndTime"]), time.time())
    results = []
    for query in request["MetricDataQueries"]:
        stat = query["MetricStat"]
        period, value = stat["Period"], CALM.get(stat["Metric"]["MetricName"])
        first = -(-int(start) // period) * period
        moments = list(range(first, int(end) - period + 1, period)) if value is not None else []
        results.append(
            {
                "Id": query["Id"],
                "Label": stat["Metric"]["MetricName"],
                "Timestamps": moments,
                "Values": [value] * len(moments),
                "StatusCode": "Complete",
            }
        )
    return {"MetricDataResults": results, "Messages": []}


JSON_OPERATIONS = {
    "DescribeServices": describe_services,
    "ListServiceDeployments": list_service_deployments,
    "DescribeServiceRevisions": describe_service_revisions,
    "GetMetricData": get_metric_data,
}


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


def service_name(number: int) -> str:
    """Name of the service of that number."""
    return f"bench-{number:04d}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    services = 0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        if operation:
            answer = json.dumps(JSON_OPERATIONS[operation](json.loads(body))).encode()
            media_type = self.headers["Content-Type"]
        else:
            marker = parse_qs(body.decode()).get("Marker", [""])[0]
            answer, media_type = describe_target_groups(self.services, marker).encode(), "text/xml"
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """The operator counts the calls."""


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.canned_aws", description=__doc__)
    parser.add_argument("--services", type=int, default=1000, help="how many services there are (default %(default)s)")
    parser.add_argument("--port-file", type=Path, required=True, help="file to write the port to")
    options = parser.parse_args()
    _Handler.services = options.services
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    options.port_file.write_text(str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    main()
