"""IAM policies: the table of permissions is complete, and each policy allows what its identity does and no more."""

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from bokgu.__main__ import main
from bokgu.api.detector import Detector
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import Action
from bokgu.aws.sending import _READERS
from bokgu.core.iam.identities import Own, find_identities
from bokgu.core.iam.permissions import NEEDS_NO_PERMISSION, PERMISSIONS, Use
from bokgu.core.iam.policy import RESOURCES, build_policy, find_grants
from bokgu.core.iam.simulation import Simulation, list_simulations
from bokgu.history.tables import TYPE_INDEX
from tests import iam_page
from tests.iam import _NEEDS, Made, Need, allows, list_needs

SOURCE = Path(__file__).parents[2] / "operator" / "bokgu"
ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/shop-bokgu"
RUNNER = f"arn:aws:iam::{ACCOUNT}:role/runner"
AUTOMATOR = f"arn:aws:iam::{ACCOUNT}:role/automator"
REGION = "eu-central-1"
FIX = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/fix:3"
FULL: Mapping[str, Any] = {
    "region": REGION,
    "roleArn": ROLE,
    "ecs": {"cluster": "shop", "service": "api"},
    "mode": "Approve",
    "allowedActions": [str(action) for action in Action if action.writes],
    "logGroup": "/ecs/api",
    "rollback": {"reregister": True, "codeDeploy": {"applicationName": "shop", "deploymentGroupName": "api"}},
    "runTask": {"roleArn": RUNNER, "taskDefinitions": [FIX]},
    "automation": {"roleArn": AUTOMATOR, "documents": ["shop-fix", "AWS-RestartEC2Instance"]},
}


def protected(name: str = "api", status: Any = None, **spec: Any) -> ProtectedService:
    body = {"metadata": {"name": name, "namespace": "shop"}, "spec": {**FULL, **spec}, "status": status or {}}
    return ProtectedService.model_validate(body)


def policies(*services: ProtectedService, own: Own = Own(), read_only: bool = False) -> dict[str | None, Any]:  # noqa: B008 - it is frozen
    found = find_identities(services, (), own, read_only=read_only)
    return {identity.role_arn: build_policy(identity) for identity in found}


def actions(policy: Any) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def made(call: str, account: str = ACCOUNT, **parameters: Any) -> Made:
    service, _, operation = call.partition(":")
    return Made(service, operation, REGION, account, parameters)


def may(policy: Any, call: Made) -> bool:
    needs = list_needs(call)
    assert needs
    return all(allows(policy, need) for need in needs)


# The table


HANDED_ON = ("aws/sending.py", "core/writes/token.py", "history/tables.py")
"""Where calls are handed on that are named elsewhere, and found there."""


def find_calls() -> Iterator[tuple[str, str]]:
    """Every AWS call in the code: (boto3's service, operation). AssertionError where the code does not say which."""
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            where = f"{path.relative_to(SOURCE)}:{node.lineno}"
            words = [a.value if isinstance(a, ast.Constant) else constants.get(getattr(a, "id", "")) for a in node.args]
            on_aws = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).endswith("aws")
            if (on_aws and name in {"read", "poll", "write"}) or name == "build_request":
                if words[1] is None and where.startswith(HANDED_ON):
                    continue
                assert all(isinstance(word, str) for word in words[:2]), f"{where}: which call is it?"
                yield str(words[0]), str(words[1])
            elif name == "ask" and where.startswith("history/"):
                assert isinstance(words[2], str), f"{where}: which call is it?"
                yield "dynamodb", words[2]
            elif name == "_Call" and isinstance(words[0], str):
                yield words[0], str(words[1])


def test_every_call_of_the_code_is_in_the_table() -> None:
    found, table = set(find_calls()), {(p.service, p.operation) for p in PERMISSIONS} | NEEDS_NO_PERMISSION.keys()
    assert found - table == set(), "calls that no policy allows: add them to core/iam/permissions.py"
    assert table - found == set(), "calls that the code does not make"


