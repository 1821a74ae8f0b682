"""values.schema.json describes every value, and everything that is made from it is up to date."""

import json
from typing import Any

import pytest
import yaml

from bokgu import __version__
from tests import values_page
from tests.chart.rendering import CHART
from tests.values_page import list_values, read_schema
from tests.world.world import ROOT

VALUES = list(list_values(read_schema()))


@pytest.mark.parametrize(("path", "schema"), VALUES, ids=[path for path, _ in VALUES])
def test_a_value_is_described_and_bounded(path: str, schema: dict[str, Any]) -> None:
    assert schema["description"].endswith((".", "`.", ")."))
    assert len(schema["description"]) > 10
    if "properties" in schema:
        assert schema["additionalProperties"] is False, "a word that is misspelled must be an error"
    elif "[]" not in path:
        assert "default" in schema
        assert {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}[schema["type"]] is type(
            schema["default"]
        )


def test_values_and_readme_are_written_from_the_schema() -> None:
    schema = read_schema()
    assert values_page.VALUES.read_text() == values_page.write_values(schema), "run `make docs` and commit"
    page = values_page.PAGE.read_text()
    assert page == values_page.fill(page, schema), "run `make docs` and commit"


def test_a_value_that_nobody_described_would_be_seen() -> None:
    described = json.loads((CHART / "values.schema.json").read_text())
    described["properties"]["new"] = {"description": "A new one.", "type": "string", "default": "x"}
    assert "\n# A new one.\nnew: x\n" in values_page.write_values(described)
    assert '| `new` | `"x"` | A new one. |' in values_page.tabulate(described)


def test_the_chart_is_of_this_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (__version__, __version__)


def test_the_kinds_of_the_chart_are_those_of_the_models() -> None:
    ours, charts = ROOT / "crds", CHART / "files/crds"
    assert {path.name for path in ours.iterdir()} == {path.name for path in charts.iterdir()}
    for path in ours.iterdir():
        assert path.read_text() == (charts / path.name).read_text(), "run `make crds` and commit"
