"""Tells what changes in the part of a world that a scenario is played in."""

from collections.abc import Callable, Mapping

from tests.scenarios.checks import describe_incident
from tests.scenarios.observer import Sight
from tests.scenarios.placed_service import PlacedService
from tests.scenarios.writes import OperatorCall, find_owner

BRIEF = 160


class Watcher:
    """Compares each sight with the one before. `tell` is given a kind and a line."""

    def __init__(self, namespace: str, services: Mapping[str, PlacedService], tell: Callable[[str, str], None]) -> None:
        self._namespace, self._services, self._tell = namespace, services, tell
        self._said: dict[str, str] = {}
        self._seen = 0

    def see(self, sight: Sight, writes: list[OperatorCall]) -> None:
        """Tell what is new."""
        for incident in sight.of("incidents", self._namespace):
            self._say("incident", incident["metadata"]["uid"], describe_incident(incident))
        for plan in sight.of("recoveryplans", self._namespace):
            status, actions = plan.get("status", {}), ", ".join(s["action"] for s in plan["spec"]["steps"])
            reason = f" ({status['reason']})" if status.get("reason") else ""
            text = f"{plan['metadata']['name']} [{actions}] {status.get('phase', 'new')}{reason}"
            self._say("plan", plan["metadata"]["uid"], text)
        for plural in ("protectedservices", "detectors"):
            for watcher in sight.of(plural, self._namespace):
                name = watcher["metadata"]["name"]
                for detection in watcher.get("status", {}).get("detections", ()):
                    severity = f" ({detection['severity']})" if "severity" in detection else ""
                    message = f": {detection['message']}" if detection.get("message") else ""
                    text = f"{name} {detection['condition']} {detection['state']}{severity}{message}"
                    self._say("detection", f"{plural}/{name}/{detection['condition']}", text)
                for condition in watcher.get("status", {}).get("conditions", ()):
                    message = f": {condition['message']}" if condition.get("message") else ""
                    text = f"{name} {condition['type']}={condition['status']} {condition['reason']}{message}"
                    self._say("detection", f"{plural}/{name}/{condition['type']}", text)
        for call in writes[self._seen :]:
            if (owner := find_owner(call, self._services.values())) is not None:
                how = "" if call.result == "OK" else f" → {call.result}"
                self._tell("write", f"{call.operation} {owner.name} {call.parameters[:BRIEF]}{how}")
        self._seen = len(writes)

    def _say(self, kind: str, key: str, text: str) -> None:
        if self._said.get(key) != text:
            self._said[key] = text
            self._tell(kind, text)
