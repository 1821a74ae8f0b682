"""One service of a lane from its creation to the end of its recovery: what is done to it, and what came of it."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bokgu.api.fields import format_timestamp
from tests.faults.lane import Lane
from tests.faults.proxy import Call
from tests.world.manifests import CLUSTER, protected_service
from tests.world.world import Raw, wait_for

OVER = {"Completed", "Rejected", "Expired", "Failed", "RolledBack", "RollbackFailed", "Cancelled"}
TOOK_EFFECT = {"Accepted", "Adopted"}
PATIENCE = 60.0
"""Seconds until a state must be there that takes a few on a machine that is not busy."""
ALLOWED = [
    "scale_out",
    "service_restart",
    "rollback_to_previous_version",
    "stop_unhealthy_tasks",
    "run_task",
    "ssm_automation",
]
READS = ("Describe", "List", "Get")
ACTED_ON = ("ecs", "application-autoscaling", "codedeploy", "ssm")
"""AWS services whose writes count."""
PERSON = "person"
"""Key of the people's AWS calls; the operator has its own and those of roles."""
_DIFFERS = re.compile(r"(:service-deployment/[^/]+/[^/]+/|:task/[^/]+/|\"(?:ClientToken|deploymentId)\": \")[\w-]+")
"""Ids and tokens are others in each play."""
_INTENT_TAG = "bokgu:intent"


@dataclass(frozen=True)
class Outcome:
    """What a play comes to. Names of the service are replaced, so that two plays of one case can be compared.

    `steps` are phase, reason and verdict, then those of the undo. `writes` are the AWS writes that had an effect.
    """

    plan: tuple[str, str]
    steps: tuple[tuple[str | None, ...], ...]
    incident: tuple[str, str]
    service: tuple[int, int, str]
    writes: tuple[str, ...]


