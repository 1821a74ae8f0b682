"""A client of the simulator's control API, for tests, scenarios and the demo. Standard library only.

What happens in the world reads like a sentence:

    aws.set_load("demo", "web", 200)
    aws.throttle("UpdateService", count=3)
    aws.at("210987654321", "eu-west-1").break_dependency("payments")
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]
ServiceName = tuple[str, str]
"""Names of cluster and service."""


class ControlError(Exception):
    """The simulator refused a request; the message says why."""


@dataclass(frozen=True)
class RecordedCall:
    """An AWS call in the journal. `time` is wall seconds since the epoch.

    `account` and `role_session_name` follow from the key that signed it, `region` from the signature.
    `result` is `OK`, an error code, or `NoAnswer`; `effect` says whether the operation was carried out; `fault` is the
    id of the fault that hit it.
    """

    sequence: int
    time: float
    account: str
    region: str
    service: str
    operation: str
    parameters: Json
    access_key_id: str | None
    role_session_name: str | None
    result: str
    effect: bool
    fault: int | None


class SimulatorControl:
    """Speaks to the simulator at `url`. Every method raises ControlError when it is refused, OSError when not there.

    It acts in one account and region: the default ones, or what `at` says. Durations are simulated seconds where
    nothing else is said.
    """

    def __init__(
        self, url: str, timeout: float = 10.0, *, account: str | None = None, region: str | None = None
    ) -> None:
        """`timeout` is in wall seconds."""
        self._url = url.rstrip("/")
        self._timeout = timeout
        self._place = {"account": account, "region": region}

    def at(self, account: str | None = None, region: str | None = None) -> "SimulatorControl":
        """The same simulator, in another account, region or both; None stands for the default one."""
        return SimulatorControl(self._url, self._timeout, account=account, region=region)

    # What there is to see

    def health(self) -> Json:
        """`status` and `speed`."""
        return self._send("GET", "health")

    def calls(self, operation: str | None = None, *, service: str | None = None, since: int = 0) -> list[RecordedCall]:
        """The AWS calls with a sequence number above `since`, oldest first; of all accounts unless `at` named one."""
        query = {"operation": operation, "service": service, "since": str(since)}
        return [RecordedCall(**call) for call in self._send("GET", "calls", query)["calls"]]

    def service(self, cluster: str, name: str) -> Json:
        """The true state of a service: `service`, `tasks`, `requestsPerSecond`, `dependencyErrorRatio`."""
        return self._send("GET", "service", {"cluster": cluster, "service": name})

    # Traffic. A service need not exist yet; it gets 100 requests a second until told otherwise.

    def set_load(self, cluster: str, service: str, requests_per_second: float) -> None:
        """From now on the service gets this many requests a second; 0: none."""
        self._change("load", cluster=cluster, service=service, requestsPerSecond=requests_per_second)

    def set_load_steps(self, cluster: str, service: str, steps: Sequence[tuple[float, float]]) -> None:
        """Change the traffic in steps: seconds from now, and requests a second from then on."""
        self._change("load", cluster=cluster, service=service, steps=[list(step) for step in steps])

    def pause_load(self, cluster: str, service: str, seconds: float, *, after: float = 0.0) -> None:
        """A gap in the traffic: no request arrives for `seconds`, beginning `after` seconds from now."""
        self._change("load-gap", cluster=cluster, service=service, seconds=seconds, after=after)

    # What services depend on

    def set_dependency_errors(self, cluster: str, service: str, ratio: float) -> None:
        """Let a dependency of this service alone fail this share (0 to 1) of its requests, whatever its revision."""
        self._change("dependency-errors", cluster=cluster, service=service, ratio=ratio)

    def declare_dependency(
        self, name: str, dependents: Collection[ServiceName], provider: ServiceName | None = None
    ) -> None:
        """These services call the dependency `name`; it may be provided by a simulated service, whose health it has."""
        self._change(
            "dependency",
            name=name,
            dependents=[_shape(dependent) for dependent in dependents],
            provider=None if provider is None else _shape(provider),
        )

    def break_dependency(
        self, name: str, *, error_ratio: float = 1.0, latency_seconds: float = 5.0, cpu_percent: float = 60.0
    ) -> None:
        """The dependency is down: callers fail this share of requests after this long, and retries cost them CPU."""
        self._change(
            "dependency-state",
            name=name,
            errorRatio=error_ratio,
            latencySeconds=latency_seconds,
            cpuPercent=cpu_percent,
        )

    def slow_dependency(self, name: str, latency_seconds: float, *, cpu_percent: float = 0.0) -> None:
        """The dependency answers late: it adds this to every request of its callers, but fails none."""
        self._change("dependency-state", name=name, latencySeconds=latency_seconds, cpuPercent=cpu_percent)

    def heal_dependency(self, name: str) -> None:
        """The dependency is well again."""
        self._change("dependency-state", name=name)

    def dependencies(self) -> list[Json]:
        """All that were declared, and how they are."""
        found: list[Json] = self._send("GET", "dependencies")["dependencies"]
        return found

    # What stands in front of services

    def share_load_balancer(self, name: str, target_group_arns: Collection[str]) -> Json:
        """Put several target groups behind one load balancer: `loadBalancerArn`, `listenerArn`, `dimension`."""
        return self._change("load-balancer", name=name, targetGroupArns=list(target_group_arns))

    def put_api_gateway(
        self,
        cluster: str,
        service: str,
        *,
        kind: Literal["REST", "HTTP"],
        api_id: str,
        name: str = "",
        stage: str | None = None,
    ) -> None:
        """Put an API Gateway in front of a service; from now on it publishes AWS/ApiGateway metrics."""
        self._change("api-gateway", cluster=cluster, service=service, kind=kind, apiId=api_id, name=name, stage=stage)

    def remove_api_gateway(self, cluster: str, service: str) -> None:
        """Take it away again."""
        self._change("api-gateway", cluster=cluster, service=service)

    # Faults of AWS calls. Each hits the next `count` calls of `operation` (`*`: any), or all for `seconds`; only those
    # of botocore's `service`, and those whose parameters contain `resource`, where given. They return the fault's id.

    def throttle(self, operation: str, **bounds: Any) -> int:
        """The service's throttling error: "Rate exceeded"."""
        return self.add_fault(operation, kind="throttling", **bounds)

    def fail(self, operation: str, **bounds: Any) -> int:
        """The service's own error, HTTP 500."""
        return self.add_fault(operation, kind="server-error", **bounds)

    def deny(self, operation: str, **bounds: Any) -> int:
        """The service's error for a missing permission."""
        return self.add_fault(operation, kind="access-denied", **bounds)

    def expire_token(self, operation: str = "*", **bounds: Any) -> int:
        """The service's error for a session that is over."""
        return self.add_fault(operation, kind="expired-token", **bounds)

    def hang(self, operation: str, **bounds: Any) -> int:
        """No answer until the client gives up; nothing was done."""
        return self.add_fault(operation, kind="timeout", **bounds)

    def reset_connection(self, operation: str, **bounds: Any) -> int:
        """The connection is reset; nothing was done."""
        return self.add_fault(operation, kind="connection-reset", **bounds)

    def slow_down(self, operation: str, wall_seconds: float, **bounds: Any) -> int:
        """A good answer, but only after `wall_seconds`."""
        return self.add_fault(operation, kind="slow", delay_seconds=wall_seconds, **bounds)

    def lose_answer(self, operation: str, *, after_wall_seconds: float = 0.0, **bounds: Any) -> int:
        """The call is carried out, and then the connection closes without an answer."""
        return self.add_fault(operation, kind="lost-answer", delay_seconds=after_wall_seconds, **bounds)

    def add_fault(
        self,
        operation: str,
        *,
        count: int | None = None,
        seconds: float | None = None,
        service: str | None = None,
        resource: str | None = None,
        kind: str | None = None,
        code: str | None = None,
        status: int = 400,
        message: str = "Injected by the simulator.",
        delay_seconds: float = 0.0,
        effect: Literal["before", "after"] = "before",
    ) -> int:
        """Let fitting calls go wrong, as `faults.Fault` tells; `delay_seconds` is wall time. The fault's id.

        It hits one call where neither `count` nor `seconds` is given, and calls of all accounts unless `at` named one.
        """
        answer = self._send(
            "POST",
            "faults",
            body={
                "operation": operation,
                "count": count,
                "seconds": seconds,
                "service": service,
                "resource": resource,
                "kind": kind,
                "code": code,
                "status": status,
                "message": message,
                "delaySeconds": delay_seconds,
                "effect": effect,
            },
        )
        return int(answer["id"])

    def faults(self) -> list[Json]:
        """The faults that can still happen."""
        found: list[Json] = self._send("GET", "faults")["faults"]
        return found

    def clear_faults(self) -> None:
        """End all faults."""
        self._send("DELETE", "faults")

    def remove_fault(self, id_: int) -> None:
        """End one fault."""
        self._send("DELETE", "faults", body={"id": id_})

    def set_consistency_delay(self, simulated_seconds: float) -> None:
        """From now on reads of ECS services lag by this much, in every account; 0: no lag."""
        self._change("consistency-delay", seconds=simulated_seconds)

    # Rate limits: token buckets, as `rate_limits.QUOTAS` names them. Nothing is throttled until they are enforced.

    def enforce_rate_limits(self, time: Literal["simulated", "wall"] = "simulated") -> None:
        """Throttle by AWS's quotas, every bucket full; their seconds are simulated ones or those of the wall clock."""
        self._change("rate-limits", time=time)

    def lift_rate_limits(self) -> None:
        """Throttle no more."""
        self._send("DELETE", "rate-limits")

    def set_quota(self, quota: str, *, rate: float, burst: float) -> None:
        """Give a bucket another rate a second and size, in every account."""
        self._change("rate-limits/quota", quota=quota, rate=rate, burst=burst)

    def call_from_elsewhere(self, operation: str, per_second: float, seconds: float) -> None:
        """Somebody else in this account, such as a CI pipeline, makes this many calls a second for so long.

        They count on the operation's bucket, which is enforced meanwhile.
        """
        self._change("rate-limits/foreign-calls", operation=operation, perSecond=per_second, seconds=seconds)

    def rate_limits(self) -> Json:
        """`enforced`, `quotas` and the tokens left in `buckets`."""
        return self._send("GET", "rate-limits")

    # Who may be whom

    def declare_role(self, arn: str, *, assumable: bool = True, external_id: str | None = None) -> None:
        """Who can assume a role: nobody, or whoever knows the external id; other roles can be assumed by anybody."""
        self._change("role", arn=arn, assumable=assumable, externalId=external_id)

    def attach_policy(self, arn: str, policy: Json | None) -> None:
        """What IAM says that a user or role may do (SimulatePrincipalPolicy); None: everything. Calls heed it not."""
        self._change("policy", arn=arn, policy=policy)

    # What is wrong in the account, and what happens to tasks

    def set_conditions(self, **conditions: Any) -> Json:
        """Change conditions of the account, named as `conditions.Conditions` tells; all that hold now.

        Those not named stay, an empty list or object ends one: `set_conditions(missingImages=["app:2"])`.
        """
        return self._send("PUT", "conditions", body=conditions)

    def clear_conditions(self) -> None:
        """All is well again."""
        self._send("DELETE", "conditions")

    def conditions(self) -> Json:
        """The conditions that hold now."""
        return self._send("GET", "conditions")

    def disrupt(self, kind: str, **selection: Any) -> list[str]:
        """Let `spot-interruption`, `termination-notice`, `host-lost`, `out-of-memory` or `stuck-unhealthy` happen.

        `selection`: `cluster`, `service`, `availabilityZone`, `tasks` (IDs or ARNs), then `count` or `share`. A stuck
        task stays unhealthy and fails `errorRatio` (0.3) of its requests until somebody stops it. The tasks' ARNs.
        """
        arns: list[str] = self._send("POST", "disruptions", body={"kind": kind, **selection})["tasks"]
        return arns

    def deploy_with_code_deploy(
        self,
        cluster: str,
        service: str,
        task_definition: str,
        *,
        target_group_arn: str | None = None,
        termination_wait_seconds: float | None = None,
    ) -> str:
        """A pipeline lets CodeDeploy deploy a task definition to a service that it controls; the deployment's ID.

        The replacement task set registers in `target_group_arn`, or where the original does. That stays for
        `termination_wait_seconds` (300) after the traffic has moved.
        """
        members: Json = {"cluster": cluster, "service": service, "taskDefinition": task_definition}
        if termination_wait_seconds is not None:
            members["terminationWaitSeconds"] = termination_wait_seconds
        if target_group_arn is not None:
            members["targetGroupArn"] = target_group_arn
        return str(self._send("POST", "code-deployment", body=members)["deploymentId"])

    # What services belong to

    def set_stack(self, stack: str, status: str, *, reason: str | None = None) -> None:
        """The CloudFormation stack of this name or ID has a StackStatus. It need not be known.

        Stacks that tags of services name are UPDATE_COMPLETE at first. A DELETE_COMPLETE one is found by its ID only.
        """
        self._change("stack", stack=stack, status=status, reason=reason)

    # What the operator can run

    def declare_automation(
        self,
        document: str,
        *,
        seconds: float = 60.0,
        result: Literal["Success", "Failed", "TimedOut"] = "Success",
        message: str = "",
        outputs: Mapping[str, Sequence[str]] | None = None,
        required: Collection[str] = (),
        optional: Collection[str] | None = None,
    ) -> None:
        """There is a Systems Manager Automation document, whose executions end so after `seconds`.

        `message` is the FailureMessage. `required` and `optional` name its parameters; it takes any others too when
        `optional` is None. Executions under way stay as they are.
        """
        self._change(
            "automation",
            document=document,
            seconds=seconds,
            result=result,
            message=message,
            outputs={name: list(values) for name, values in (outputs or {}).items()},
            required=list(required),
            optional=None if optional is None else list(optional),
        )

    # What is wrong with CloudWatch and EventBridge: with the metrics of `namespace`, `metric_name` and the value
    # `dimension` of a dimension where given, for `seconds` or until it is cleared.

    def delay_metrics(self, delay: float, **selection: Any) -> None:
        """Points that are published from now on can be read only after `delay` seconds."""
        self._send("POST", "metric-conditions", body={"delivery_delay": delay, **selection})

    def lose_metrics(self, **selection: Any) -> None:
        """A gap in the metrics: points that are published meanwhile are lost."""
        self._send("POST", "metric-conditions", body={"gap": True, **selection})

    def refuse_metrics(self, status: Literal["PartialData", "InternalError", "Forbidden"], **selection: Any) -> None:
        """GetMetricData answers queries with this status code instead of Complete."""
        self._send("POST", "metric-conditions", body={"status_code": status, **selection})

    def clear_metric_conditions(self) -> None:
        """CloudWatch is well again; points that are late stay late."""
        self._send("DELETE", "metric-conditions")

    def disorder_events(self, duplicate_share: float = 0.0, max_delay: float = 0.0) -> None:
        """EventBridge delivers this share of events twice, and each late by up to `max_delay` seconds; no arguments end
        it.
        """
        self._change("event-disorder", duplicate_share=duplicate_share, max_delay=max_delay)

    def _change(self, path: str, **members: Any) -> Json:
        return self._send("PUT", path, body={name: value for name, value in members.items() if value is not None})

    def _send(
        self, method: str, path: str, query: dict[str, str | None] | None = None, body: Json | None = None
    ) -> Json:
        present = {name: value for name, value in {**self._place, **(query or {})}.items() if value is not None}
        url = f"{self._url}/_simulator/{path}" + (f"?{urllib.parse.urlencode(present)}" if present else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                content: Json = json.load(answer)
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(json.load(error)["error"]) from error


def _shape(name: ServiceName) -> Json:
    return {"cluster": name[0], "service": name[1]}
