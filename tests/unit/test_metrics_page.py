"""docs/metrics.md shows what the code measures, and names keep Prometheus's rules."""

import pkgutil

import pytest

import bokgu.metrics
from tests import metrics_page
from tests.metrics_page import Described, list_all

METRICS = list_all()


def test_the_page_is_written_from_the_code() -> None:
    page = metrics_page.PAGE.read_text()
    assert metrics_page.fill(page) == page, "run `make docs` and commit"


def test_every_module_has_its_table() -> None:
    assert {module.name for module in pkgutil.iter_modules(bokgu.metrics.__path__)} == set(metrics_page.ORDER)
    text = metrics_page.tabulate()
    assert [metric.name for metric in METRICS if f"| `{metric.name}` |" not in text] == []


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_keep_the_rules(metric: Described) -> None:
    """prometheus.io/docs/practices/naming; promtool checks the rest of them in tests/prometheus."""
    assert metric.name.startswith("bokgu_")
    assert metric.text.endswith(".")
    assert metric.name.endswith("_total") == (metric.type == "counter")
    if metric.type == "histogram":
        assert metric.name.endswith(("_seconds", "_calls"))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_no_name_of_an_incident_or_a_plan_is_a_label(metric: Described) -> None:
    assert not {"incident", "plan", "name", "uid", "pod"} & set(metric.labels)
    if metric.type != "gauge" and not metric.name.startswith("bokgu_aws_"):
        assert not {"namespace", "service"} & set(metric.labels)
