import re
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bokgu.api.crds import KINDS, build_crd, write_crds
from bokgu.api.detector import Detector
from bokgu.api.fields import (
    ApiModel,
    DecimalString,
    Duration,
    bounded,
    format_decimal,
    format_duration,
    format_timestamp,
    parse_duration,
)
from bokgu.api.incident import Incident
from bokgu.api.meta import Resource, is_true, set_condition
from bokgu.api.plain_text import make_plain
from bokgu.api.plan_approval import PlanApproval
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import _FROZEN, RecoveryPlan, RecoveryPlanSpec
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import Action, PlanPhase, Severity
from tests.unit.facts import (
    MINUTE,
    NOW,
    VALIDATION,
    approval,
    detector,
    health_check,
    incident,
    locked_by,
    plan,
    protected_service,
    roll_back,
    runbook,
    scale_out,
    started,
)

CRDS = Path(__file__).parents[2] / "crds"


# Durations, numbers, times


ADMITTED = st.tuples(st.integers(0, 10**12), st.sampled_from(["h", "m", "s"])).map(lambda d: f"{d[0]}{d[1]}")


@given(st.integers(0, 10**7))
def test_a_duration_reads_back(seconds: int) -> None:
    text = format_duration(timedelta(seconds=seconds))
    TypeAdapter(Duration).validate_python(text)
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "minutes"), [("90s", 1.5), ("5m", 5), ("1h30m", 90), ("0s", 0), ("2h0m1s", 120 + 1 / 60)]
)
def test_durations_are_gos(text: str, minutes: float) -> None:
    assert parse_duration(text) == minutes * MINUTE


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "1.5h", "5ms", "5m ", "1d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.text(max_size=12) | st.from_regex(r"([0-9]{0,30}h)?([0-9]{0,30}m)?([0-9]{0,30}s)?", fullmatch=True))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        parse_duration(text)


@given(ADMITTED)
def test_s12_every_duration_that_the_schema_admits_can_be_reckoned_with(text: str) -> None:
    try:
        TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        return
    assert NOW + parse_duration(text) >= NOW


