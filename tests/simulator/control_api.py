"""The control API under `/_simulator/`: what a test or the demo does to the world behind AWS's back.

Every route takes `account` and `region` in its query or body, and means the default ones without them. What concerns
the engines of one account and region is routed to `AccountRegion.controls`.
"""

import json
from collections.abc import Callable

from .accounts import DEFAULT_ACCOUNT, Role
from .aws_protocol import Json
from .faults import Faults
from .journal import Journal
from .rate_limits import RateLimits
from .simulation import Simulation

_FAULT_MEMBERS = {
    "operation": "operation",
    "count": "count",
    "seconds": "seconds",
    "service": "service",
    "account": "account",
    "region": "region",
    "resource": "resource",
    "kind": "kind",
    "code": "code",
    "status": "status",
    "message": "message",
    "delaySeconds": "delay_seconds",
    "effect": "effect",
}


class ControlApi:
    """Routes of the control API. JSON in, JSON out; 400 for a bad request, 404 for what is not there."""

    def __init__(self, simulation: Simulation, journal: Journal, faults: Faults, limits: RateLimits) -> None:
        self._simulation = simulation
        self._journal = journal
        self._faults = faults
        self._limits = limits
        self._routes: dict[tuple[str, str], Callable[[Json], Json]] = {
            ("GET", "health"): self._get_health,
            ("GET", "calls"): self._get_calls,
            ("POST", "faults"): self._post_fault,
            ("GET", "faults"): self._get_faults,
            ("DELETE", "faults"): self._delete_faults,
            ("PUT", "consistency-delay"): self._put_consistency_delay,
            ("PUT", "role"): self._put_role,
            ("PUT", "policy"): self._put_policy,
            ("GET", "rate-limits"): self._get_rate_limits,
            ("PUT", "rate-limits"): self._put_rate_limits,
            ("DELETE", "rate-limits"): self._delete_rate_limits,
            ("PUT", "rate-limits/quota"): self._put_quota,
            ("PUT", "rate-limits/foreign-calls"): self._put_foreign_calls,
        }

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, Json]:
        """HTTP status and content for one request; members of query and body are one."""
        try:
            request: Json = {**query, **json.loads(body or b"{}")}
            route = self._routes.get((method, path))
            if route is not None:
                return 200, route(request)
            account, region = request.pop("account", None), request.pop("region", None)
            with self._simulation.visit(account, region) as place:
                control = place.controls.get((method, path))
                if control is None:
                    return 404, {"error": f"no {method} {path}"}
                return 200, control(request)
        except KeyError as error:
            return 400, {"error": f"missing member {error}"}
        except LookupError as error:
            return 404, {"error": f"{error}"}
        except (TypeError, ValueError) as error:
            return 400, {"error": f"{error}"}

    def _get_health(self, _request: Json) -> Json:
        return {"status": "ok", "speed": self._simulation.clock.speed}

    def _get_calls(self, request: Json) -> Json:
        calls = self._journal.find(
            operation=request.get("operation"),
            service=request.get("service"),
            account=request.get("account"),
            region=request.get("region"),
            since=int(request.get("since", 0)),
        )
        return {"calls": [call.to_json() for call in calls]}

    def _post_fault(self, request: Json) -> Json:
        unknown = request.keys() - _FAULT_MEMBERS.keys()
        if unknown:
            raise ValueError(f"unknown members: {', '.join(sorted(unknown))}")
        return self._faults.add({_FAULT_MEMBERS[name]: value for name, value in request.items()}).to_json()

    def _get_faults(self, _request: Json) -> Json:
        return {"faults": [fault.to_json() for fault in self._faults.find()]}

    def _delete_faults(self, request: Json) -> Json:
        if "id" in request:
            self._faults.remove(int(request["id"]))
        else:
            self._faults.clear()
        return {}

    def _put_consistency_delay(self, request: Json) -> Json:
        self._simulation.set_consistency_delay(float(request["seconds"]))
        return {}

    def _put_role(self, request: Json) -> Json:
        role = Role(request["arn"], request.get("assumable", True), request.get("externalId"))
        self._simulation.accounts.declare_role(role)
        return {}

    def _put_policy(self, request: Json) -> Json:
        self._simulation.accounts.attach_policy(request["arn"], request.get("policy"))
        return {}

    def _get_rate_limits(self, _request: Json) -> Json:
        return self._limits.to_json()

    def _put_rate_limits(self, request: Json) -> Json:
        self._limits.enforce(request.get("time", "simulated"))
        return {}

    def _delete_rate_limits(self, _request: Json) -> Json:
        self._limits.lift()
        return {}

    def _put_quota(self, request: Json) -> Json:
        self._limits.set_quota(request["quota"], float(request["rate"]), float(request["burst"]))
        return {}

    def _put_foreign_calls(self, request: Json) -> Json:
        self._limits.drain(
            request["operation"],
            float(request["perSecond"]),
            float(request["seconds"]),
            request.get("account") or DEFAULT_ACCOUNT,
            request.get("region") or self._simulation.default_region,
        )
        return {}
