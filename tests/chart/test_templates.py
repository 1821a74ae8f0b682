"""What Helm makes of the chart: snapshots, settings, and values that it refuses."""

import json
import re
from copy import deepcopy
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bokgu.api.crds import KINDS
from bokgu.config import Settings, read_settings
from tests.chart.program import HelmError, run_helm
from tests.chart.rendering import (
    CHART,
    DEPLOY,
    SNAPSHOTS,
    Raw,
    find,
    list_cases,
    read_case,
    render,
    write_deploy,
    write_snapshot,
)
from tests.prometheus import run_promtool
from tests.prometheus.rules import list_alerts, read_groups
from tests.values_page import read_schema
from tests.world.world import ROOT

pytestmark = pytest.mark.timeout(600)

SECRETS = {
    "heartbeat/url": "https://beat.example.com/token",
    "heartbeat/url-bank": "https://beat.example.com/another",
    "heartbeat/url-shop": "https://beat.example.com/third",
    "traces/endpoint": "https://otlp.example.com/v1/traces",
}
NOT_VALUES = {"minute": "for worlds that run faster than ours", "shard": "set by the chart for each Deployment"}
"""Settings that no person sets, and why."""


@pytest.fixture(scope="module")
def everything() -> list[Raw]:
    return render(read_case("everything"))


def container(deployment: Raw) -> Raw:
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(deployment: Raw) -> dict[str, str]:
    """The environment of the pods, with what Secrets hold."""
    variables = container(deployment)["env"]
    names = [variable["name"] for variable in variables]
    assert len(set(names)) == len(names), "server-side apply refuses a name that comes twice"
    found = {}
    for variable in variables:
        source = variable.get("valueFrom", {}).get("secretKeyRef")
        found[variable["name"]] = SECRETS[f"{source['name']}/{source['key']}"] if source else variable["value"]
    return found


@pytest.mark.parametrize("case", ["", *list_cases()])
def test_lint_finds_nothing(case: str) -> None:
    assert "0 chart(s) failed" in run_helm("lint", "--strict", CHART, values=read_case(case) if case else {})


def test_deploy_is_what_helm_renders() -> None:
    files = {path.name: path.read_text() for path in DEPLOY.iterdir()}
    assert files == write_deploy(), "run `make deploy` and commit"
    assert next(iter(sorted(files))) == "account.yaml", "kubectl applies the namespace first"


@pytest.mark.parametrize("case", list_cases())
def test_snapshot(case: str) -> None:
    assert (SNAPSHOTS / f"{case}.yaml").read_text() == write_snapshot(case), "run `make deploy`, look, and commit"


def test_by_default_settings_are_the_operators_own() -> None:
    settings = read_settings(environment(find(render(), "Deployment")))
    assert settings == Settings(listen_host="0.0.0.0", holder=settings.holder)


def test_every_setting_has_a_value(everything: list[Raw]) -> None:
    settings, usual = read_settings(environment(find(everything, "Deployment"))), Settings()
    unset = {
        field.name
        for field in fields(Settings)
        if "env" in field.metadata and getattr(settings, field.name) == getattr(usual, field.name)
    }
    assert unset == (NOT_VALUES.keys() | {"namespace"}) & {field.name for field in fields(Settings)}
    assert settings.assumable_roles["shop"] == (
        "arn:aws:iam::111111111111:role/shop-bokgu",
        "arn:aws:iam::111111111111:role/shop-runs",
    )
    assert [queue.region for queue in settings.event_queues] == ["eu-central-1", "eu-west-1"]


def test_the_namespace_is_the_releases_everywhere() -> None:
    objects = render({**read_case("everything"), "shards": ["shop"]}, namespace="recovery")
    text = yaml.safe_dump_all(o for o in objects if o["kind"] != "CustomResourceDefinition")
    assert "bokgu-system" not in text
    assert environment(find(objects, "Deployment", "bokgu"))["BOKGU_NAMESPACE"] == "recovery"
    status = find(objects, "ValidatingAdmissionPolicy", "bokgu-status")
    (rule,) = status["spec"]["validations"]
    assert rule["expression"] == "request.userInfo.username == 'system:serviceaccount:recovery:bokgu'"


