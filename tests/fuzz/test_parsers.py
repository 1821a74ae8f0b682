"""Whatever comes in as text is understood, or refused by the one error that its parser names. What tests/unit asks of a
parser already is not asked again here."""

import dataclasses
import json
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bokgu.__main__ import main
from bokgu.alerts.channel import read_retry_after
from bokgu.api.crds import KINDS
from bokgu.api.meta import Resource
from bokgu.api.quotas import parse_quotas
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.role_grants import grant_roles, parse_assumable_roles, parse_role_arn
from bokgu.config import BadSetting, Settings, read_settings
from bokgu.core import alarm_event, alertmanager, ecs_event
from bokgu.core.approval.digest import plan_digest
from bokgu.core.event import MalformedMessage, parse_event
from bokgu.core.finding import build_incident
from bokgu.core.recent_stops import read_stop
from bokgu.core.ssh.signature import NAMESPACE
from bokgu.core.statement import Statement
from tests.fuzz.documents import JSON, mutants
from tests.fuzz.sample import often
from tests.fuzz.schema import INT64, valid_specs
from tests.unit.ssh_keygen import ALICE, MESSAGE, Key, armor, dearmor, do_we_accept, string
from tests.unit.test_alarm_event import NOW, service
from tests.unit.test_alertmanager import alert, body
from tests.world import events

CASES = sorted((Path(__file__).parents[1] / "diagnosis").rglob("*.json"))


def integers(value: Any) -> list[int]:
    """All whole numbers in a document."""
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [number for member in members for number in integers(member)]
    return [*found, value] if isinstance(value, int) else found


# Signatures


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[Key]:
    folder = tmp_path_factory.mktemp("ssh")
    return [Key(folder / kind, "-t", kind) for kind in ("ed25519", "ecdsa")]


def fields(armored: str) -> list[bytes]:
    """The parts of an SSHSIG blob: magic and version, public key, namespace, reserved, hash, signature."""
    blob = dearmor(armored)
    parts, position = [blob[:10]], 10
    while position < len(blob):
        end = position + 4 + int.from_bytes(blob[position : position + 4], "big")
        parts.append(blob[position:end])
        position = end
    return parts


@pytest.fixture(scope="module")
def parts(keys: list[Key]) -> list[list[bytes]]:
    """For each part what stands there in signatures that are right: of two keys, messages, namespaces and hashes."""
    made = [
        key.sign(message, namespace, "-O", f"hashalg={hash_}")
        for key in keys
        for message, namespace in ((MESSAGE, NAMESPACE), (b"another", NAMESPACE), (MESSAGE, "file"))
        for hash_ in ("sha256", "sha512")
    ]
    return [sorted(set(column)) for column in zip(*map(fields, made), strict=True)]


@often(50, 3000)
@given(data=st.data())
def test_s8_parts_of_right_signatures_make_no_other_one(
    keys: list[Key], parts: list[list[bytes]], data: st.DataObject
) -> None:
    """Only what the key of allowed_signers has made of this message for approvals counts, by either hash."""
    right = [fields(keys[0].sign(MESSAGE, NAMESPACE, "-O", f"hashalg={hash_}")) for hash_ in ("sha256", "sha512")]
    drawn = [data.draw(st.sampled_from(column) | st.binary(max_size=40).map(string)) for column in parts]
    if data.draw(st.booleans()):
        drawn = data.draw(st.permutations(drawn))
    accepted = do_we_accept(armor(b"".join(drawn)), f"{ALICE} {keys[0].public}")
    assert accepted == (drawn in right)


# What comes through the doors

TASK = events.stopped_task("api", containers=[{"name": "app", "exitCode": 137, "reason": "OutOfMemoryError"}])
ECS_EVENTS = (TASK, events.deployment("api"), events.action("api"))


@often(100, 10_000)
@given(body=st.sampled_from(ECS_EVENTS).flatmap(mutants))
def test_s12_an_ecs_event_with_anything_anywhere_gives_a_stop_that_can_be_stored_or_is_malformed(body: Any) -> None:
    with suppress(MalformedMessage):
        event = parse_event(json.dumps(body))
        assume(event.detail_type in ecs_event.DETAIL_TYPES)
        reason = ecs_event.find_reason(event)
        if reason is not None:
            assert len(reason.why) <= 300
            ecs_event.find_services(event, reason, [service()])
        stop = read_stop(event) if event.detail_type == ecs_event.TASK else None
        if stop is not None:
            assert all(abs(number) <= INT64 for number in integers(stop.to_dict()))


