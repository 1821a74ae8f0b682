"""One protected service of the world, its newest incident and plan: what tests and the demo look at and do."""

from typing import Any

from tests.world.manifests import CLUSTER, SURGE_LOAD, detector, protected_service
from tests.world.world import Raw, World, wait_for

QUIET = 4.0
"""Seconds, some datapoints, of a quiet day: what trouble is compared with. Without them its cause is not known."""


class Scene:
    """A service by its name. Several scenes live in one world and do not disturb each other."""

    def __init__(self, world: World, service: str) -> None:
        self.world, self.service = world, service

    # What is looked at

    def incidents(self) -> list[Raw]:
        """All incidents of the service, oldest first."""
        return self.world.incidents_of(self.service)

    def incident(self) -> Raw:
        """The newest incident, or an empty one."""
        found = self.incidents()
        return found[-1] if found else {"metadata": {"name": ""}, "spec": {}, "status": {}}

    def plan(self) -> Raw:
        """The current plan of the newest incident, or an empty one."""
        plans = self.incident().get("status", {}).get("plans", [])
        found = self.world.get("recoveryplans", plans[-1]["name"]) if plans else None
        return found or {"metadata": {"name": ""}, "spec": {}, "status": {}}

    def plan_is(self, phase: str) -> bool:
        """Whether the current plan is in that phase."""
        return bool(self.plan().get("status", {}).get("phase") == phase)

    def incident_is(self, phase: str) -> bool:
        """Whether the newest incident is in that phase."""
        return bool(self.incident().get("status", {}).get("phase") == phase)

    def knows_good_revision(self) -> bool:
        """Whether the ProtectedService has seen its service run well for long enough."""
        status = (self.world.get("protectedservices", self.service) or {}).get("status", {})
        return status.get("summary") == "3/3" and "lastKnownGood" in status

    def detector_says(self, summary: str) -> bool:
        """Whether the detector's state is that."""
        found = self.world.get("detectors", f"{self.service}-errors") or {}
        return bool(found.get("status", {}).get("summary") == summary)

    def approval_reasons(self) -> list[str]:
        """What the operator said to each approval of the current plan so far."""
        name = self.plan()["metadata"]["name"]
        mine = [a for a in self.world.all("planapprovals") if a["spec"]["planRef"]["name"] == name]
        return [c["reason"] for a in mine for c in a.get("status", {}).get("conditions", [])]

    def updates(self) -> list[Raw]:
        """The operator's UpdateService calls on this service that had an effect."""
        return self.world.updates(self.service)

    # What is done

    def protect(self, **spec: Any) -> None:
        """Create a healthy service, have it protected and watched. `spec` changes the ProtectedService."""
        self.world.create_service(self.service)
        self.world.apply(protected_service(self.service, **spec), detector(self.service))

    def begin(self, **spec: Any) -> None:
        """Protect it, and wait until the operator has seen it run well."""
        self.protect(**spec)
        self.wait("the detector sees it", lambda: self.detector_says("Clear"), 20)
        self.wait("a good revision is known", self.knows_good_revision, 20)

    def surge(self) -> Raw:
        """Double the traffic and return the plan that awaits approval."""
        self.world.simulator.set_load(CLUSTER, self.service, SURGE_LOAD)
        self.wait("a plan awaits approval", lambda: self.plan_is("AwaitingApproval"), 30)
        return self.plan()

    def approve(self, plan: Raw) -> None:
        """Both people sign and commit."""
        self.world.commit("alice", self.world.alice.approve(plan, "system_admin"))
        self.world.commit("bob", self.world.bob.approve(plan, "service_owner"))

    def wait(self, what: str, condition: Any, seconds: float) -> None:
        """Wait for a state; a timeout shows the incident, the plan and the operator's log."""

        def explain() -> str:
            log = self.world.operator_log_tail()
            return f"{what}\nincident {self.incident()['status']}\nplan {self.plan()['status']}\n{log}"

        wait_for(condition, seconds, explain)
