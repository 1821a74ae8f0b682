"""The story that `make demo` plays: three incidents on a real control plane, to their ends."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.world.approving import approve_through_git
from tests.world.manifests import (
    CLUSTER,
    NAMESPACE,
    NORMAL_LOAD,
    SERVICE,
    SURGE_LOAD,
)
from tests.world.people import Person
from tests.world.pictures import take_picture_of_report
from tests.world.scene import QUIET, Scene
from tests.world.screen import NotReached, Screen
from tests.world.world import World

EXPECTED_COUNTERS = {
    "bokgu_incidents_opened_total": 3,
    'bokgu_plans_finished_total{phase="Completed"}': 2,
    'bokgu_plans_finished_total{phase="RolledBack"}': 1,
    'bokgu_steps_finished_total{action="scale_out",kind="forward",phase="Completed"}': 1,
    'bokgu_steps_finished_total{action="rollback_to_previous_version",kind="forward",phase="Completed"}': 1,
    'bokgu_steps_finished_total{action="rollback_to_previous_version",kind="undo",phase="Completed"}': 1,
    'bokgu_aws_requests_total{code="OK",operation="UpdateService",service="ecs"}': 4,
}
"""What the operator must have counted when the story ends; without labels, in all."""


def play(pictures: Path | None = None) -> None:
    """Play the whole story in a temporary folder, and save pictures of the last screen (`demo.svg`) and of the first
    incident's report (`report.png`) in a folder where they are wanted. Raises NotReached where an expected state does
    not come."""
    with (
        tempfile.TemporaryDirectory(prefix="bokgu-demo-") as folder,
        Screen() as screen,
        World(Path(folder), tell=screen.say) as world,
    ):
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
        story = Story(world, screen, pictures)
        try:
            story.tell()
        except Exception:
            story.explain()
            raise
        if pictures is not None:
            screen.save_picture(pictures / "demo.svg")


class Story:
    """One service, three incidents. A picture of the first one's report is saved in `pictures`, where that is given."""

    def __init__(self, world: World, screen: Screen, pictures: Path | None = None) -> None:
        self.world, self.screen, self.scene, self.pictures = world, screen, Scene(world, SERVICE), pictures

    def tell(self) -> None:
        """From a healthy service to the counters."""
        self.begin()
        self.surge()
        self.bad_revision()
        self.rollback_that_does_not_help()
        self.end()

    def begin(self) -> None:
        """A healthy service, protected and watched."""
        self.screen.say("ECS service api: 3 tasks, 300 requests a second, behind a load balancer")
        self.scene.protect()
        self.wait("the operator sees 3/3 tasks and knows a good revision", self.scene.knows_good_revision, 30)
        self.wait("error_rate is Clear", lambda: self.scene.detector_says("Clear"), 15)
        time.sleep(QUIET)

    def surge(self) -> None:
        """Traffic doubles; two people approve; scaling out cures it."""
        self.screen.say("FAULT: traffic doubles to 600 requests a second; the tasks saturate")
        self.world.simulator.set_load(CLUSTER, SERVICE, SURGE_LOAD)
        plan = self.wait_for_plan("high_error_rate", "TrafficSurge", ["health_check", "scale_out"])
        self.check(plan["spec"]["requiredApprovals"] == ["system_admin", "service_owner"], "two roles must approve")

        self.screen.say("mallory commits an approval that claims to be alice's")
        self.world.commit("mallory", self.world.mallory.approve(plan, "system_admin", approver="alice@example.com"))
        self.wait(
            "it does not count: InvalidSignature", lambda: self.scene.approval_reasons() == ["InvalidSignature"], 10
        )
        self.screen.say("alice (system_admin) looks at the plan, signs her approval and commits it, signed")
        self.screen.say("  $ bokgu approve PLAN --role system_admin --sign KEY --out approvals", "")
        (said,) = approve_through_git(self.world, plan, {self.world.alice: "system_admin"})
        for line in said.shown.splitlines():
            self.screen.say(f"    {line}", "dim")
        self.check("for alice@example.com " in said.commit, f"git verify-commit: {said.commit}")
        self.wait("1/2 roles have approved", lambda: self.scene.plan()["status"]["approvalCount"] == "1/2", 10)
        time.sleep(1)
        self.check(self.world.updates() == [], "with the first alone nothing runs: no UpdateService so far")
        self.screen.say("bob signs and commits his; his is the only role that is missing, so he need not name it")
        self.screen.say("  $ bokgu approve PLAN --sign KEY --out approvals", "")
        (said,) = approve_through_git(self.world, plan, {self.world.bob: None})
        self.check("for bob@example.com " in said.commit, f"git verify-commit: {said.commit}")
        self.wait("the operator scales out through UpdateService", lambda: len(self.world.updates()) == 1, 15)
        self.wait("the metric held for its whole `for`: plan Completed", lambda: self.scene.plan_is("Completed"), 40)
        self.wait("incident Resolved", lambda: self.scene.incident_is("Resolved"), 10)
        self.check(self.world.describe()["runningCount"] == 5, "5 tasks run")
        if self.pictures is not None:
            time.sleep(QUIET)  # The curves go on for a while after the end.
            take_picture_of_report(self.world, self.scene.incident()["metadata"]["name"], self.pictures / "report.png")

    def bad_revision(self) -> None:
        """A revision that fails requests is deployed completely; the one before is restored."""
        self.screen.say("traffic is back to normal; then FAULT: a new revision fails 60 % of its requests")
        self.world.simulator.set_load(CLUSTER, SERVICE, NORMAL_LOAD)
        good = self.world.describe()["taskDefinition"]
        self.world.deploy(ERROR_RATIO=0.6)
        plan = self.wait_for_plan("high_error_rate", "BadDeployment", ["health_check", "rollback_to_previous_version"])
        self.approve(plan)
        self.wait("plan Completed", lambda: self.scene.plan_is("Completed"), 60)
        self.wait("incident Resolved", lambda: self.scene.incident_is("Resolved"), 10)
        self.check(self.world.describe()["taskDefinition"] == good, "the revision of before runs again")

    def rollback_that_does_not_help(self) -> None:
        """The same again, but what the service depends on breaks too: the rollback proves nothing and is undone."""
        self.screen.say("FAULT: another bad revision")
        self.world.deploy(ERROR_RATIO=0.5)
        bad = self.world.describe()["taskDefinition"]
        plan = self.wait_for_plan("high_error_rate", "BadDeployment", ["health_check", "rollback_to_previous_version"])
        self.screen.say("FAULT: a database fails 40 % of all requests now, whatever the revision")
        self.world.simulator.set_dependency_errors(CLUSTER, SERVICE, 0.4)
        self.approve(plan)
        self.wait("the rollback fails its validation and is undone", lambda: self.scene.plan_is("RollingBack"), 60)
        self.wait("plan RolledBack", lambda: self.scene.plan_is("RolledBack"), 40)
        self.wait("incident Escalated: a person is needed", lambda: self.scene.incident_is("Escalated"), 10)
        self.check(self.world.describe()["taskDefinition"] == bad, "the service is as Bokgu found it")

    def end(self) -> None:
        """Timelines and counters."""
        for incident in self.world.all("incidents"):
            self.screen.say(f"timeline of {incident['metadata']['name']}")
            for entry in incident["status"]["timeline"]:
                self.screen.say(f"  {entry['at'][11:19]}  {entry['event']:<16} {entry['message']}", "")
        self.screen.say("what the operator counted (from its /metrics)")
        counters = self.world.scrape()
        for name, expected in EXPECTED_COUNTERS.items():
            found = sum(value for full, value in counters.items() if name in {full, full.partition("{")[0]})
            self.check(found == expected, f"{name} {found:g}")

    # What is done

    def wait_for_plan(self, type_: str, cause: str, actions: list[str]) -> dict[str, Any]:
        """Wait for a new critical incident of that type and cause, and its plan with those actions."""
        known = len(self.world.all("incidents"))
        wanted = known if self.scene.incident_is("AwaitingApproval") else known + 1
        self.wait(f"an Incident appears: {type_}", lambda: len(self.world.all("incidents")) == wanted, 30)
        self.wait("its RecoveryPlan awaits approval", lambda: self.scene.plan_is("AwaitingApproval"), 20)
        incident, plan = self.scene.incident(), self.scene.plan()
        spec, classification = incident["spec"], incident["status"]["classification"]
        self.check(spec["type"] == type_, type_)
        # The first bad minute may be half a good one: then it opens as high, and rises.
        self.wait("severity critical", lambda: self.scene.incident()["spec"]["severity"] == "critical", 10)
        self.check(classification["rootCause"] == cause, f"root cause {cause}, priority {classification['priority']}")
        for item in classification["evidence"]:
            self.screen.say(f"    {item['source']}: {item['fact']}", "dim")
        self.check([s["action"] for s in plan["spec"]["steps"]] == actions, f"steps {', '.join(actions)}")
        return plan

    def approve(self, plan: dict[str, Any]) -> None:
        """Both people sign and commit."""
        self.screen.say("alice and bob sign and commit their approvals")
        people: dict[Person, str | None] = {self.world.alice: "system_admin", self.world.bob: "service_owner"}
        for person, said in zip(people, approve_through_git(self.world, plan, people), strict=True):
            self.check(f"for {person.name} " in said.commit, f"git verify-commit: {said.commit}")

    def wait(self, what: str, condition: Callable[[], object], seconds: float) -> None:
        """Wait for a state, showing what kubectl prints."""
        self.screen.wait(what, condition, self.table, seconds)

    def check(self, holds: bool, what: str) -> None:
        """Say what holds, or fail loudly."""
        if not holds:
            raise NotReached(what)
        self.screen.say(f"✓ {what}", "green")

    def table(self) -> str:
        """Exactly what `kubectl get incidents,recoveryplans` prints."""
        arguments = ("get", "incidents,recoveryplans", "--namespace", NAMESPACE)
        return self.world.control_plane.kubectl(*arguments, check=False).stdout

    def explain(self) -> None:
        """Show everything that helps to understand a story that went wrong."""
        kubectl = self.world.control_plane.kubectl
        self.screen.say("the story stopped here; this is the world as it is:", "red")
        print(kubectl("get", "bokgu", "-n", NAMESPACE, "-o", "yaml", check=False).stdout)
        for name in ("operator", "simulator"):
            log = self.world.directory / f"{name}.log"
            print(f"--- {name}.log\n{log.read_text()[-5000:] if log.exists() else 'not started'}")
