"""The reading operations of Elastic Load Balancing v2, on the load balancers and tasks of one account and region."""

from collections.abc import Callable, Collection, Sequence

from .aws_protocol import Json
from .clock import Clock
from .ecs import Service, Task
from .errors import AwsError
from .health_checks import PASSED, HealthChecks
from .load_balancers import LoadBalancer, LoadBalancers, find_rules
from .task_shapes import find_private_address

PAGE_SIZE = 400
"""DescribeLoadBalancers, DescribeTargetGroups: PageSize "Minimum value of 1. Maximum value of 400"."""
INITIAL_SECONDS = 60.0
"""How long a target that has passed no check yet is `initial`; then it is `unhealthy`."""
VPC = "vpc-0a1b2c3d4e5f60718"
_NOT_REGISTERED: Json = {
    "State": "unused",
    "Reason": "Target.NotRegistered",
    "Description": "Target is not registered to the target group",
}


class Elbv2:
    """Each method answers one operation: request parameters in, members of the answer out, AwsError else."""

    def __init__(self, balancers: LoadBalancers, checks: HealthChecks, clock: Clock) -> None:
        self._balancers = balancers
        self._checks = checks
        self._clock = clock
        self.operations: dict[str, Callable[[Json], Json]] = {
            "DescribeLoadBalancers": self.describe_load_balancers,
            "DescribeTargetGroups": self.describe_target_groups,
            "DescribeTargetGroupAttributes": self.describe_target_group_attributes,
            "DescribeTargetHealth": self.describe_target_health,
            "DescribeListeners": self.describe_listeners,
            "DescribeRules": self.describe_rules,
        }

    def describe_load_balancers(self, request: Json) -> Json:
        """DescribeLoadBalancers by ARNs or Names, or all."""
        arns, names = request.get("LoadBalancerArns"), request.get("Names")
        _check_one_of({"LoadBalancerArns": arns, "Names": names})
        found = {self._arn_of(balancer): balancer for balancer in self._survey()}
        if arns is not None:
            _check_found(arns, found.keys(), "LoadBalancerNotFoundException", "load balancers")
        if names is not None:
            known = {balancer.name for balancer in found.values()}
            _check_found(names, known, "LoadBalancerNotFoundException", "load balancers")
        chosen = [
            balancer
            for arn, balancer in found.items()
            if (arns is None or arn in arns) and (names is None or balancer.name in names)
        ]
        return _page("LoadBalancers", [self._shape_balancer(balancer) for balancer in chosen], request)

    def describe_target_groups(self, request: Json) -> Json:
        """DescribeTargetGroups by load balancer, ARNs or Names, or all."""
        balancer_arn, arns, names = (request.get(k) for k in ("LoadBalancerArn", "TargetGroupArns", "Names"))
        _check_one_of({"LoadBalancerArn": balancer_arn, "TargetGroupArns": arns, "Names": names})
        owners = {arn: self._arn_of(balancer) for balancer in self._survey() for arn in balancer.target_groups}
        if balancer_arn is not None:
            known = [self._arn_of(balancer) for balancer in self._survey()]
            _check_found([balancer_arn], known, "LoadBalancerNotFoundException", "load balancers")
        if arns is not None:
            _check_found(arns, owners.keys(), "TargetGroupNotFoundException", "target groups")
        if names is not None:
            _check_found(names, [_name(arn) for arn in owners], "TargetGroupNotFoundException", "target groups")
        services = self._balancers.users()
        chosen = [
            _shape_target_group(arn, owner, services.get(arn))
            for arn, owner in sorted(owners.items())
            if balancer_arn in (None, owner)
            and (arns is None or arn in arns)
            and (names is None or _name(arn) in names)
        ]
        return _page("TargetGroups", chosen, request)

    def describe_target_group_attributes(self, request: Json) -> Json:
        """DescribeTargetGroupAttributes: the defaults of a new target group."""
        self._check_target_group(request["TargetGroupArn"])
        attributes = {
            "deregistration_delay.timeout_seconds": "300",
            "slow_start.duration_seconds": "0",
            "load_balancing.algorithm.type": "round_robin",
            "stickiness.enabled": "false",
        }
        return {"Attributes": [{"Key": key, "Value": value} for key, value in attributes.items()]}

    def describe_target_health(self, request: Json) -> Json:
        """DescribeTargetHealth: the tasks registered in a target group, those that drain included.

        Of `Targets`, those that are not registered are `unused`.
        """
        arn = request["TargetGroupArn"]
        self._check_target_group(arn)
        service = self._balancers.users().get(arn)
        wanted = {target["Id"] for target in request.get("Targets", [])}
        descriptions: list[Json] = []
        for task in _find_targets(service, arn):
            port = _find_port(service, arn)
            address = find_private_address(task)
            if not wanted or address in wanted:
                target: Json = {"Id": address, "Port": port}
                if task.availability_zone is not None:
                    target["AvailabilityZone"] = task.availability_zone
                health = self._judge(service, task)
                descriptions.append({"Target": target, "HealthCheckPort": str(port), "TargetHealth": health})
        found = {description["Target"]["Id"] for description in descriptions}
        absent = [{"Target": {"Id": address}, "TargetHealth": _NOT_REGISTERED} for address in sorted(wanted - found)]
        return {"TargetHealthDescriptions": [*descriptions, *absent]}

    def describe_listeners(self, request: Json) -> Json:
        """DescribeListeners: each load balancer has one, for HTTP on port 80."""
        balancer_arn, arns = request.get("LoadBalancerArn"), request.get("ListenerArns")
        _check_one_of({"LoadBalancerArn": balancer_arn, "ListenerArns": arns})
        shapes: list[Json] = []
        for balancer in self._survey():
            listener = self._balancers.arn(f"listener/{balancer.listener_path}")
            if balancer_arn in (None, self._arn_of(balancer)) and (arns is None or listener in arns):
                shapes.append(
                    {
                        "ListenerArn": listener,
                        "LoadBalancerArn": self._arn_of(balancer),
                        "Port": 80,
                        "Protocol": "HTTP",
                        "DefaultActions": [self._forward(balancer.target_groups[:1])],
                    }
                )
        if arns is not None:
            _check_found(arns, [shape["ListenerArn"] for shape in shapes], "ListenerNotFoundException", "listeners")
        return _page("Listeners", shapes, request)

    def describe_rules(self, request: Json) -> Json:
        """DescribeRules: the production listener rules that services name, with the weights as they stand."""
        listener, arns = request.get("ListenerArn"), request.get("RuleArns")
        _check_one_of({"ListenerArn": listener, "RuleArns": arns})
        shapes: list[Json] = []
        seen: set[str] = set()
        for service in self._balancers.users().values():
            for first, second, rule in find_rules(service):
                parent = rule.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0]
                if rule in seen or listener not in (None, parent) or (arns is not None and rule not in arns):
                    continue
                seen.add(rule)
                groups = [arn for arn in (first, second) if arn is not None]
                shapes.append(
                    {
                        "RuleArn": rule,
                        "Priority": str(len(shapes) + 1),
                        "Conditions": [{"Field": "path-pattern", "Values": ["/*"]}],
                        "Actions": [self._forward(groups, _weigh(service))],
                        "IsDefault": False,
                    }
                )
        if arns is not None:
            _check_found(arns, seen, "RuleNotFoundException", "rules")
        return _page("Rules", shapes, request)

    def _survey(self) -> list[LoadBalancer]:
        return [balancer for _, balancer in sorted(self._balancers.survey().items())]

    def _arn_of(self, balancer: LoadBalancer) -> str:
        return self._balancers.arn(f"loadbalancer/{balancer.path}")

    def _check_target_group(self, arn: str) -> None:
        known = [group for balancer in self._survey() for group in balancer.target_groups]
        _check_found([arn], known, "TargetGroupNotFoundException", "target groups")

    def _shape_balancer(self, balancer: LoadBalancer) -> Json:
        return {
            "LoadBalancerArn": self._arn_of(balancer),
            "DNSName": f"{balancer.name}-{balancer.path.rsplit('/', 1)[-1]}.elb.amazonaws.com",
            "CreatedTime": balancer.created_at,
            "LoadBalancerName": balancer.name,
            "Scheme": "internet-facing",
            "VpcId": VPC,
            "State": {"Code": "active"},
            "Type": "application",
            "IpAddressType": "ipv4",
        }

    def _forward(self, groups: Sequence[str], weights: dict[str, int] | None = None) -> Json:
        shown = [{"TargetGroupArn": arn, "Weight": 1 if weights is None else weights.get(arn, 0)} for arn in groups]
        action: Json = {"Type": "forward", "ForwardConfig": {"TargetGroups": shown}}
        if len(groups) == 1:
            action["TargetGroupArn"] = groups[0]
        return action

    def _judge(self, service: Service | None, task: Task) -> Json:
        """A TargetHealth; reasons and descriptions as the API type of that name lists them."""
        if task.last_status == "DEACTIVATING":
            return {
                "State": "draining",
                "Reason": "Target.DeregistrationInProgress",
                "Description": "Target deregistration is in progress",
            }
        if task.healthy:
            return {"State": "healthy"}
        age = self._clock.now() - (task.started_at or self._clock.now())
        if not task.was_healthy and age < self._clock.wall(INITIAL_SECONDS):
            return {
                "State": "initial",
                "Reason": "Elb.InitialHealthChecking",
                "Description": "Initial health checks in progress",
            }
        answer = self._checks.ask(service, task, self._clock.now())
        if answer == "timeout":
            return {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}
        if answer == PASSED:
            # It passes again, but not yet for long enough.
            return {"State": "unhealthy", "Reason": "Target.FailedHealthChecks", "Description": "Health checks failed"}
        return {
            "State": "unhealthy",
            "Reason": "Target.ResponseCodeMismatch",
            "Description": f"Health checks failed with these codes: [{answer}]",
        }