def test_every_write_that_can_be_sent_is_found() -> None:
    assert set(_READERS) <= {operation for _, operation in find_calls()}


def test_calls_are_those_of_aws_and_actions_those_of_iam() -> None:
    session = botocore.session.get_session()
    for permission in PERMISSIONS:
        model = session.get_service_model(permission.service)
        assert permission.operation in model.operation_names
        prefix, _, name = permission.action.partition(":")
        if prefix == model.signing_name:
            assert name in {*model.operation_names, "DeleteMessage"}, permission.action
        else:
            assert permission.action in {"iam:PassRole", "cloudwatch:GetMetricData"} or prefix == "monitoring"


def test_a_statement_is_about_one_kind_of_thing() -> None:
    kinds = {(p.sid, p.resources, p.condition) for p in PERMISSIONS}
    assert len({sid for sid, _, _ in kinds}) == len(kinds)
    assert all(p.uses for p in PERMISSIONS)
    assert {kind for p in PERMISSIONS for kind in p.resources} == set(RESOURCES)
    assert {use for p in PERMISSIONS for use in p.uses} == set(Use)


def test_the_tests_own_iam_knows_every_call() -> None:
    assert set(_NEEDS) == {(p.service, p.operation) for p in PERMISSIONS} | NEEDS_NO_PERMISSION.keys()


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    page = iam_page.PAGE.read_text()
    assert iam_page.fill(page) == page, "run `make docs` and commit"


# Policies

