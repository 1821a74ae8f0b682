import json
from typing import Any

import yaml

from bokgu.api.incident import Classification
from bokgu.api.meta import UidReference
from bokgu.commands.forecast import Forecast
from bokgu.commands.forecast_text import describe_forecast, format_forecast
from bokgu.core.correlation import Suppression
from bokgu.core.planning import decide_plan
from bokgu.core.track_record import TrackRecord
from bokgu.reconcile.incident import Prospect
from tests.unit.facts import classification, incident, runbook
from tests.unit.test_planning import LOAD, planning


def forecast(found: Classification | None = None, own: frozenset[str] = frozenset(), **changes: Any) -> Forecast:
    facts = planning(classification=found or classification(), **changes)
    prospect = Prospect(facts.classification, decision=decide_plan(facts), service=facts.service)
    return Forecast(facts.incident, prospect, ("a note",), (), own)


def fates(one: Forecast) -> dict[str, str]:
    return {row["name"]: row["fate"] for row in describe_forecast(one)["runbooks"]}


def test_all_formats_tell_the_same_plan() -> None:
    one = forecast()
    described = describe_forecast(one)
    assert json.loads(format_forecast(one, "json")) == described
    assert yaml.safe_load(format_forecast(one, "yaml")) == described
    text = format_forecast(one, "text")
    assert described["plan"]["metadata"]["name"] in text
    assert "step 2  scale-out (scale_out): Run 5 tasks instead of 3." in text
    assert "note: a note" in text
    assert all(len(line) <= 110 for line in text.splitlines())


def test_every_runbook_has_a_fate_and_the_text_leaves_out_who_is_for_other_trouble() -> None:
    one = forecast(
        LOAD, frozenset({"ours"}), runbooks=(*planning().runbooks, runbook("ours", rootCauses=["DiskExhausted"]))
    )
    found = fates(one)
    assert found["memory-saturation-load"] == "makes the plan"
    assert found["memory-saturation-restart"] == "not for this: chosen only by name"
    assert found["memory-saturation"] == "fits, and comes later"
    assert found["traffic-surge"] == "not for this: it is against TrafficSurge"
    text = format_forecast(one, "text")
    assert "ours (own): not for this: it is against DiskExhausted" in text
    assert "traffic-surge" not in text
    assert "and 38 built-in ones that are for other trouble" in text


def test_a_rung_that_gave_way_is_told_with_its_reason() -> None:
    one = forecast(LOAD, track_records={"memory-saturation-load": TrackRecord(0, 3)})
    assert fates(one)["memory-saturation-load"] == ("gives way: memory-saturation-load helped 0 of 3 times here")
    assert fates(one)["memory-saturation-restart"] == "makes the plan"


def test_why_there_is_no_plan_is_told() -> None:
    described = describe_forecast(forecast(classification(rootCause="Unknown")))
    assert (described["outcome"], described["reason"]) == ("NoPlan", "NoSafeAction")
    assert "plan" not in described
    assert fates(forecast(classification(rootCause="Unknown")))["unknown"] == "chosen"


def test_what_comes_before_a_plan_is_told_too() -> None:
    problem = Forecast(incident(), Prospect(None, problem=("NotProtected", "create it")), (), (), frozenset())
    assert "no plan   NotProtected: create it" in format_forecast(problem, "text")
    leader = Suppression(UidReference(name="other", uid="u"), "SameService", "folded into another one")
    folded = Forecast(incident(), Prospect(classification(), suppression=leader), (), (), frozenset())
    assert describe_forecast(folded)["reason"] == "SameService"