@often(100, 10_000)
@given(wrapped=mutants(events.wrap_by_sns(TASK)))
def test_s12_a_message_of_a_topic_with_anything_anywhere_is_an_event_or_malformed(wrapped: Any) -> None:
    with suppress(MalformedMessage):
        parse_event(json.dumps(wrapped))


ALARM = events.alarm("cpu", metrics=[events.cpu_of("api")], datapoints=[95.0])


@often(100, 10_000)
@given(body=mutants(ALARM))
def test_s12_an_alarm_with_anything_in_two_places_is_a_valid_incident_or_malformed(body: Any) -> None:
    with suppress(MalformedMessage):
        event = parse_event(json.dumps(body))
        for statement in alarm_event.build_statements(event, alarm_event.parse_alarm(event), [service()], NOW):
            build_incident(statement.finding, "")


NOTIFICATION = json.loads(body(alert(), alert({"bokgu_service": None}, status="resolved")))


@often(100, 10_000)
@given(notification=mutants(NOTIFICATION, JSON | st.text().map(lambda text: {"bokgu_value": text})))
def test_s12_a_notification_with_anything_anywhere_is_valid_incidents_or_malformed(notification: Any) -> None:
    with suppress(MalformedMessage):
        for one in alertmanager.parse_notification(json.dumps(notification).encode()).alerts:
            said = alertmanager.build_statement(one, NOW)
            if isinstance(said, Statement) and said.finding.service == "api":  # The others are nobody's.
                build_incident(said.finding, "")


@often(100, 5000)
@given(header=st.text(st.characters(max_codepoint=255)) | st.from_regex(r"\w{3}, \d+ Nov \d+ \d+:\d+:\d+ [+-]?\w+"))
def test_any_retry_after_is_a_length_of_time_or_none(header: str) -> None:
    wait = read_retry_after(header, datetime(2026, 11, 24, tzinfo=UTC))
    assert wait is None or wait >= timedelta()


# What administrators set, and people hand in

VARIABLES = {f.metadata["env"]: f.metadata.get("parse") for f in dataclasses.fields(Settings) if "env" in f.metadata}
WORDS = st.text(max_size=20) | st.sampled_from(
    [
        "1s",
        "9" * 5000,
        "99999h",
        "-1",
        "1e400",
        "٣",
        "http://[",
        "https://a:b",
        "arn:aws:iam::1:role/x",
        "shop=",
        "a:b",
        "=,=",
    ]
)
SET = st.lists(WORDS | st.sampled_from("=,:/*"), max_size=5).map("".join)


@often(50, 3000)
@given(environment=st.dictionaries(st.sampled_from(sorted(VARIABLES)), SET, max_size=3))
def test_any_environment_is_settings_or_a_bad_one(environment: dict[str, str]) -> None:
    with suppress(BadSetting):
        read_settings(environment)


@often(100, 5000)
@given(text=SET, arn=SET | st.just("arn:aws:iam::111111111111:role/shop"))
def test_any_text_is_quotas_and_roles_or_a_value_error(text: str, arn: str) -> None:
    for parse in (parse_quotas, parse_role_arn, parse_assumable_roles):
        with suppress(ValueError):
            parse(text)
    with suppress(ValueError):
        grant_roles(parse_assumable_roles(text), "uid", "shop").covers(arn)


CASE = json.loads(CASES[0].read_text())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cases") / "case.json"


@often(30, 3000)
@given(case=mutants(CASE))
def test_any_case_gets_a_verdict_or_a_reason(file: Path, case: Any) -> None:
    file.write_text(json.dumps(case))
    verdict, reason = StringIO(), StringIO()
    with redirect_stdout(verdict), redirect_stderr(reason):
        code = main(["diagnose", str(file)])
    assert (code, bool(verdict.getvalue()), bool(reason.getvalue())) in {(0, True, False), (1, False, True)}


# What the API server lets through


@often(100, 10_000)
@given(written=st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), valid_specs(kind.plural))))
def test_s12_whatever_the_schema_admits_can_be_read(written: tuple[type[Resource], Any]) -> None:
    kind, spec = written
    metadata = {"name": "any", "namespace": "shop", "uid": "uid", "generation": 1}
    read = kind.model_validate({"metadata": metadata, "spec": spec})
    assert kind.model_validate(read.to_dict()) == read
    if kind is RecoveryPlan:
        assert plan_digest("cluster", {"metadata": metadata, "spec": spec}).startswith("sha256:")
