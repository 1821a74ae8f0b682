"""Two shards: each object is somebody's, nobody's twice, also while a service moves from one to the other."""

import json
from typing import Any

import pytest

from tests.faults.play import PATIENCE, Play
from tests.faults.trial import END
from tests.ha.replicas import LEADS, Replicas
from tests.world.world import wait_for

LABEL = "bokgu.dev/shard"
SCALE_OUT = {"action": "scale_out", "parameters": {"desiredCount": 5}}


def move(lane: Replicas, name: str, shard: str | None) -> None:
    """Give the ProtectedService another label, or none."""
    place = ("bokgu.dev", "v1alpha1", lane.name, "protectedservices", name)
    body = {"metadata": {"labels": {LABEL: shard}}}
    lane._objects.patch_namespaced_custom_object(*place, body)


def shard_label(body: dict[str, Any]) -> str | None:
    found: str | None = body["metadata"].get("labels", {}).get(LABEL)
    return found


def holder(lane: Replicas, play: Play) -> str | None:
    """The replica that stored the intent of the step."""
    intent = play.plan()["status"]["steps"][0]["intent"]
    return next((name for name in lane.names if f"-{lane.process(name).pid}-" in intent["holder"]), None)


def sent_by(lane: Replicas, name: str, token: str) -> int:
    """How often a replica says that it sent something with that token."""
    lines = (lane.world.directory / f"{name}.log").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{") and token in line]
    return sum(line["event"] == "aws write sent" and line.get("token") == token for line in said)


@pytest.fixture(autouse=True)
def _both_lead(shards: Replicas) -> None:
    for name in shards.names:
        wait_for(lambda n=name: shards.world.readiness(n) == LEADS, 60, lambda n=name: shards.explain(n))  # type: ignore[misc]  # mypy does not infer the default


@pytest.mark.timeout(300)
def test_each_service_is_recovered_by_its_shard_and_by_no_other(shards: Replicas) -> None:
    default, eu = shards.names
    plays = {default: Play(shards, "of-default"), eu: Play(shards, "of-eu")}
    try:
        for name, play in plays.items():
            play.create_service()
            if name == eu:
                move(shards, play.name, "eu")
        for play in plays.values():
            play.file_incident()
            play.file_plan(SCALE_OUT)
        for name, play in plays.items():
            play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
            play.approve()
            play.wait("the end", play.over, END)
            token = play.plan()["status"]["steps"][0]["intent"]["token"]
            assert holder(shards, play) == name
            assert [sent_by(shards, one, token) for one in shards.names] == [name == default, name == eu]
            assert (len(play.writes()), play.find_untruths()) == (1, [])
            label = "eu" if name == eu else None
            assert (shard_label(play.plan()), shard_label(play.incident())) == (label, label)
    finally:
        for play in plays.values():
            play.close()


@pytest.mark.timeout(300)
def test_s5_a_service_that_moves_in_the_middle_of_its_recovery_is_handed_over(shards: Replicas) -> None:
    default, eu = shards.names
    play = Play(shards, "moves")
    try:
        play.create_service()
        move(shards, play.name, "eu")
        play.file_incident()
        play.file_plan(SCALE_OUT)
        play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
        trap = shards.aws_calls.set_trap(lambda call: call.writes and play.concerns(call))
        play.approve()
        assert trap.wait(PATIENCE) is not None
        assert holder(shards, play) == eu
        move(shards, play.name, None)
        play.wait("the label follows", lambda: shard_label(play.plan()) is None, PATIENCE)
        trap.let_go()
        play.wait("the end", play.over, END)
        token = play.plan()["status"]["steps"][0]["intent"]["token"]
        assert [sent_by(shards, name, token) for name in (default, eu)] == [0, 1]
        assert (play.plan()["status"]["phase"], len(play.writes()), play.find_untruths()) == ("Completed", 1, [])
    finally:
        play.close()


@pytest.mark.timeout(300)
def test_s5_a_service_that_goes_to_and_fro_is_recovered_once(shards: Replicas) -> None:
    play = Play(shards, "to-and-fro")
    try:
        play.create_service()
        play.file_incident()
        play.file_plan(SCALE_OUT)
        play.wait("the plan awaits approval", play.awaits_approval, PATIENCE)
        play.approve()
        turn = 0

        def over() -> bool:
            nonlocal turn
            turn += 1
            if turn <= 20:
                move(shards, play.name, "eu" if turn % 2 else None)
            return play.over()

        play.wait("the end", over, END)
        assert (play.plan()["status"]["phase"], len(play.writes()), play.find_untruths()) == ("Completed", 1, [])
    finally:
        play.close()