class Play:
    """A service, its incident and its plan, by one name."""

    def __init__(self, lane: Lane, name: str) -> None:
        self.lane, self.world, self.name = lane, lane.world, name
        self._since = self._last = lane.simulated
        self.good_definition = ""
        self.names = [name]

    # What is done

    def create_service(self, *, controller: str = "ECS", **spec: Any) -> None:
        """A healthy service of three tasks, deployed by `controller`; `spec` changes its ProtectedService."""
        self.world.create_service(self.name, controller=controller)
        self.good_definition = self.service()["taskDefinition"]
        self.protect(**spec)
        self.wait("the service is seen", lambda: self.protected()["status"].get("summary") == "3/3", PATIENCE)

    def protect(self, **spec: Any) -> None:
        """Make the ProtectedService, or change it."""
        self.apply(protected_service(self.name, **{"allowedActions": ALLOWED, **spec}))

    def file_incident(self) -> None:
        """A person says that the service fails, and the operator has heard it."""
        spec = {"type": "high_error_rate", "severity": "high", "serviceRef": {"name": self.name}}
        self.apply(
            {"apiVersion": "bokgu.dev/v1alpha1", "kind": "Incident", "metadata": {"name": self.name}, "spec": spec}
        )
        self.wait("the incident is classified", lambda: self.incident()["status"].get("conditions"), PATIENCE)

    def file_plan(self, *steps: Raw, owned: bool = False, **changes: Any) -> None:
        """A person's plan against the incident; where that owns it, it goes with it, as the operator's own plans do.
        `changes` replace members of its spec."""
        metadata, service = self.incident()["metadata"], self.service()
        preconditions = {"desiredCount": service["desiredCount"], "rootCause": "Unknown"}
        if (deployment := service.get("currentServiceDeployment")) is not None:  # ECS has one where ECS deploys.
            preconditions["serviceDeploymentArn"] = deployment
        spec = {
            "incidentRef": {"name": metadata["name"], "uid": metadata["uid"]},
            "serviceRef": {"name": self.name},
            "preconditions": preconditions,
            "steps": [
                {"name": f"step-{n}", "timeout": "60s", "onFailure": "RollBack", **s} for n, s in enumerate(steps, 1)
            ],
            "expiresAt": format_timestamp(datetime.now(UTC) + timedelta(hours=1)),
            **changes,
        }
        kind = {"apiVersion": "bokgu.dev/v1alpha1", "kind": "RecoveryPlan"}
        owner = {"apiVersion": kind["apiVersion"], "kind": "Incident", "name": metadata["name"], "uid": metadata["uid"]}
        self.apply({**kind, "metadata": {"name": self.name, "ownerReferences": [owner] if owned else []}, "spec": spec})

    def approve(self) -> None:
        """Both people sign the plan, which awaits it."""
        plan = self.plan()
        for person, role in ((self.world.alice, "system_admin"), (self.world.bob, "service_owner")):
            self.lane.kube.put(person.approve(plan, role))

    def scalable_target(self, **members: Any) -> None:
        """Let Application Auto Scaling own the count, within MinCapacity and MaxCapacity."""
        self.world.scaling.register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=f"service/{CLUSTER}/{self.name}",
            ScalableDimension="ecs:service:DesiredCount",
            **members,
        )

    def refuse(self, arguments: str) -> None:
        """Let AWS refuse updates of the service whose parameters have this text before the service's name."""
        resource = f'{arguments}, "service": "{self.name}"'
        self.world.simulator.deny("UpdateService", resource=resource, count=1000)

    def close(self) -> None:
        """Take everything out of the world."""
        self.lane.simulated = self._last
        self.lane.clear()
        with suppress(self.world.ecs.exceptions.ServiceNotActiveException):
            self.world.ecs.delete_service(cluster=CLUSTER, service=self.name, force=True)

    def apply(self, manifest: Raw) -> None:
        """Create an object in the lane's namespace, whatever its manifest says."""
        self.lane.kube.put({**manifest, "metadata": {**manifest["metadata"], "namespace": self.lane.name}})

    # What is seen

    def plan(self) -> Raw:
        """A person's plan, else the last one of the operator's, or an empty one."""
        by_hand = self.lane.get("recoveryplans", self.name)
        if by_hand["spec"] or not (plans := self.incident()["status"].get("plans")):
            return by_hand
        return self.lane.get("recoveryplans", plans[-1]["name"])

    def incident(self) -> Raw:
        """The newest incident, or an empty one."""
        found = self.world.all("incidents", self.lane.name)
        mine = [i for i in found if i["spec"]["serviceRef"]["name"] == self.name]
        return {"status": {}, **mine[-1]} if mine else {"metadata": {"name": ""}, "spec": {}, "status": {}}

    def protected(self) -> Raw:
        """The ProtectedService, or an empty one."""
        return self.lane.get("protectedservices", self.name)

    def service(self) -> Raw:
        """The service as ECS tells."""
        return self.world.describe(self.name)

    def writes(self) -> list[tuple[str, Raw]]:
        """The operator's AWS writes on the service that had an effect, oldest first."""
        calls = self.world.simulator.calls(since=self._since)
        self._last = calls[-1].sequence if calls else self._last
        return [
            (call.operation, call.parameters)
            for call in calls
            if call.service in ACTED_ON
            and call.effect
            and call.access_key_id != PERSON
            and not call.operation.startswith(READS)
            and self.is_named_in(json.dumps(call.parameters))
        ]

    def is_named_in(self, text: str) -> bool:
        """Whether a text is about the play: about its service, or one of its tasks."""
        return any(name in text for name in self.names)

    def concerns(self, call: Call) -> bool:
        """Whether a call is about it."""
        return any(call.mentions(name) for name in self.names)

    def awaits_approval(self) -> bool:
        """Whether the plan asks for it."""
        return bool(self.plan()["status"].get("phase") == "AwaitingApproval")

    def over(self) -> bool:
        """Whether plan and incident have come to their ends and the service to rest."""
        incident = self.incident()["status"]  # It is the last to end: until then it is all that is read.
        recorded = [c["status"] for c in incident.get("conditions", []) if c["type"] == "Recorded"]
        if incident.get("phase") != "Escalated" and recorded != ["True"]:
            return False
        found = self.plan()
        ours = [p for p in incident.get("plans", []) if p["name"] == found["metadata"]["name"]]
        return (
            found["status"].get("phase") in OVER
            and bool(ours and ours[0].get("outcome"))
            and "activePlan" not in self.protected()["status"]
        )

    def wait(self, what: str, condition: Any, seconds: float) -> None:
        """Wait for a state; a timeout shows the objects and the end of the operator's log."""

        def explain() -> str:
            log = self.world.operator_log_tail(name=self.lane.operator)
            return f"{self.name}: {what}\nplan {self.plan()['status']}\nincident {self.incident()['status']}\n{log}"

        wait_for(condition, seconds, explain)

    def outcome(self) -> Outcome:
        """What it came to."""
        self.world.wait_steady(self.name, PATIENCE)
        plan, incident, service = self.plan()["status"], self.incident()["status"], self.service()
        (serving,) = service.get("taskSets") or [service]

        def words(operation: Raw) -> tuple[str | None, ...]:
            return operation.get("phase"), operation.get("reason"), operation.get("verdict")

        return Outcome(
            plan=(plan["phase"], plan.get("reason", "")),
            steps=tuple((*words(step), *words(step.get("rollback", {}))) for step in plan["steps"]),
            incident=(incident["phase"], incident.get("reason", "")),
            service=(
                service["desiredCount"],
                service["runningCount"],
                "good" if serving["taskDefinition"] == self.good_definition else "other",
            ),
            writes=tuple(self._anonymous(name, arguments) for name, arguments in self.writes()),
        )

    def _anonymous(self, name: str, arguments: Raw) -> str:
        said = _DIFFERS.sub(r"\1ID", f"{name} {json.dumps(arguments, sort_keys=True)}")
        return said.replace(self.plan()["metadata"]["uid"][:8], "PLAN").replace(self.name, "SERVICE")

    def find_untruths(self) -> list[str]:
        """What the objects say that is not so."""
        found, incident = self.plan(), self.incident()["status"]
        name, plan = found["metadata"]["name"], found["status"]
        operations = [o for step in plan["steps"] for o in (step, step.get("rollback")) if o and "intent" in o]
        requests = [o["intent"]["request"] for o in operations if o.get("answer", {}).get("result") in TOOK_EFFECT]
        said = sorted(_in_short(r["operation"], json.loads(r["arguments"])) for r in requests)
        seen = sorted(_in_short(*write) for write in self.writes())
        done = sum(step["phase"] in {"Completed", "Skipped"} for step in plan["steps"])
        conditions = {c["type"]: c["status"] for c in plan["conditions"]}
        untrue = {
            f"the plan says it wrote {said}, AWS carried out {seen}": said != seen,
            f"progress is {plan['progress']}, {done} steps are done": plan["progress"]
            != f"{done}/{len(plan['steps'])}",
            f"Succeeded is {conditions['Succeeded']}, the phase {plan['phase']}": (conditions["Succeeded"] == "True")
            != (plan["phase"] == "Completed"),
            f"the incident says of its plans {incident['plans']}, the phase is {plan['phase']}": plan["phase"]
            not in {p.get("outcome") for p in incident["plans"] if p["name"] == name},
            "an operation has no end": any(o["phase"] in {"Pending", "InProgress", "Verifying"} for o in operations),
            "a step took effect without an approval": any(not o["intent"].get("approvals") for o in operations),
        }
        return [text for text, wrong in untrue.items() if wrong]


def _in_short(operation: str, arguments: Raw) -> str:
    """A write, as the plan stores it and as AWS gets it. Of a task definition the plan stores no more than what it is a
    copy of; the tag of the intent is in both."""
    if operation == "RegisterTaskDefinition":
        arguments = {"tags": [tag for tag in arguments["tags"] if tag["key"] == _INTENT_TAG]}
    return f"{operation} {json.dumps(arguments, sort_keys=True)}"
