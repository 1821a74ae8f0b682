"""The catalogue as files: complete, and slips of the pen are told."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.scenarios.expectation import ExpectedIncident, ExpectedService
from tests.scenarios.scenario import Scenario
from tests.scenarios.scenario_files import CatalogueError, find_entry, read_catalogue, read_file
from tests.scenarios.simulated_time import compress, format_length, parse_length

ROWS = (
    *(1, 2, 3, 4, 6, 7, 8, 10, 11, 13, 15, 16, 17, 18, 19, 20, 21, 23, 24, 26, 27, 28, 29, 30, 32, 33, 35, 36, 37, 38),
    *(40, 41, 42, 44, 45, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 58, 59, 60, 61, 63, 64, 66, 68, 69, 70, 71, 72, 74),
    *(75, 77, 78, 80, 81, 82),
)
"""The rows of the design's catalogue."""

MINIMAL = {
    "number": 1,
    "title": "something happens",
    "why": "because",
    "world": {"services": {"web": {}}},
    "story": [{"do": "load", "service": "web", "rps": 1}],
    "expect": {},
}


def test_every_row_of_the_catalogue_has_a_scenario() -> None:
    numbers = [entry.scenario.number for entry in read_catalogue()]
    assert sorted(set(ROWS) - set(numbers)) == []
    assert len(numbers) == len(set(numbers))
    assert [n for n in numbers if n not in ROWS and n < 100] == []


def test_scenarios_are_found_by_number_and_by_name() -> None:
    assert find_entry("15") is find_entry("pause-hook") is find_entry("15-pause-hook")
    with pytest.raises(CatalogueError, match="make scenario"):
        find_entry("no-such-thing")


def test_every_scenario_expects_something() -> None:
    for entry in read_catalogue():
        expect = entry.scenario.expect
        assert expect.incidents or expect.services, entry.name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["story"].append({"do": "lod", "service": "web", "rps": 1}), "lod"),
        (lambda s: s["story"].append({"do": "load", "service": "wbe", "rps": 1}), "no service 'wbe'"),
        (lambda s: s["story"][0].update(rsp=2), "rsp"),
        (lambda s: s["story"][0].update(at="5 minutes"), "write it as 90s, 5m"),
        (lambda s: s["expect"].update(writes={"web": {"UpdateService": "many"}}), "write it as 3, <=2"),
        (lambda s: s["story"].append({"do": "account", "set": {}}), "world.account must be own"),
        (lambda s: s["story"].append({"do": "operator", "becomes": "killed"}), "alone must be true"),
        (lambda s: s["story"].append({"do": "wait-for", "service": "web"}), "wait-for needs one of"),
        (lambda s: s.update(number=2), "must begin with its number"),
    ],
)
def test_slips_of_the_pen_are_told(tmp_path: Path, change: Callable[[dict[str, object]], object], message: str) -> None:
    written = yaml.safe_load(yaml.safe_dump(MINIMAL))
    change(written)
    (tmp_path / "1-slip.yaml").write_text(yaml.safe_dump(written))
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(tmp_path)
    assert message in str(caught.value)
    assert "1-slip.yaml" in str(caught.value) or "2" in str(caught.value)


def test_minimal_scenario_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "1-minimal.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    assert read_file(path).scenario.expect.incidents == ()


def test_vocabulary_of_the_page_is_the_vocabulary() -> None:
    page = (Path(__file__).parent / "README.md").read_text()
    story = Scenario.model_json_schema()["$defs"]
    words = {d["properties"]["do"]["const"] for d in story.values() if "do" in d.get("properties", {})}
    assert [word for word in sorted(words) if f"`{word}`" not in page] == []
    members = {*ExpectedIncident.model_fields, *ExpectedService.model_fields}
    assert [member for member in sorted(members) if f"`{member}`" not in page] == []


def test_lengths_of_time() -> None:
    assert [parse_length(t) for t in ("90s", "5m", "1h30m", "2d")] == [90, 300, 5400, 172_800]
    assert [format_length(s) for s in (42, 250, 3600)] == ["42s", "4m10s", "60m00s"]
    assert compress({"detection": {"interval": "1m", "name": "1m"}}, 60) == {
        "detection": {"interval": "1s", "name": "1m"}
    }
    with pytest.raises(ValueError, match="whole number"):
        compress({"settle": "90s"}, 60)
