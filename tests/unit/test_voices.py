"""All that say whether the trouble of an incident is still there, and what they say together."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.incident import Incident, IncidentSource
from bokgu.api.vocabulary import DetectionState, SourceKind
from bokgu.core.voices import Voice, concerned_voices, merge_voices, name_source
from tests.unit.facts import INCIDENT_UID, MINUTE, NOW, detection, incident

FIRING, CLEAR, UNKNOWN = DetectionState.FIRING, DetectionState.CLEAR, DetectionState.UNKNOWN
BEGUN = NOW - 20 * MINUTE
LATER, EARLIER = NOW - 5 * MINUTE, NOW - 60 * MINUTE
OWNED: dict[str, Any] = {"incident": {"name": "incident-1", "uid": INCIDENT_UID}}
OTHERS: dict[str, Any] = {"incident": {"name": "incident-0", "uid": "former"}}


def voice(
    name: str = "other", state: str = "Firing", since: datetime = LATER, *, kind: str = "Detector", **fields: Any
) -> Voice:
    """A voice that did not open the incident, unless it is `opener`."""
    source = IncidentSource(kind=SourceKind(kind), name=name, condition="error_rate")
    return Voice(source, detection(state, since, **fields))


def opener(state: str = "Firing", since: datetime = LATER, **fields: Any) -> Voice:
    return voice("api-errors", state, since, **fields)


def said(*voices: Voice, one: Incident | None = None) -> DetectionState | None:
    merged = merge_voices(one or incident(), voices)
    return merged.state if merged else None


@pytest.mark.parametrize(
    ("voices", "state"),
    [
        ((opener("Firing"),), FIRING),
        ((opener("Clear"),), CLEAR),
        ((opener("Unknown"),), UNKNOWN),
        ((), None),
        ((opener("Clear"), voice("b", "Firing", **OWNED)), FIRING),
        ((opener("Clear"), voice("b", "Unknown", **OWNED)), UNKNOWN),
        ((opener("Unknown"), voice("b", "Firing", **OWNED)), FIRING),
        ((opener("Clear"), voice("b", "Clear", **OWNED)), CLEAR),
    ],
)
def test_one_that_fires_is_enough_and_only_all_together_are_clear(
    voices: tuple[Voice, ...], state: DetectionState | None
) -> None:
    assert said(*voices) == state


@pytest.mark.parametrize("state", ["Firing", "Clear", "Unknown"])
def test_who_never_spoke_about_the_incident_has_no_say(state: str) -> None:
    assert said(opener("Clear"), voice("b", state)) is CLEAR
    assert said(opener("Clear"), voice("b", state, **OTHERS)) is CLEAR
    assert said(opener("Firing"), voice("b", "Clear")) is FIRING


def test_a_clear_from_before_the_incident_says_nothing_about_it() -> None:
    assert said(opener("Clear", EARLIER)) is None
    assert said(opener("Clear"), voice("b", "Clear", EARLIER, **OWNED)) is None
    assert said(opener("Clear", BEGUN)) is None
    assert said(opener("Firing", EARLIER)) is FIRING


def test_the_others_decide_when_the_detector_that_opened_it_is_deleted_or_renamed() -> None:
    assert said(voice("renamed", "Clear")) is CLEAR
    assert said(voice("renamed", "Firing")) is FIRING
    assert said(voice("renamed", "Clear"), voice("b", "Clear", EARLIER)) is None
    assert said(voice("b", "Clear", **OWNED), voice("c", "Unknown")) is CLEAR


def test_when_all_detectors_are_deleted_nobody_says_that_it_is_over() -> None:
    assert said() is None


def test_one_that_never_spoke_about_a_filed_incident_need_not_be_waited_for() -> None:
    filed = incident(source={"kind": "Manual"})
    assert said(voice("a", "Clear"), voice("b", "Unknown"), one=filed) is CLEAR
    assert said(voice("b", "Unknown"), one=filed) is UNKNOWN


@pytest.mark.parametrize("state", ["Clear", "Firing"])
def test_an_incident_that_a_person_filed_is_judged_by_all_that_measure_its_type(state: str) -> None:
    filed = incident(source={"kind": "Manual"})
    assert said(voice("a", "Clear"), voice("b", state), one=filed) == DetectionState(state)


def test_a_preset_and_the_ecs_event_of_the_same_name_are_one_voice() -> None:
    seen = incident(source={"kind": "EcsEvent", "name": "api", "condition": "error_rate"})
    assert said(voice("api", "Clear", kind="Preset"), one=seen) is CLEAR
    assert concerned_voices(seen, [voice("api", kind="Detector"), voice("api", kind="Preset")]) == [
        voice("api", kind="Preset")
    ]


def test_the_latest_firing_speaks_and_the_latest_clear() -> None:
    first = merge_voices(incident(), [opener("Firing", NOW), voice("b", "Firing", LATER, **OWNED)])
    last = merge_voices(incident(), [opener("Clear", NOW), voice("b", "Clear", LATER, **OWNED)])
    assert first
    assert last
    assert (first.since, last.since) == (max(NOW, LATER), max(NOW, LATER))


# Reports of alarms and alerts


def alarmed(*reports: tuple[str, str, datetime], source: str = "Alarm") -> Incident:
    """An incident of an alarm, with (source, state, at) of what was reported."""
    said_ = [{"source": {"kind": source, "name": name}, "state": state, "at": at} for name, state, at in reports]
    return incident(source={"kind": source, "name": "cpu-high"}, status={"reports": said_})


@pytest.mark.parametrize("source", ["Alarm", "Alertmanager"])
@pytest.mark.parametrize(
    ("reports", "state"),
    [
        ((), None),
        ((("cpu-high", "Firing", LATER),), FIRING),
        ((("cpu-high", "Clear", LATER),), CLEAR),
        ((("cpu-high", "Clear", EARLIER),), None),
        ((("cpu-high", "Clear", LATER), ("errors", "Firing", LATER)), FIRING),
        ((("cpu-high", "Clear", LATER), ("errors", "Clear", NOW)), CLEAR),
        ((("cpu-high", "Clear", LATER), ("errors", "Clear", EARLIER)), None),
    ],
)
def test_an_incident_of_an_alarm_is_judged_by_what_alarms_report(
    source: str, reports: tuple[tuple[str, str, datetime], ...], state: DetectionState | None
) -> None:
    assert said(one=alarmed(*reports, source=source)) == state


def test_measurements_that_never_fired_about_an_alarms_incident_do_not_hold_it_open() -> None:
    over = alarmed(("cpu-high", "Clear", LATER))
    assert said(voice("a", "Unknown"), voice("b", "Clear", EARLIER), one=over) is CLEAR
    assert said(voice("a", "Unknown", **OWNED), one=over) is UNKNOWN
    assert said(voice("a", "Firing", **OWNED), one=over) is FIRING


@given(
    reports=st.permutations([("a", "Clear", LATER), ("b", "Firing", NOW), ("c", "Clear", NOW)]),
    voices=st.permutations([opener("Clear"), voice("b", "Clear", **OWNED), voice("c", "Unknown")]),
    twice=st.booleans(),
)
def test_order_and_duplicates_make_no_difference(
    reports: list[tuple[str, str, datetime]], voices: list[Voice], twice: bool
) -> None:
    one = alarmed(*reports)
    assert said(*voices, *(voices if twice else ()), one=one) is FIRING
    calm = alarmed(*((name, "Clear", at) for name, _, at in reports))
    assert said(*voices, *(voices if twice else ()), one=calm) is CLEAR


states = st.sampled_from(["Firing", "Clear", "Unknown"])


@given(
    st.lists(st.tuples(states, st.integers(-90, 0), st.booleans()), min_size=1, max_size=5),
    st.sampled_from(["Manual", "Detector", "Alarm"]),
)
def test_clear_means_that_everybody_concerned_became_clear_after_it_began(
    spoken: list[tuple[str, int, bool]], kind: str
) -> None:
    voices = [
        voice(f"v{i}", state, NOW + minutes * MINUTE, **(OWNED if owned else {}))
        for i, (state, minutes, owned) in enumerate(spoken)
    ]
    one = incident(source={"kind": kind, "name": "gone"})
    merged = merge_voices(one, voices)
    concerned = [v.detection for v in concerned_voices(one, voices)]
    if merged and merged.state is CLEAR:
        spoken_up = [d for d in concerned if any(owned for _, _, owned in spoken) or d.state is not UNKNOWN]
        assert all(d.state is CLEAR and d.since > BEGUN for d in spoken_up)
    if any(d.state is FIRING for d in concerned):
        assert merged
        assert merged.state is FIRING


def test_the_longest_name_of_a_source_fits() -> None:
    source = IncidentSource(kind=SourceKind.ALARM, name="n" * 255)
    assert len(name_source(source)) <= 63
    assert said(one=alarmed(("n" * 255, "Clear", NOW - timedelta(seconds=1)))) is CLEAR


@pytest.mark.parametrize(
    ("voices", "state"), [((), UNKNOWN), ((voice("b", "Clear", **OWNED),), CLEAR), ((voice("b", **OWNED),), FIRING)]
)
def test_an_alarm_that_knows_no_more_leaves_it_to_those_who_measure(
    voices: tuple[Voice, ...], state: DetectionState
) -> None:
    report = {"source": {"kind": "Alarm", "name": "api-5xx"}, "state": "Unknown", "at": LATER}
    one = incident(source={"kind": "Alarm", "name": "api-5xx"}, status={"reports": [report]})
    assert said(*voices, one=one) is state
