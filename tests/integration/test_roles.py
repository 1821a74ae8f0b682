"""A namespace assumes the IAM roles that configuration lets it, with its external id, and no others."""

from collections.abc import Iterator
from typing import Any

import pytest

from bokgu.api.vocabulary import Decision
from tests.simulator.control import RecordedCall
from tests.world.account import Account
from tests.world.manifests import (
    CLUSTER,
    NAMESPACE,
    NORMAL_LOAD,
    TASK_CAPACITY,
    detector,
    incident,
    protected_service,
)
from tests.world.scene import Scene
from tests.world.world import Raw, World, wait_for

OPERATOR = "bokgu-"
"""How the names of the operator's sessions in other accounts begin."""


class AwayScene(Scene):
    """A service in an account of its own, whose role demands the namespace's external id."""

    def __init__(self, account: Account, service: str) -> None:
        super().__init__(account.world, service)
        self.account = account

    def begin(self, **spec: Any) -> None:
        """A healthy service, protected and watched through the role."""
        account, name = self.account, self.service
        account.aws.set_load(name, name, NORMAL_LOAD)
        account.ecs.create_cluster(clusterName=name)
        arn = f"arn:aws:elasticloadbalancing:us-east-1:{account.number}:targetgroup/{name}/73e2d6bc24d8a067"
        account.ecs.create_service(
            cluster=name,
            serviceName=name,
            taskDefinition=self.register(),
            desiredCount=3,
            launchType="FARGATE",
            loadBalancers=[{"targetGroupArn": arn, "containerName": "app", "containerPort": 8080}],
        )
        ecs = {"cluster": name, "service": name}
        self.world.apply(protected_service(name, ecs=ecs, roleArn=account.role, **spec), detector(name))
        self.wait("the detector sees it", lambda: self.detector_says("Clear"), 20)
        self.wait("a good revision is known", self.knows_good_revision, 20)

    def register(self, **variables: object) -> str:
        """A task definition that behaves as the variables say; its ARN."""
        variables = {"CAPACITY_RPS": TASK_CAPACITY, **variables}
        environment = [{"name": f"SIM_{name}", "value": str(value)} for name, value in variables.items()]
        container = {"name": "app", "image": "app:1", "environment": environment}
        answer = self.account.ecs.register_task_definition(family=self.service, containerDefinitions=[container])
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def deploy_badly(self) -> Raw:
        """Deploy a revision that fails and return the plan that awaits approval."""
        definition = self.register(ERROR_RATIO=0.6)
        self.account.ecs.update_service(cluster=self.service, service=self.service, taskDefinition=definition)
        self.wait("a plan awaits approval", lambda: self.plan_is("AwaitingApproval"), 40)
        return self.plan()

    @property
    def task_definition(self) -> str:
        """What ECS runs."""
        found = self.account.ecs.describe_services(cluster=self.service, services=[self.service])["services"][0]
        return str(found["taskDefinition"])

    def sent(self) -> list[RecordedCall]:
        """The operator's writes that had an effect, oldest first."""
        return [c for c in self.account.aws.calls("UpdateService") if is_operators(c) and c.effect]


def is_operators(call: RecordedCall) -> bool:
    return call.access_key_id == "operator" or (call.role_session_name or "").startswith(OPERATOR)


def assumptions(world: World, role: str) -> list[RecordedCall]:
    """The operator's AssumeRole calls for a role."""
    calls = world.simulator.calls("AssumeRole")
    return [c for c in calls if c.access_key_id == "operator" and c.parameters["RoleArn"] == role]


@pytest.fixture
def away(account: Account) -> Iterator[AwayScene]:
    scene = AwayScene(account, f"away{account.number[-3:]}")
    yield scene
    kubectl = account.world.control_plane.kubectl
    for kind, name in (("detector", f"{scene.service}-errors"), ("protectedservice", scene.service)):
        kubectl("delete", kind, name, "-n", NAMESPACE, "--wait=false", "--ignore-not-found")


