"""A client of the simulator's control API, for tests and the demo. Standard library only."""

import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]


class ControlError(Exception):
    """The simulator refused a request; the message says why."""


@dataclass(frozen=True)
class RecordedCall:
    """An AWS call in the journal. `time` is wall seconds since the epoch.

    `result` is `OK`, an error code, or `NoAnswer`; `effect` says whether the operation was carried out; `fault` is the
    id of the fault that hit it.
    """

    sequence: int
    time: float
    service: str
    operation: str
    parameters: Json
    access_key_id: str | None
    role_session_name: str | None
    result: str
    effect: bool
    fault: int | None


class SimulatorControl:
    """Speaks to the simulator at `url`. Every method raises ControlError when it is refused, OSError when not there."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        """`timeout` is in wall seconds."""
        self._base = f"{url.rstrip('/')}/_simulator/"
        self._timeout = timeout

    def health(self) -> Json:
        """`status` and `speed`."""
        return self._send("GET", "health")

    def calls(self, operation: str | None = None, *, service: str | None = None, since: int = 0) -> list[RecordedCall]:
        """The AWS calls with a sequence number above `since`, oldest first."""
        query = {"operation": operation, "service": service, "since": str(since)}
        return [RecordedCall(**call) for call in self._send("GET", "calls", query)["calls"]]

    def set_load(self, cluster: str, service: str, requests_per_second: float) -> None:
        """Change the traffic of a service, which need not exist yet; 100 requests a second until then."""
        body = {"cluster": cluster, "service": service, "requestsPerSecond": requests_per_second}
        self._send("PUT", "load", body=body)

    def set_dependency_errors(self, cluster: str, service: str, ratio: float) -> None:
        """Let a dependency fail this share (0 to 1) of the service's requests, whatever its revision."""
        self._send("PUT", "dependency-errors", body={"cluster": cluster, "service": service, "ratio": ratio})

    def add_fault(
        self,
        operation: str,
        *,
        count: int = 1,
        service: str | None = None,
        resource: str | None = None,
        code: str | None = None,
        status: int = 400,
        message: str = "Injected by the simulator.",
        delay_seconds: float = 0.0,
        effect: Literal["before", "after"] = "before",
    ) -> int:
        """Let the next `count` fitting calls go wrong, as `faults.Fault` tells; the fault's id."""
        body = {
            "operation": operation,
            "count": count,
            "service": service,
            "resource": resource,
            "code": code,
            "status": status,
            "message": message,
            "delaySeconds": delay_seconds,
            "effect": effect,
        }
        return int(self._send("POST", "faults", body=body)["id"])

    def faults(self) -> list[Json]:
        """The faults that can still happen."""
        found: list[Json] = self._send("GET", "faults")["faults"]
        return found

    def clear_faults(self) -> None:
        """End all faults."""
        self._send("DELETE", "faults")

    def set_consistency_delay(self, simulated_seconds: float) -> None:
        """From now on reads of ECS services lag by this much; 0: no lag."""
        self._send("PUT", "consistency-delay", body={"seconds": simulated_seconds})

    def service(self, cluster: str, name: str) -> Json:
        """The true state of a service: `service`, `tasks`, `requestsPerSecond`, `dependencyErrorRatio`."""
        return self._send("GET", "service", {"cluster": cluster, "service": name})

    def _send(
        self, method: str, path: str, query: dict[str, str | None] | None = None, body: Json | None = None
    ) -> Json:
        present = {name: value for name, value in (query or {}).items() if value is not None}
        url = self._base + path + (f"?{urllib.parse.urlencode(present)}" if present else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                content: Json = json.load(answer)
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(json.load(error)["error"]) from error