@given(st.floats(-1e6, 1e6))
def test_a_number_is_a_decimal_string_close_to_it(value: float) -> None:
    text = format_decimal(value)
    TypeAdapter(DecimalString).validate_python(text)
    assert abs(float(text) - value) <= 0.00005 + 1e-12 * abs(value)
    assert format_decimal(float(text)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (-0.0, "0"), (-0.00001, "0"), (2.5, "2.5"), (0.12345, "0.1234"), (100, "100")]
)
def test_numbers_have_no_trailing_zeros(value: float, text: str) -> None:
    assert format_decimal(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_s12_whatever_cloudwatch_measures_is_a_decimal_string(value: float) -> None:
    TypeAdapter(DecimalString).validate_python(format_decimal(value))


def test_times_are_utc_with_whole_seconds() -> None:
    seoul = datetime(2026, 11, 24, 17, 0, 0, 999999, tzinfo=timezone(timedelta(hours=9)))
    assert format_timestamp(seoul) == "2026-11-24T08:00:00Z"


@given(st.text(max_size=400).map(make_plain))
def test_a_text_is_cut_to_its_bound(text: str) -> None:
    cut = bounded(text)
    assert len(cut) <= 300
    assert cut == text or (cut.endswith("…") and text.startswith(cut[:-1]))


# Vocabulary and conditions


def test_severities_are_ranked() -> None:
    assert [s.rank for s in (Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)] == [0, 1, 2, 3]


def test_looking_waiting_and_asking_change_nothing() -> None:
    assert [a for a in Action if not a.writes] == [Action.HEALTH_CHECK, Action.WAIT, Action.MANUAL]


def test_a_plan_is_over_in_the_phases_that_say_so() -> None:
    going_on = {"Pending", "AwaitingApproval", "Approved", "InProgress", "Verifying", "RollingBack"}
    assert {str(p) for p in PlanPhase if not p.terminal} == going_on


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    def set_(conditions: Any, status: bool | None, minute: int, reason: str = "R") -> Any:
        return set_condition(conditions, "Ready", status, reason, "", now=NOW + minute * MINUTE, generation=1)

    one = set_((), True, 0)
    assert set_(one, True, 1) == one
    assert is_true(one, "Ready")
    assert set_(one, True, 1, "S")[0].last_transition_time == NOW
    assert set_(one, None, 2)[0].last_transition_time == NOW + 2 * MINUTE
    assert len(set_(one, False, 1)) == 1
    assert not is_true(set_(one, None, 2), "Ready")


# Models


@pytest.mark.parametrize(
    "resource",
    [
        incident(status=started()),
        plan(health_check(), scale_out(validation=VALIDATION), roll_back(), suspend=True),
        approval(signature="x", approverGroups=["ops"]),
        protected_service(status=locked_by("plan-1", "uid")),
        detector(),
        runbook(serviceSelector={"environment": "staging", "matchLabels": {"team": "pay"}}, advice="call {service}"),
    ],
    ids=lambda r: r.kind,
)
def test_an_object_reads_back_as_it_was_written(resource: Resource) -> None:
    raw = resource.to_dict()
    assert type(resource).model_validate(raw) == resource
    assert "null" not in yaml.safe_dump(raw)


def test_unknown_fields_are_dropped_and_known_ones_are_bounded() -> None:
    raw = plan().to_dict()
    raw["spec"]["steps"][0]["colour"] = "red"
    assert "colour" not in str(plan().model_validate(raw).to_dict())
    raw["spec"]["steps"] = raw["spec"]["steps"] * 17
    with pytest.raises(ValidationError, match="at most 16"):
        plan().model_validate(raw)


def test_objects_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(plan().spec, "suspend", True)  # noqa: B010


# CRDs


def schemas(node: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """All nodes of a schema with their paths."""
    found = [(path, node)]
    for name, child in node.get("properties", {}).items():
        found += schemas(child, f"{path}.{name}")
    if "items" in node:
        found += schemas(node["items"], f"{path}[]")
    return found


def nodes(kind: type[Resource], part: str) -> list[tuple[str, dict[str, Any]]]:
    version = build_crd(kind)["spec"]["versions"][0]
    return schemas(version["schema"]["openAPIV3Schema"]["properties"][part], part)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_string_and_list_is_bounded_and_nothing_is_nullable(kind: type[Resource], part: str) -> None:
    for path, node in nodes(kind, part):
        assert "nullable" not in node, path
        assert not node.keys() & {"anyOf", "oneOf", "allOf", "$ref"}, path
        match node["type"]:
            case "string":
                assert node.keys() & {"maxLength", "enum"} or node.get("format") == "date-time", path
            case "array":
                assert "maxItems" in node, path
            case "object" if "additionalProperties" in node:
                assert "maxProperties" in node, path
                assert node["additionalProperties"].keys() & {"maxLength", "maxItems"}, path
            case "object":
                assert node["properties"], path
            case other:
                assert other in {"integer", "boolean"}, path


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_and_no_number_is_a_float(kind: type[Resource]) -> None:
    for path, node in nodes(kind, "spec"):
        assert node["description"] or path.endswith("[]"), path
        assert node["type"] != "number", path


def test_the_spec_of_a_plan_has_no_defaults() -> None:
    assert [path for path, node in nodes(plan().__class__, "spec") if "default" in node] == []


def test_s12_every_number_of_a_plan_can_be_in_its_digest() -> None:
    """RFC 8785 writes numbers as JavaScript does, which knows no whole ones above 2^53."""
    numbers = [node for _, node in nodes(plan().__class__, "spec") if node["type"] == "integer"]
    assert numbers
    assert [n for n in numbers if not -(2**53) < n["minimum"] <= n.get("maximum", 2**63) < 2**53] == []


def test_every_field_of_a_plan_but_suspend_is_immutable() -> None:
    fields = {f.alias or name for name, f in RecoveryPlanSpec.model_fields.items()}
    camel = {re.sub(r"_(\w)", lambda m: m[1].upper(), name) for name in fields}
    assert camel - {"suspend"} == set(_FROZEN)
    rules = [r["rule"] for r in nodes(plan().__class__, "spec")[0][1]["x-kubernetes-validations"]]
    assert all(any(f"self.{field} == oldSelf.{field}" in rule for rule in rules) for field in _FROZEN)


@pytest.mark.parametrize("kind", KINDS)
def test_the_root_requires_a_spec_and_status_is_a_subresource(kind: type[Resource]) -> None:
    version = build_crd(kind)["spec"]["versions"][0]
    assert version["schema"]["openAPIV3Schema"]["required"] == ["spec"]
    assert version["subresources"] == {"status": {}}


@pytest.mark.parametrize("kind", KINDS)
def test_columns_show_fields_that_exist(kind: type[Resource]) -> None:
    known = {path for part in ("spec", "status") for path, _ in nodes(kind, part)}
    for column in kind.printer_columns:
        path = re.sub(r"\[[^\]]*\]", "[]", column["jsonPath"].lstrip("."))
        assert path in known or path.startswith("metadata."), column


@pytest.mark.parametrize(
    ("kind", "usual", "wide"),
    [
        (Incident, "SEVERITY TYPE SERVICE PHASE CAUSE PLAN AGE", "PRIORITY BLOCKED COUNT ETA"),
        (RecoveryPlan, "INCIDENT STEP APPROVALS PHASE REASON AGE", "RUNBOOK DIGEST"),
        (PlanApproval, "PLAN ROLE DECISION APPROVER ACCEPTED REASON AGE", "STEP"),
        (ProtectedService, "CLUSTER SERVICE MODE TASKS PLAN READY AGE", "REGION DRY-RUN BREAKER-OPEN REASON"),
        (Detector, "SERVICE STATE INTERVAL READY AGE", "REASON"),
        (Runbook, "CAUSES ACTIONS ESCALATES READY AGE", "REASON PRIORITY"),
        (RecoveryPolicy, "SUMMARY PAUSED READY REASON AGE", ""),
    ],
)
def test_kubectl_get_shows_these_columns_in_this_order(kind: type[Resource], usual: str, wide: str) -> None:
    columns = build_crd(kind)["spec"]["versions"][0]["additionalPrinterColumns"]
    assert [c["name"].upper() for c in columns if not c.get("priority")] == usual.split()
    assert [c["name"].upper() for c in columns if c.get("priority")] == wide.split()


def test_the_column_blocked_is_empty_unless_something_is_held_up() -> None:
    """The reason of an incident also says how it was resolved, and a condition that is False has a reason too."""
    (column,) = (c for c in Incident.printer_columns if c["name"] == "Blocked")
    assert column["jsonPath"] == ".status.blockedBy"


@pytest.mark.parametrize("kind", KINDS)
def test_defaults_of_the_schema_are_defaults_of_the_model(kind: type[Resource]) -> None:
    """A field that the API server would fill in reads the same from an object that never met it."""
    model = kind.model_fields["spec"].annotation
    assert isinstance(model, type)
    assert issubclass(model, ApiModel)
    for name, field in model.model_fields.items():
        alias = field.alias or name
        schema = dict(nodes(kind, "spec")).get(f"spec.{alias}", {})
        if "default" in schema and isinstance(schema["default"], str | bool | int):
            assert field.default == schema["default"]


def test_the_committed_files_are_the_generated_ones(tmp_path: Path) -> None:
    written = write_crds(tmp_path)
    assert {p.name for p in written} == {p.name for p in CRDS.iterdir()}
    for path in written:
        assert path.read_text() == (CRDS / path.name).read_text(), path.name


# Texts that people approve


@pytest.mark.parametrize("sign", ["\x1b", "\x07", "\x85", "\u200b", "\u202e", "\u2066", "\u2028", "\ufeff"])
def test_s8_what_people_approve_reads_as_it_is(sign: str) -> None:
    """It is refused, never altered: its digest is what they sign."""
    said = {"description": f"restart {sign}api"}
    with pytest.raises(ValidationError, match="description"):
        plan({**scale_out(), **said})
    with pytest.raises(ValidationError, match=r"ifNothingIsDone"):
        plan(scale_out(), ifNothingIsDone=said["description"])
    with pytest.raises(ValidationError, match="approver"):
        approval(approver=f"alice{sign}@example.com")


def test_what_people_approve_may_have_lines_and_any_letters() -> None:
    text = "서비스를 다시 시작:\n\tapi — 37 % 😀"
    assert plan({**scale_out(), "description": text}).spec.steps[0].description == text
