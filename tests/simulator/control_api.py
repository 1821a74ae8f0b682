"""The control API under `/_simulator/`: what a test or the demo does to the world behind AWS's back."""

import json
from collections.abc import Callable
from dataclasses import replace

from .aws_json import Json
from .faults import Faults
from .journal import Journal
from .simulation import Simulation

_FAULT_MEMBERS = {
    "operation": "operation",
    "count": "count",
    "service": "service",
    "resource": "resource",
    "code": "code",
    "status": "status",
    "message": "message",
    "delaySeconds": "delay_seconds",
    "effect": "effect",
}

Query = dict[str, str]


class ControlApi:
    """Routes of the control API. JSON in, JSON out; 400 for a bad request, 404 for what is not there."""

    def __init__(self, simulation: Simulation, journal: Journal, faults: Faults) -> None:
        self._simulation = simulation
        self._journal = journal
        self._faults = faults
        self._routes: dict[tuple[str, str], Callable[[Query, Json], Json]] = {
            ("GET", "health"): self._get_health,
            ("GET", "calls"): self._get_calls,
            ("PUT", "load"): self._put_load,
            ("PUT", "dependency-errors"): self._put_dependency_errors,
            ("POST", "faults"): self._post_fault,
            ("GET", "faults"): self._get_faults,
            ("DELETE", "faults"): self._delete_faults,
            ("PUT", "consistency-delay"): self._put_consistency_delay,
            ("GET", "service"): self._get_service,
        }

    def answer(self, method: str, path: str, query: Query, body: bytes) -> tuple[int, Json]:
        """HTTP status and content for one request."""
        route = self._routes.get((method, path))
        if route is None:
            return 404, {"error": f"no {method} {path}"}
        try:
            return 200, route(query, json.loads(body or b"{}"))
        except KeyError as error:
            return 400, {"error": f"missing member {error}"}
        except LookupError as error:
            return 404, {"error": f"{error}"}
        except (TypeError, ValueError) as error:
            return 400, {"error": f"{error}"}

    def _get_health(self, _query: Query, _body: Json) -> Json:
        return {"status": "ok", "speed": self._simulation.clock.speed}

    def _get_calls(self, query: Query, _body: Json) -> Json:
        calls = self._journal.find(
            operation=query.get("operation"), service=query.get("service"), since=int(query.get("since", 0))
        )
        return {"calls": [call.to_json() for call in calls]}

    def _put_load(self, _query: Query, body: Json) -> Json:
        rps = float(body["requestsPerSecond"])
        if rps < 0:
            raise ValueError("requestsPerSecond cannot be negative")
        demand = self._simulation.get_demand(body["cluster"], body["service"])
        self._simulation.set_demand(body["cluster"], body["service"], replace(demand, rps=rps))
        return {}

    def _put_dependency_errors(self, _query: Query, body: Json) -> Json:
        ratio = float(body["ratio"])
        if not 0 <= ratio <= 1:
            raise ValueError("ratio must be within 0 and 1")
        demand = self._simulation.get_demand(body["cluster"], body["service"])
        self._simulation.set_demand(body["cluster"], body["service"], replace(demand, dependency_error_ratio=ratio))
        return {}

    def _post_fault(self, _query: Query, body: Json) -> Json:
        unknown = body.keys() - _FAULT_MEMBERS.keys()
        if unknown:
            raise ValueError(f"unknown members: {', '.join(sorted(unknown))}")
        return self._faults.add({_FAULT_MEMBERS[name]: value for name, value in body.items()}).to_json()

    def _get_faults(self, _query: Query, _body: Json) -> Json:
        return {"faults": [fault.to_json() for fault in self._faults.find()]}

    def _delete_faults(self, _query: Query, _body: Json) -> Json:
        self._faults.clear()
        return {}

    def _put_consistency_delay(self, _query: Query, body: Json) -> Json:
        self._simulation.set_consistency_delay(float(body["seconds"]))
        return {}

    def _get_service(self, query: Query, _body: Json) -> Json:
        state = self._simulation.dump_service(query["cluster"], query["service"])
        if state is None:
            raise LookupError(f"no service {query['service']} in cluster {query['cluster']}")
        return state