def test_s1_namespace_naming_another_teams_role_is_refused(world: World) -> None:
    """The role itself would let the operator in: it is not the role's trust policy that keeps the namespace out."""
    number, name = "611111111111", "confused"
    role = f"arn:aws:iam::{number}:role/bokgu"
    world.simulator.at(number).declare_role(role)
    made = protected_service(name, roleArn=role, ecs={"cluster": CLUSTER, "service": name})
    made["spec"]["detection"] |= {"presets": ["ecs-running", "ecs-cpu"], "interval": "1s"}
    world.apply(made, detector(name), incident(name, name))

    def says(plural: str, object_: str, type_: str) -> str:
        wait_for(
            lambda: world.condition(plural, object_, type_).get("reason") == "RoleNotAllowed",
            20,
            lambda: str(world.get(plural, object_)),
        )
        told = world.condition(plural, object_, type_)
        assert told["status"] == ("True" if type_ == "Blocked" else "False")
        return str(told["message"])

    for message in (says("protectedservices", name, "Ready"), says("incidents", name, "Blocked")):
        assert f"an administrator must add {NAMESPACE}={role} to the operator's BOKGU_ASSUMABLE_ROLES" in message
        assert f"external id {world.external_id()}" in message
    says("protectedservices", name, "Detecting")
    says("detectors", f"{name}-errors", "Ready")

    plan = _plan_by_hand(world, name)
    _approve(world, plan)

    def status() -> Raw:
        return world.status("recoveryplans", name)

    wait_for(lambda: status().get("phase") == "Approved", 20, lambda: str(status()))
    assert status()["reason"] == "RoleNotAllowed"
    gate = next(g for g in status()["gates"] if g["name"] == "RoleAllowed")
    assert (gate["passed"], gate["value"]) == (False, role)
    says("recoveryplans", name, "Blocked")

    assert assumptions(world, role) == []
    assert world.simulator.at(number).calls() == []
    assert [c for c in world.simulator.calls("UpdateService") if name in str(c.parameters)] == []
    for kind, object_ in (("detector", f"{name}-errors"), ("incident", name), ("protectedservice", name)):
        world.control_plane.kubectl("delete", kind, object_, "-n", NAMESPACE, "--timeout=20s")


def test_s1_an_allowed_role_recovers_its_service_with_the_external_id_that_it_demands(away: AwayScene) -> None:
    away.begin()
    good = away.task_definition
    away.approve(away.deploy_badly())
    away.wait("resolved", lambda: away.incident_is("Resolved"), 60)
    assert away.plan_is("Completed")
    assert away.task_definition == good
    (update,) = away.sent()
    assert update.parameters["taskDefinition"] == good
    assert (update.role_session_name or "").startswith("bokgu-")

    made = assumptions(away.world, away.account.role)
    assert {c.parameters.get("ExternalId") for c in made} == {away.world.external_id()}
    assert {c.result for c in made} == {"OK"}
    assert {c.parameters["RoleSessionName"] for c in made} == {"bokgu-read", update.role_session_name}


def test_s1_a_role_that_was_taken_away_meanwhile_still_undoes_what_was_done_with_it(away: AwayScene) -> None:
    world = away.world
    away.begin()
    plan = away.deploy_badly()
    bad = away.task_definition
    away.approve(plan)
    away.wait("it is sent", away.sent, 30)
    world.kill_operator()
    try:
        world.start_operator({"BOKGU_ASSUMABLE_ROLES": "nobody=arn:aws:iam::611111111111:role/bokgu"})
        wait_for(
            lambda: world.condition("protectedservices", away.service, "Ready").get("reason") == "RoleNotAllowed",
            20,
            lambda: str(world.get("protectedservices", away.service)),
        )
        world.commit("bob", world.bob.approve(away.plan(), "service_owner", Decision.REJECT))
        away.wait("undone", lambda: away.plan_is("RolledBack"), 60)
    finally:
        world.stop_operator()
        world.start_operator()
    assert away.task_definition == bad
    assert len(away.sent()) == 2
    assert {c.result for c in assumptions(world, away.account.role)} == {"OK"}


def _plan_by_hand(world: World, service: str) -> Raw:
    """A plan to scale a service out against the incident of its name, as the API server has it with its digest."""
    uid = (world.get("incidents", service) or {})["metadata"]["uid"]
    step = {"name": "scale-out", "action": "scale_out", "parameters": {"desiredCount": 5}, "timeout": "5m"}
    spec = {
        "incidentRef": {"name": service, "uid": uid},
        "serviceRef": {"name": service},
        "preconditions": {"desiredCount": 3, "rootCause": "TrafficSurge"},
        "steps": [{**step, "onFailure": "Stop"}],
        "expiresAt": "2099-01-01T00:00:00Z",
    }
    metadata = {"name": service, "namespace": NAMESPACE}
    world.apply({"apiVersion": "bokgu.dev/v1alpha1", "kind": "RecoveryPlan", "metadata": metadata, "spec": spec})
    wait_for(lambda: world.status("recoveryplans", service).get("digest"), 10, lambda: "no digest")
    found = world.get("recoveryplans", service)
    assert found is not None
    return found


def _approve(world: World, plan: Raw) -> None:
    for person, role in ((world.alice, "system_admin"), (world.bob, "service_owner")):
        world.commit(person.name.split("@")[0], person.approve(plan, role))