def _find_targets(service: Service | None, target_group_arn: str) -> list[Task]:
    if service is None:
        return []
    return [
        task
        for task in service.tasks.values()
        if task.last_status in ("RUNNING", "DEACTIVATING")
        and target_group_arn in service.revisions[task.revision_arn].target_groups
    ]


def _find_port(service: Service | None, target_group_arn: str) -> int:
    balancers = service.workload.get("loadBalancers", []) if service is not None else []
    for balancer in balancers:
        alternate = balancer.get("advancedConfiguration", {}).get("alternateTargetGroupArn")
        if target_group_arn in (balancer.get("targetGroupArn"), alternate):
            return int(balancer.get("containerPort", 80))
    return 80


def _weigh(service: Service) -> dict[str, int]:
    """The weight of each target group in the production listener rule, of 100 in all."""
    weights: dict[str, float] = {}
    for arn, _, share in service.traffic():
        weights[arn] = weights.get(arn, 0.0) + share
    return {arn: round(100 * share) for arn, share in weights.items()}


def _name(target_group_arn: str) -> str:
    return target_group_arn.split("/")[-2]


def _shape_target_group(arn: str, balancer_arn: str, service: Service | None) -> Json:
    return {
        "TargetGroupArn": arn,
        "TargetGroupName": _name(arn),
        "Protocol": "HTTP",
        "Port": _find_port(service, arn),
        "VpcId": VPC,
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/",
        "Matcher": {"HttpCode": "200"},
        "LoadBalancerArns": [balancer_arn],
        "TargetType": "ip",
        "ProtocolVersion": "HTTP1",
        "IpAddressType": "ipv4",
    }


def _check_one_of(filters: Json) -> None:
    given = [name for name, value in filters.items() if value is not None]
    if len(given) > 1:
        raise AwsError("ValidationError", f"You can specify only one of {', '.join(given)}")


def _check_found(wanted: Sequence[str], known: Collection[str], code: str, kind: str) -> None:
    if not set(wanted) <= set(known):
        raise AwsError(code, f"One or more {kind} not found")


def _page(member: str, items: list[Json], request: Json) -> Json:
    """One page by `Marker` and `PageSize`; NextMarker is the number of items before the next page."""
    size = request.get("PageSize", PAGE_SIZE)
    if not 1 <= size <= PAGE_SIZE:
        raise AwsError("ValidationError", f"Page size must be between 1 and {PAGE_SIZE}")
    try:
        start = int(request.get("Marker") or 0)
    except ValueError as error:
        raise AwsError("ValidationError", "Invalid Marker") from error
    more = {"NextMarker": str(start + size)} if start + size < len(items) else {}
    return {member: items[start : start + size], **more}
