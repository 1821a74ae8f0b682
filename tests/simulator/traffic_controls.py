"""The control routes about what reaches services: load, dependencies, load balancers and API Gateways."""

from collections.abc import Callable

from .api_gateways import ApiGateway
from .aws_protocol import Json
from .clock import Clock
from .load_balancers import LoadBalancers
from .traffic import ServiceKey, Traffic


class TrafficControls:
    """Each method answers one route: KeyError for a missing member, ValueError for a bad one, LookupError for no such
    thing.
    """

    def __init__(
        self, traffic: Traffic, balancers: LoadBalancers, gateways: dict[ServiceKey, ApiGateway], clock: Clock
    ) -> None:
        self._traffic = traffic
        self._balancers = balancers
        self._gateways = gateways
        self._clock = clock
        self.routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("PUT", "load"): self._put_load,
            ("PUT", "load-gap"): self._put_load_gap,
            ("PUT", "dependency-errors"): self._put_dependency_errors,
            ("PUT", "dependency"): self._put_dependency,
            ("PUT", "dependency-state"): self._put_dependency_state,
            ("GET", "dependencies"): self._get_dependencies,
            ("PUT", "load-balancer"): self._put_load_balancer,
            ("PUT", "api-gateway"): self._put_api_gateway,
        }

    def _put_load(self, request: Json) -> Json:
        """A rate from now on (`requestsPerSecond`), or `steps`: a list of [simulated seconds from now, rate]."""
        if "steps" in request:
            steps = [(float(offset), float(rate)) for offset, rate in request["steps"]]
        else:
            steps = [(0.0, float(request["requestsPerSecond"]))]
        self._traffic.set_load(_read_key(request), steps)
        return {}

    def _put_load_gap(self, request: Json) -> Json:
        self._traffic.add_gap(_read_key(request), float(request.get("after", 0)), float(request["seconds"]))
        return {}

    def _put_dependency_errors(self, request: Json) -> Json:
        self._traffic.set_failed_share(_read_key(request), float(request["ratio"]))
        return {}

    def _put_dependency(self, request: Json) -> Json:
        dependents = [_read_key(dependent) for dependent in request["dependents"]]
        provider = request.get("provider")
        self._traffic.declare_dependency(request["name"], dependents, None if provider is None else _read_key(provider))
        return {}

    def _put_dependency_state(self, request: Json) -> Json:
        changed = self._traffic.change_dependency(
            request["name"],
            error_ratio=float(request.get("errorRatio", 0)),
            latency_seconds=float(request.get("latencySeconds", 0)),
            cpu_percent=float(request.get("cpuPercent", 0)),
        )
        return changed.to_json()

    def _get_dependencies(self, _request: Json) -> Json:
        return {"dependencies": [dependency.to_json() for dependency in self._traffic.dependencies()]}

    def _put_load_balancer(self, request: Json) -> Json:
        balancer = self._balancers.declare(request["name"], list(request["targetGroupArns"]), self._clock.now())
        return {
            "loadBalancerArn": self._balancers.arn(f"loadbalancer/{balancer.path}"),
            "listenerArn": self._balancers.arn(f"listener/{balancer.listener_path}"),
            "dimension": balancer.path,
        }

    def _put_api_gateway(self, request: Json) -> Json:
        """An API of `kind` REST or HTTP in front of a service; without an `apiId` the one there is removed."""
        key = _read_key(request)
        if "apiId" not in request:
            self._gateways.pop(key, None)
            return {}
        gateway = ApiGateway(request["kind"], request["apiId"], request.get("name", ""), request.get("stage"))
        self._gateways[key] = gateway
        return {"dimensions": list(gateway.dimensions())}


def _read_key(request: Json) -> ServiceKey:
    return request["cluster"], request["service"]