def test_each_shard_has_a_deployment_and_a_heartbeat_of_its_own() -> None:
    objects = render(read_case("shards"))
    deployments = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Deployment"}
    shards = {name: environment(one).get("BOKGU_SHARD") for name, one in deployments.items()}
    assert shards == {"bokgu": None, "bokgu-bank": "bank", "bokgu-shop": "shop"}
    beats = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for one in deployments.values()
        for variable in container(one)["env"]
        if variable["name"] == "BOKGU_HEARTBEAT_URL"
    }
    assert beats == {"url", "url-bank", "url-shop"}, "one that beats would hide another that does not"
    selectors = [one["spec"]["selector"]["matchLabels"] for one in deployments.values()]
    for selector, one in zip(selectors, deployments.values(), strict=True):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert [other for other in selectors if other.items() <= labels.items()] == [selector]
    budgets = [o["spec"]["selector"]["matchLabels"] for o in objects if o["kind"] == "PodDisruptionBudget"]
    assert budgets == selectors


def test_a_variable_of_extra_env_takes_the_place_of_the_charts() -> None:
    objects = render(
        {"extraEnv": [{"name": "BOKGU_LOG_LEVEL", "value": "error"}, {"name": "BOKGU_MINUTE", "value": "1s"}]}
    )
    settings = read_settings(environment(find(objects, "Deployment")))
    assert (settings.log_level, settings.minute.total_seconds()) == ("error", 1)


def test_the_kinds_are_all_there_and_stay(everything: list[Raw]) -> None:
    crds = {o["metadata"]["name"]: o for o in everything if o["kind"] == "CustomResourceDefinition"}
    assert crds.keys() == {f"{kind.plural}.bokgu.dev" for kind in KINDS}
    for path in (ROOT / "crds").iterdir():
        wanted = yaml.safe_load(path.read_text())
        found = crds[wanted["metadata"]["name"]]
        assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        assert found["spec"] == wanted["spec"]
    free = render({"crds": {"keep": False}})
    assert "annotations" not in find(free, "CustomResourceDefinition", "incidents.bokgu.dev")["metadata"]


def test_nothing_else_is_left_when_the_release_goes(everything: list[Raw]) -> None:
    kept = [o["kind"] for o in everything if o["metadata"].get("annotations", {}).get("helm.sh/resource-policy")]
    assert set(kept) == {"CustomResourceDefinition"}


def test_promtool_finds_nothing_wrong_with_the_rules(everything: list[Raw], tmp_path: Path) -> None:
    rule = find(everything, "PrometheusRule")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rule["spec"]))
    checked = run_promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ours = read_groups()
    assert f"SUCCESS: {len(list_alerts(ours))} rules found" in checked.stdout
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    for alert in list_alerts(ours):
        alert["annotations"]["runbook_url"] = f"https://docs.example.com/bokgu/{alert['annotations']['runbook_url']}"
    assert rule["spec"] == ours


