"""What the table says of what was measured."""

import io
import json
from collections.abc import Sequence

from tests.bench.__main__ import measure_row
from tests.bench.figure import Aim, Figure, merge_runs, percentile
from tests.bench.row import Effort, Row
from tests.bench.table import print_json, print_table

EFFORT = Effort(quick=True, full=False, tell=lambda _: None)
FACTS = {"machine": {"cores": "2"}}


def figure(rate: float, yardstick: float) -> Figure:
    return Figure("rate", "1/s", (rate,), Aim("≥", 1.0, of="Go"), (("Go", (yardstick,)),))


def test_runs_are_joined_by_what_they_measured() -> None:
    other = Figure("memory", "MiB", (5.0,))
    rate, memory = merge_runs([[figure(10, 20), other], [figure(30, 20)], [figure(25, 24)]])
    assert (rate.samples, dict(rate.yardsticks)) == ((10, 30, 25), {"Go": (20, 20, 24)})
    assert memory == other


def test_the_median_is_held_against_the_aim() -> None:
    assert merge_runs([[figure(10, 20)], [figure(30, 20)], [figure(25, 24)]])[0].met is True
    assert figure(19, 20).met is False
    assert [Figure("", "", (2.0,), Aim("≤", limit)).met for limit in (1.9, 2.0)] == [False, True]
    assert Figure("", "", (2.0,)).met is None


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([3, 1, 2, 4], share) for share in (0.0, 0.5, 0.99)] == [1, 3, 4]


def test_a_row_that_fails_is_told_and_the_others_go_on() -> None:
    runs: list[int] = []

    def fail_at_the_second_run(_: Effort) -> Sequence[Figure]:
        runs.append(1)
        if len(runs) == 2:
            raise TimeoutError("not within 5 s: no plan\nand more")
        return [figure(10, 20)]

    found = {
        "bad": measure_row(Row("bad", fail_at_the_second_run, 3), 3, EFFORT),
        "good": measure_row(Row("good", lambda _: [figure(10, 20)], 2), 2, EFFORT),
    }
    assert (found["bad"], len(runs)) == ("TimeoutError: not within 5 s: no plan", 2)
    table, text = io.StringIO(), io.StringIO()
    print_table(found, FACTS, table)
    assert "FAILED: TimeoutError: not within 5 s: no plan" in table.getvalue()
    assert "MISSED" in table.getvalue()
    print_json(found, FACTS, text)
    bad, good = json.loads(text.getvalue())["rows"]
    assert bad == {"row": "bad", "failed": "TimeoutError: not within 5 s: no plan"}
    assert good["figures"][0]["samples"] == [10, 10]