READS = [
    made("ecs:DescribeServices", cluster="shop", services=["api"]),
    made("ecs:DescribeServices", cluster=f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/shop", services=["api"]),
    made("ecs:ListServiceDeployments", cluster="shop", service="api"),
    made(
        "ecs:DescribeServiceDeployments",
        serviceDeploymentArns=[f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/shop/api/1"],
    ),
    made(
        "ecs:DescribeServiceRevisions",
        serviceRevisionArns=[f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-revision/shop/api/1"],
    ),
    made("ecs:DescribeTaskDefinition", taskDefinition="api:1"),
    made("ecs:ListTasks", cluster="shop"),
    made("ecs:DescribeTasks", cluster="shop", tasks=[f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/shop/1"]),
    made("cloudwatch:GetMetricData"),
    made("logs:FilterLogEvents", logGroupName="/ecs/api"),
    made("elbv2:DescribeTargetGroups"),
    made("elbv2:DescribeTargetHealth"),
    made("cloudtrail:LookupEvents"),
]
PLANNED = [
    made("ecs:DescribeContainerInstances", cluster="shop", containerInstances=["1"]),
    made("application-autoscaling:DescribeScalableTargets"),
    made("codedeploy:ListDeployments", applicationName="shop", deploymentGroupName="api"),
    made("codedeploy:GetDeployment", deploymentId="d-1"),
    made("cloudformation:DescribeStacks", StackName="shop"),
]
DIMENSION = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
UPDATE = made("ecs:UpdateService", cluster="shop", service="api")
WRITES = {
    Action.SCALE_OUT: [UPDATE, made("application-autoscaling:RegisterScalableTarget", **DIMENSION)],
    Action.SCALE_IN: [UPDATE, made("application-autoscaling:RegisterScalableTarget", **DIMENSION)],
    Action.SERVICE_RESTART: [UPDATE],
    Action.ROLLBACK: [
        UPDATE,
        made(
            "ecs:StopServiceDeployment",
            serviceDeploymentArn=f"arn:aws:ecs:{REGION}:{ACCOUNT}:service-deployment/shop/api/1",
        ),
        made("codedeploy:StopDeployment", deploymentId="d-1"),
        made(
            "ecs:RegisterTaskDefinition",
            family="api",
            tags=[{"key": "bokgu:intent"}],
            taskRoleArn=f"arn:aws:iam::{ACCOUNT}:role/api",
        ),
    ],
    Action.STOP_UNHEALTHY_TASKS: [made("ecs:StopTask", cluster="shop", task="1")],
}


def test_a_service_in_mode_observe_is_read_and_nothing_more() -> None:
    for found in (policies(protected(mode="Observe")), policies(protected(), read_only=True)):
        policy = found[ROLE]
        assert set(found) == {None, ROLE}, "what runs tasks and documents is not needed"
        assert [call for call in READS if not may(policy, call)] == []
        writes = [call for calls in WRITES.values() for call in calls]
        assert [call for call in (*writes, *PLANNED) if may(policy, call)] == []
        verbs = ("Describe", "List", "Get", "Filter", "Lookup")
        assert all(action.partition(":")[2].startswith(verbs) for action in actions(policy))


def test_a_plan_that_is_only_proposed_writes_nothing() -> None:
    found = policies(protected(mode="Propose", allowedActions=[]))
    assert [call for call in (*READS, *PLANNED) if not may(found[ROLE], call)] == []
    assert [call for calls in WRITES.values() for call in calls if may(found[ROLE], call)] == []


@pytest.mark.parametrize("mode", ["Approve", "Auto"])
@pytest.mark.parametrize("action", WRITES)
def test_what_an_allowed_action_asks_is_allowed_and_no_other_write(mode: str, action: Action) -> None:
    policy = policies(protected(mode=mode, allowedActions=[str(action)]))[ROLE]
    assert [call for call in (*READS, *WRITES[action]) if not may(policy, call)] == []
    others = [call for calls in WRITES.values() for call in calls if call not in WRITES[action]]
    assert [call for call in others if may(policy, call)] == []


def test_other_services_clusters_accounts_and_regions_are_out_of_reach() -> None:
    policy = policies(protected())[ROLE]
    elsewhere = [
        made("ecs:UpdateService", cluster="shop", service="api2"),
        made("ecs:UpdateService", cluster="bank", service="api"),
        made("ecs:UpdateService", account="222222222222", cluster="shop", service="api"),
        made("ecs:ListTasks", cluster="bank"),
        made("ecs:StopTask", cluster="bank", task="1"),
        made("logs:FilterLogEvents", logGroupName="/ecs/bank"),
        made("application-autoscaling:RegisterScalableTarget", **{**DIMENSION, "ServiceNamespace": "dynamodb"}),
        made("codedeploy:ListDeployments", applicationName="bank", deploymentGroupName="api"),
        Made("cloudwatch", "GetMetricData", "us-east-1", ACCOUNT, {}),
    ]
    assert [call for call in elsewhere if may(policy, call)] == []


def test_what_runs_a_task_is_allowed_to_the_role_that_runs_it_alone() -> None:
    found = policies(protected())
    run = [
        made("ecs:RunTask", cluster="shop", taskDefinition=FIX),
        made("ecs:StopTask", cluster="shop", task="1"),
        made("ecs:DescribeTaskDefinition", taskDefinition=FIX),
        made("ecs:ListTasks", cluster="shop"),
        made("ecs:DescribeTasks", cluster="shop", tasks=["1"]),
        made("logs:GetLogEvents", logGroupName="/ecs/fix", logStreamName="fix/1"),
    ]
    assert [call for call in run if not may(found[RUNNER], call)] == []
    assert not may(found[RUNNER], UPDATE)
    assert not may(found[ROLE], run[0])
    assert not may(found[RUNNER], made("ecs:RunTask", cluster="shop", taskDefinition=FIX.replace(":3", ":4")))
    assert not may(found[RUNNER], made("ecs:RunTask", cluster="bank", taskDefinition=FIX))
    assert RUNNER not in policies(protected(allowedActions=["scale_out"]))


def test_documents_are_executed_by_their_role_alone() -> None:
    found = policies(protected())
    tags = [{"Key": "bokgu:intent:1"}]
    calls = [
        made("ssm:StartAutomationExecution", DocumentName="shop-fix", Tags=tags),
        made("ssm:StartAutomationExecution", account="", DocumentName="AWS-RestartEC2Instance"),
        made("ssm:GetAutomationExecution", AutomationExecutionId="1"),
        made("ssm:StopAutomationExecution", AutomationExecutionId="1"),
        made("ssm:DescribeAutomationExecutions"),
    ]
    assert may(found[AUTOMATOR], calls[0])
    assert any(allows(found[AUTOMATOR], need) for need in list_needs(calls[1])), "AWS's documents have no account"
    assert [call for call in calls[2:] if not may(found[AUTOMATOR], call)] == []
    assert not may(found[AUTOMATOR], made("ssm:StartAutomationExecution", DocumentName="bank-fix"))
    assert not may(found[ROLE], calls[0])


def test_conditions_do_not_mix_clusters() -> None:
    other = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/mend:1"
    there = protected(
        "bank", ecs={"cluster": "bank", "service": "api"}, runTask={"roleArn": RUNNER, "taskDefinitions": [other]}
    )
    policy = policies(protected(), there)[RUNNER]
    assert may(policy, made("ecs:RunTask", cluster="shop", taskDefinition=FIX))
    assert may(policy, made("ecs:RunTask", cluster="bank", taskDefinition=other))
    assert not may(policy, made("ecs:RunTask", cluster="bank", taskDefinition=FIX))


def test_the_operator_itself_assumes_the_roles_that_are_named_with_their_external_ids() -> None:
    own = Own(account="999999999999", cluster_id="5f0c")
    policy = policies(protected(), own=own)[None]
    for role in (ROLE, RUNNER, AUTOMATOR):
        assert may(policy, made("sts:AssumeRole", RoleArn=role, ExternalId="5f0c/shop"))
        assert not may(policy, made("sts:AssumeRole", RoleArn=role, ExternalId="5f0c/bank"))
    assert not may(policy, made("sts:AssumeRole", RoleArn=f"arn:aws:iam::{ACCOUNT}:role/admin", ExternalId="5f0c/shop"))
    assert actions(policy) == {"sts:AssumeRole"}
    assert actions(policies(protected(roleArn=None, mode="Observe"), own=own)[None]) > {"ecs:DescribeServices"}


def test_the_operators_own_queues_topics_and_tables() -> None:
    home = "999999999999"
    own = Own(
        account=home,
        region=REGION,
        queues=(f"arn:aws:sqs:{REGION}:{home}:events",),
        topics=(f"arn:aws:sns:{REGION}:{home}:pager",),
        tables=("bokgu-production-incidents", "bokgu-production-recovery-executions"),
    )
    policy = policies(own=own)[None]
    calls = [
        made("sqs:ReceiveMessage", home, QueueUrl="https://sqs/9/events"),
        made("sqs:DeleteMessageBatch", home, QueueUrl="https://sqs/9/events"),
        made("sns:Publish", home, TopicArn=f"arn:aws:sns:{REGION}:{home}:pager"),
        made("dynamodb:PutItem", home, TableName="bokgu-production-incidents"),
        made("dynamodb:Query", home, TableName="bokgu-production-incidents", IndexName=TYPE_INDEX),
        made("dynamodb:BatchGetItem", home, RequestItems=["bokgu-production-recovery-executions"]),
    ]
    assert [call for call in calls if not may(policy, call)] == []
    setup = made("dynamodb:CreateTable", home, TableName="bokgu-production-incidents")
    assert not may(policy, setup)
    assert not may(policy, made("dynamodb:Query", home, TableName="bokgu-production-incidents")), "the index alone"
    history = "arn:aws:iam::888888888888:role/history"
    found = policies(own=Own(region=REGION, tables=own.tables, history_role=history, setup=True))
    assert actions(found[None]) == {"sts:AssumeRole"}
    assert may(found[history], made("dynamodb:CreateTable", "888888888888", TableName="bokgu-production-incidents"))


@pytest.mark.parametrize(
    ("spec", "status", "arn"),
    [
        ({}, {}, f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/shop/api"),
        ({"roleArn": None}, {}, f"arn:aws:ecs:{REGION}:999999999999:service/shop/api"),
        (
            {"roleArn": None, "ecs": {"cluster": f"arn:aws:ecs:{REGION}:333333333333:cluster/shop", "service": "api"}},
            {},
            f"arn:aws:ecs:{REGION}:333333333333:service/shop/api",
        ),
        (
            {"roleArn": None},
            {
                "service": {
                    "desiredCount": 1,
                    "runningCount": 1,
                    "pendingCount": 0,
                    "taskDefinition": f"arn:aws:ecs:{REGION}:444444444444:task-definition/api:1",
                }
            },
            f"arn:aws:ecs:{REGION}:444444444444:service/shop/api",
        ),
        ({"roleArn": None, "region": "cn-north-1"}, {}, "arn:aws-cn:ecs:cn-north-1:999999999999:service/shop/api"),
    ],
)
def test_the_account_is_what_the_objects_say(spec: Any, status: Any, arn: str) -> None:
    found = policies(protected(status=status, **spec), own=Own(account="999999999999"))
    policy = found[ROLE] if ROLE in found else found[None]
    assert arn in next(s for s in policy["Statement"] if s["Sid"] == "UpdateServices")["Resource"]


def test_log_groups_of_detectors_are_read() -> None:
    query = {"name": "lines", "log": {"logGroup": "/ecs/other", "pattern": "ERROR"}}
    thresholds = {"high": "1"}
    condition = {"name": "lines", "type": "high_error_rate", "query": "lines", "thresholds": thresholds}
    body = {
        "metadata": {"name": "lines", "namespace": "shop"},
        "spec": {"serviceRef": {"name": "api"}, "queries": [query], "conditions": [condition]},
    }
    detector = Detector.model_validate(body)
    own, mine = find_identities([protected(mode="Observe", logGroup=None)], [detector], Own())
    assert may(build_policy(mine), made("logs:FilterLogEvents", logGroupName="/ecs/other"))
    assert build_policy(own)["Statement"][0]["Sid"] == "AssumeRoles"


def test_a_policy_is_a_document_of_iam() -> None:
    for policy in policies(protected(), protected("web", ecs={"cluster": "web", "service": "web"})).values():
        sids = [statement["Sid"] for statement in policy["Statement"]]
        assert policy["Version"] == "2012-10-17"
        assert len(sids) == len(set(sids))
        assert all(sid.isalnum() for sid in sids)
        for statement in policy["Statement"]:
            assert statement["Action"] == sorted(statement["Action"])
            assert statement["Resource"]
            if "*" in statement["Resource"]:
                assert statement["Resource"] == ["*"]
                assert statement["Condition"], "a region or a cluster narrows what no resource does"


def test_what_is_wide_says_why() -> None:
    identities = find_identities([protected()], (), Own())
    for grant in (grant for identity in identities for grant in find_grants(identity)):
        wide = [r for r in grant.resources if r == "*" or r.endswith((":role/*", ":stack/*", "/*:*"))]
        assert bool(grant.note) or not wide, grant
        if grant.resources == ("*",):
            assert grant.note.startswith("AWS has no resource-level permission for it")


# The command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    body = {"apiVersion": "bokgu.dev/v1alpha1", "kind": "ProtectedService", "metadata": {"name": "api"}, "spec": FULL}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "api"}}
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "api.yaml").write_text(yaml.safe_dump_all([other, dict(body)]))
    web = {**body, "metadata": {"name": "web"}, "spec": {"region": REGION, "ecs": {"cluster": "web", "service": "w"}}}
    (tmp_path / "list.json").write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": [web]}))
    return tmp_path


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BOKGU_HISTORY", "BOKGU_EVENT_QUEUES", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)


def test_policies_of_manifests(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam-policy", "-f", str(folder), "-o", "json", "--explain"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["for"] for one in told["policies"]] == ["own", AUTOMATOR, RUNNER, ROLE]
    assert any("--account" in note for note in told["notes"])
    described = {one["action"]: one for one in told["policies"][-1]["actions"]}
    assert described["cloudtrail:LookupEvents"]["optional"]
    assert described["cloudwatch:GetMetricData"]["note"].endswith("for it: bound by region")


def test_the_bare_document_of_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["iam-policy", "-f", str(folder), "--for", ROLE, "--account", "999999999999"]
    assert main([*words, "--pass-role", f"arn:aws:iam::{ACCOUNT}:role/api"]) == 0
    policy = json.loads(capsys.readouterr().out)
    passed = next(s for s in policy["Statement"] if s["Sid"] == "PassRoles")
    assert passed["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/api"]
    assert main([*words, "-o", "yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["Version"] == "2012-10-17"
    assert main(["iam-policy", "-f", str(folder), "--for", "arn:aws:iam::111111111111:role/none"]) == 1


def test_the_operators_settings_count(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOKGU_HISTORY", "dynamodb")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("BOKGU_EVENT_QUEUES", f"https://sqs.{REGION}.amazonaws.com/999999999999/events")
    topic = f"arn:aws:sns:{REGION}:999999999999:pager"
    assert main(["iam-policy", "-f", str(folder), "--for", "own", "--topic", topic]) == 0
    policy = json.loads(capsys.readouterr().out)
    assert may(policy, made("sqs:ReceiveMessage", "999999999999", QueueUrl="https://sqs/9/events"))
    assert may(policy, made("sns:Publish", TopicArn=topic))
    assert may(policy, made("dynamodb:PutItem", TableName="bokgu-production-incidents"))


def test_text_explains_in_columns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["iam-policy", "-f", str(folder), "--explain"]) == 0
    told = capsys.readouterr()
    assert "# the operator's own identity" in told.out
    assert "[*: AWS has no resource-level permission for it: bound by cluster]" in told.out
    assert "note: " in told.err


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("a: [")
    assert main(["iam-policy", "-f", str(tmp_path)]) == 1
    assert "bad.yaml" in capsys.readouterr().err
    assert main(["iam-policy", "-f", str(tmp_path / "none.yaml")]) == 1


def simulations(*services: ProtectedService, **own: Any) -> dict[str | None, tuple[Simulation, ...]]:
    return {one.role_arn: list_simulations(one) for one in find_identities(services, (), Own(**own))}


def test_iam_is_asked_about_every_action_of_a_policy_and_the_policy_allows_each() -> None:
    passed = f"arn:aws:iam::{ACCOUNT}:role/task"
    asked = simulations(protected(), passed_roles=(passed,))
    for identity in find_identities([protected()], (), Own(passed_roles=(passed,))):
        policy = build_policy(identity)
        mine = asked[identity.role_arn]
        assert {action for one in mine for action in one.actions} == actions(policy)
        for one in mine:
            needs = [Need(action, r, dict(one.context)) for action in one.actions for r in one.resources]
            assert needs
            assert [need for need in needs if not allows(policy, need)] == []


def test_each_value_of_a_condition_is_asked_about() -> None:
    elsewhere = protected("other", region="eu-west-1", ecs={"cluster": "shop", "service": "other"})
    contexts = {
        one.context for one in simulations(protected(), elsewhere)[ROLE] if "ecs:DescribeTaskDefinition" in one.actions
    }
    assert contexts == {(("aws:RequestedRegion", REGION),), (("aws:RequestedRegion", "eu-west-1"),)}


def test_roles_that_are_handed_on_are_asked_about_where_they_are_known() -> None:
    asked = {action for one in simulations(protected())[ROLE] for action in one.actions}
    assert "ecs:UpdateService" in asked
    assert "iam:PassRole" not in asked