def test_the_dashboard_is_the_file(everything: list[Raw]) -> None:
    dashboard = find(everything, "ConfigMap", "bokgu-dashboard")
    assert dashboard["data"] == {"bokgu.json": (CHART / "files/dashboard.json").read_text()}
    assert json.loads(dashboard["data"]["bokgu.json"])["panels"]
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_no_template_asks_for_a_secret_by_list_or_for_everything(everything: list[Raw]) -> None:
    """No rule of any account has a wildcard, and Secrets are read by name alone."""
    for role in (o for o in everything if o["kind"] in {"Role", "ClusterRole"}):
        for rule in role["rules"]:
            assert "*" not in (*rule["apiGroups"], *rule["resources"], *rule["verbs"]), role["metadata"]["name"]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert rule["resourceNames"] == ["pagers"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"replica": 2}, "replica"),
    ({"image": {"tagg": "1"}}, "tagg"),
    ({"replicas": "two"}, "replicas"),
    ({"replicas": -1}, "replicas"),
    ({"retention": "a month"}, "retention"),
    ({"lease": {"duration": ""}}, "duration"),
    ({"lease": {"name": "none"}}, "replicas"),
    ({"shards": ["default"]}, "shards"),
    ({"shards": ["Shop"]}, "shards"),
    ({"aws": {"roleArn": "bokgu"}}, "roleArn"),
    ({"aws": {"assumableRoles": [{"namespace": "shop"}]}}, "roleArn"),
    ({"aws": {"quotas": {"ecs": 0}}}, "quotas"),
    ({"eventQueues": ["https://sqs.eu-west-1.amazonaws.com/1/a"]}, "eventQueues"),
    ({"webhook": {"enabled": True}}, "webhook.token.name"),
    (
        {
            "webhook": {
                "enabled": True,
                "token": {"name": "t"},
                "tls": {"enabled": True, "certManager": {"enabled": True}},
            }
        },
        "webhook.tls.certManager.issuer.name",
    ),
    ({"approvals": {"roles": ["System-Admin"]}}, "roles"),
    ({"approvals": {"delegates": ["flux-system:kustomize-controller"]}}, "delegates"),
    ({"alerts": {"language": "de"}}, "language"),
    ({"history": {"backend": "mysql"}}, "backend"),
    ({"logLevel": "loud"}, "logLevel"),
    ({"extraEnv": [{"value": "x"}]}, "extraEnv"),
]


@pytest.mark.parametrize(("values", "named"), REFUSED, ids=[json.dumps(values) for values, _ in REFUSED])
def test_a_value_that_is_wrong_is_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(HelmError, match=re.escape(named)):
        render(values)


SHOWN = [
    pytest.param(values, id=f"{page.name}-{next(iter(values))}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    if "!GetAtt" not in block
    for values in [next(yaml.safe_load_all(block))]
    if isinstance(values, dict) and values.keys() <= read_schema()["properties"].keys()
]
"""Values that pages of the documentation show."""


def test_pages_show_values() -> None:
    assert len(SHOWN) >= 4


@pytest.mark.parametrize("values", SHOWN)
def test_values_that_the_documentation_shows_are_accepted(values: Raw) -> None:
    assert render(values)


def test_an_older_cluster_is_refused() -> None:
    with pytest.raises(HelmError, match=r"chart requires kubeVersion: >=1\.32"):
        run_helm("template", "bokgu", CHART, "--kube-version", "1.31.0")


SUPPORTED = ("1.32", "1.33", "1.34", "1.35", "1.36")
"""Versions of Kubernetes whose own words are asked; the real API server of the tests is the newest of them."""


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("case", ["", *list_cases()])
def test_each_supported_version_of_kubernetes_knows_every_field(case: str, version: str) -> None:
    known = 0
    for one in rendered(case):
        if one["apiVersion"].split("/")[0] in {"monitoring.coreos.com", "cert-manager.io"}:
            continue
        kubernetes_validate.validate(one, version, strict=True)
        known += 1
    assert known > 10


def test_the_oldest_supported_version_is_the_charts() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["kubeVersion"] == f">={SUPPORTED[0]}.0-0"


def test_a_field_that_a_version_does_not_know_would_be_seen() -> None:
    deployment = find(rendered(""), "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["lifecycles"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="lifecycles"):
        kubernetes_validate.validate(deployment, SUPPORTED[0], strict=True)


def rendered(case: str) -> list[Raw]:
    return deepcopy(_render(case))


@lru_cache
def _render(case: str) -> list[Raw]:
    return render(read_case(case) if case else {})
