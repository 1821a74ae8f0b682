"""Scaling a service whose count Application Auto Scaling owns: what is planned, asked, recognised and given back."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bokgu.api.meta import Gate, Target
from bokgu.api.observed import EcsService, ScalableTarget
from bokgu.api.recovery_plan import (
    Answer,
    AwsRequest,
    Before,
    Intent,
    OperationStatus,
    Preconditions,
    ScalableRange,
    Step,
)
from bokgu.api.vocabulary import Action, Level, OnFailure, OperationPhase, PlanPhase
from bokgu.core.actions.table import AWS_ACTIONS
from bokgu.core.approval.auto import judge_auto
from bokgu.core.giving_back import allowed_by
from bokgu.core.guards.chain import evaluate_gates, first_blocking
from bokgu.core.live_state import LiveState
from bokgu.core.planning import build_plan
from bokgu.core.planning_facts import NoPlan
from bokgu.core.preconditions import changed_precondition
from bokgu.core.runbooks import estimate_resolution
from bokgu.core.writes.scalable_target import register_request
from bokgu.core.writes.table import complete, find_change, write_of
from bokgu.core.writes.write import observe_before, unchanged
from tests.unit.facts import (
    ALICE,
    BOB,
    DIGEST,
    MINUTE,
    NOW,
    PLAN_UID,
    REJECT,
    VALIDATION,
    Raw,
    deploying,
    health_check,
    plan,
    protected_service,
    restart,
    revision_arn,
    runbook,
    scale_out,
    service,
    service_deployment_arn,
    tally,
)
from tests.unit.small_world import World
from tests.unit.test_approval_auto import OWN, policy, told
from tests.unit.test_guards import guard_facts
from tests.unit.test_planning import built, planning, read_back

TARGET = Target(region="us-east-1", cluster="arn:aws:ecs:us-east-1:123456789012:cluster/shop", service="api")
THREE_TO_TWELVE = ScalableTarget(3, 12)
FIVE_TO_TWELVE = ScalableTarget(5, 12)
NAMES = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/shop/api",
    "ScalableDimension": "ecs:service:DesiredCount",
}


def raise_minimum(to: int = 5, maximum: int | None = None, **fields: Any) -> Raw:
    parameters = {"desiredCount": to, "minCapacity": to} | ({} if maximum is None else {"maxCapacity": maximum})
    return scale_out(to, **{"parameters": parameters, **fields})


def wait(duration: str = "30m", *, calm: bool = True, timeout: str = "75m", **fields: Any) -> Raw:
    parameters = {"duration": duration} | ({"calm": True} if calm else {})
    named = {"name": "calm", "action": "wait", "parameters": parameters, "timeout": timeout, "onFailure": "Stop"}
    return named | fields


def scale_in(desired: int | None = None, *, minimum: int | None = None, **fields: Any) -> Raw:
    parameters = {"desiredCount": desired, "minCapacity": minimum}
    given = {name: value for name, value in parameters.items() if value is not None}
    named = {"name": "scale-in", "action": "scale_in", "parameters": given, "timeout": "30m", "onFailure": "Stop"}
    return named | fields


KNOWN = {
    "serviceRevisionArn": revision_arn(2),
    "serviceDeploymentArn": service_deployment_arn(2),
    "desiredCount": 3,
    "rootCause": "TrafficSurge",
    "scalableTarget": {"minCapacity": 3, "maxCapacity": 12},
}
GIVES_BACK = (raise_minimum(), wait(), scale_in(minimum=3))


def asked(raw: Raw, live: LiveState) -> tuple[str, str, Raw]:
    """Service, operation and arguments of the request that a step asks for."""
    step = Step.model_validate(raw)
    request = AWS_ACTIONS[step.action].ask(step, live, TARGET).request
    return request.service, request.operation, json.loads(request.arguments)


def live(target: ScalableTarget | None = THREE_TO_TWELVE, ecs: EcsService | None = None) -> LiveState:
    return LiveState(ecs or service(), scalable_target=target)


# What is asked of AWS


def test_where_auto_scaling_owns_the_count_its_minimum_is_raised() -> None:
    registered = ("application-autoscaling", "RegisterScalableTarget")
    assert asked(raise_minimum(), live()) == (*registered, {**NAMES, "MinCapacity": 5})
    assert asked(raise_minimum(14, 14), live()) == (*registered, {**NAMES, "MinCapacity": 14, "MaxCapacity": 14})
    assert asked(scale_in(minimum=3), live(FIVE_TO_TWELVE)) == (*registered, {**NAMES, "MinCapacity": 3})


def test_a_scale_in_without_auto_scaling_sets_the_count() -> None:
    service_names = {"cluster": TARGET.cluster, "service": "api"}
    assert asked(scale_in(2), live(None)) == ("ecs", "UpdateService", {**service_names, "desiredCount": 2})


@pytest.mark.parametrize("step", [raise_minimum(), scale_in(minimum=3), scale_in(), scale_in(parameters=None)])
def test_s4_no_request_brings_auto_scaling_in_or_says_too_little(step: Raw) -> None:
    with pytest.raises(ValueError, match=r"scalable target|needs"):
        asked(step, live(None))


@pytest.mark.parametrize("step", [raise_minimum(), scale_in(minimum=3)])
def test_nothing_takes_a_change_of_the_count_back(step: Raw) -> None:
    one = Step.model_validate(step)
    with pytest.raises(ValueError, match="nothing takes"):
        AWS_ACTIONS[one.action].ask_undo(one, intent(register_request(TARGET, 5)), live(), TARGET)


# How the effect is recognised


def intent(request: AwsRequest, before: LiveState | None = None) -> Intent:
    return Intent(
        token="p-1-1",
        attempt=1,
        plan_uid=PLAN_UID,
        digest=DIGEST,
        request=request,
        before=observe_before(before or live()),
        holder="operator-1",
        written_at=NOW,
    )


def registered(minimum: int = 5, maximum: int | None = None) -> OperationStatus:
    """The range was 3 to 12 and has been set."""
    made = intent(register_request(TARGET, minimum, maximum))
    return OperationStatus(intent=made, answer=Answer(at=NOW, result="Accepted"))


@pytest.mark.parametrize(
    ("asked_for", "now", "seen"),
    [
        ((5, None), THREE_TO_TWELVE, False),
        ((5, None), FIVE_TO_TWELVE, True),
        ((5, None), ScalableTarget(5, 14), False),
        ((5, None), ScalableTarget(4, 12), False),
        ((5, None), None, False),
        ((14, 14), ScalableTarget(14, 14), True),
        ((14, 14), ScalableTarget(14, 15), False),
        ((3, None), THREE_TO_TWELVE, False),
    ],
)
def test_s3_a_range_is_recognised_against_what_was_before(
    asked_for: tuple[int, int | None], now: ScalableTarget | None, seen: bool
) -> None:
    request = register_request(TARGET, *asked_for)
    effect = write_of(request).find_effect(intent(request), live(now, deploying(3, 2)))
    assert (effect.seen, effect.ambiguous) == (seen, False)


def test_s3_a_range_may_be_set_again() -> None:
    assert write_of(register_request(TARGET, 5)).repeatable


@pytest.mark.parametrize(
    ("now", "change"),
    [
        (FIVE_TO_TWELVE, None),
        (THREE_TO_TWELVE, "is 3 to 12, not the 5 to 12"),
        (ScalableTarget(5, 10), "is 5 to 10, not the 5 to 12"),
        (ScalableTarget(5, 12, ("DynamicScalingIn",)), None),
        (None, "does not own"),
    ],
)
def test_s4_only_the_range_is_held_not_the_tasks_within_it(now: ScalableTarget | None, change: str | None) -> None:
    found = find_change(registered(), live(now, service(desired=9)))
    assert (found is None) == (change is None)
    assert found is None or (found.foreign and change and change in found.message)


@pytest.mark.parametrize(
    ("ecs", "done"),
    [
        (service(desired=5), True),
        (service(desired=7), True),
        (service(desired=5, running=4), False),
        (service(desired=3), False),
    ],
)
def test_a_raised_minimum_is_complete_when_that_many_tasks_run(ecs: EcsService, done: bool) -> None:
    assert complete(registered(), live(FIVE_TO_TWELVE, ecs)) is done


def test_the_output_says_the_range_before_and_now() -> None:
    operation = registered(14, 14)
    assert operation.intent
    said = write_of(operation.intent.request).describe(operation, live(ScalableTarget(14, 14), service(desired=14)))
    assert said.startswith("range of Application Auto Scaling 3 to 12 → 14 to 14; 14/14 tasks running")


def test_s4_another_range_is_a_changed_world() -> None:
    before = observe_before(live())
    assert unchanged(before, live())
    for other in (FIVE_TO_TWELVE, ScalableTarget(3, 12, ("ScheduledScaling",)), None):
        assert not unchanged(before, live(other))


def test_an_intent_that_was_stored_before_ranges_were_known_still_compares() -> None:
    stored = observe_before(live(None)).to_dict()
    assert "scalableTarget" not in stored
    assert unchanged(Before.model_validate(stored), live(None))


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        (THREE_TO_TWELVE, None),
        (ScalableTarget(3, 14), "the range of Application Auto Scaling was 3 to 12, is 3 to 14"),
        (ScalableTarget(3, 12, ("DynamicScalingIn",)), "is 3 to 12 without DynamicScalingIn"),
        (None, "the range of Application Auto Scaling was 3 to 12, is None"),
    ],
)
def test_s4_a_range_that_changed_is_named(now: ScalableTarget | None, changed: str | None) -> None:
    found = changed_precondition(Preconditions.model_validate(KNOWN), live(now))
    assert found == changed or (found and changed and changed in found)


# Gates


def gate(name: str, **changes: Any) -> Gate:
    return next(g for g in evaluate_gates(guard_facts(**changes)) if g.name == name)


def running_plan(*steps: Raw, last: int = 0, **fields: Any) -> dict[str, Any]:
    """Facts of a plan that runs, at one of its steps."""
    made = plan(*steps, preconditions=KNOWN, status={"startedAt": NOW, **fields})
    return {"plan": made, "step": made.spec.steps[last]}


def raised(minimum: int = 3) -> Raw:
    """Status of a plan whose first step raised a minimum that was so before."""
    operation = OperationStatus(
        intent=intent(register_request(TARGET, 5), live(ScalableTarget(minimum, 12))),
        answer=Answer(at=NOW, result="Accepted"),
    )
    return {"name": "scale-out", **operation.to_dict()}


@pytest.mark.parametrize(
    ("count", "target", "step", "passes"),
    [
        (3, THREE_TO_TWELVE, raise_minimum(), True),
        (12, THREE_TO_TWELVE, raise_minimum(13, 13), True),
        (0, ScalableTarget(0, 12), raise_minimum(), False),
        (0, THREE_TO_TWELVE, raise_minimum(), False),
        (2, THREE_TO_TWELVE, raise_minimum(), False),
        (13, THREE_TO_TWELVE, raise_minimum(14, 14), False),
        (3, ScalableTarget(3, 4), raise_minimum(), False),
        (3, ScalableTarget(3, 4), raise_minimum(5, 5), True),
        (3, ScalableTarget(3, 8), raise_minimum(5, 7), False),
        (0, FIVE_TO_TWELVE, scale_in(minimum=3), False),
        (4, FIVE_TO_TWELVE, scale_in(minimum=3), False),
        (5, FIVE_TO_TWELVE, scale_in(minimum=3), True),
        (0, THREE_TO_TWELVE, restart(), True),
    ],
)
def test_s11_a_range_is_never_set_around_a_count_outside_of_it(
    count: int, target: ScalableTarget, step: Raw, passes: bool
) -> None:
    """Fact 17: any call pulls the count into the range; a service that a human set to zero would come back."""
    found = gate("CountInRange", service=service(desired=count), scalable_target=target, **running_plan(step))
    assert found.passed is passes


@pytest.mark.parametrize(
    ("target", "step", "passes"),
    [
        (None, scale_out(), True),
        (THREE_TO_TWELVE, scale_out(), False),
        (THREE_TO_TWELVE, scale_in(2), False),
        (THREE_TO_TWELVE, raise_minimum(), True),
        (None, raise_minimum(), False),
        (None, scale_in(minimum=3), False),
        (None, scale_in(2), True),
        (THREE_TO_TWELVE, restart(), True),
    ],
)
def test_s4_a_count_is_never_set_beside_auto_scaling_nor_a_range_without_it(
    target: ScalableTarget | None, step: Raw, passes: bool
) -> None:
    found = gate("CountOwner", scalable_target=target, **running_plan(step))
    assert found.passed is passes
    assert passes or found.reason == "AnotherOwner"


@pytest.mark.parametrize(("step", "passes"), [(raise_minimum(5), True), (raise_minimum(5, 7), False)])
def test_s11_neither_minimum_nor_maximum_goes_above_what_the_service_allows(step: Raw, passes: bool) -> None:
    protected = protected_service(limits={"maxDesiredCount": 5})
    found = gate("WithinLimits", protected_service=protected, scalable_target=THREE_TO_TWELVE, **running_plan(step))
    assert found.passed is passes


@pytest.mark.parametrize(
    ("steps", "status", "passes"),
    [
        (GIVES_BACK, [raised()], True),
        ((raise_minimum(), wait(), scale_in(minimum=2)), [raised()], False),
        (GIVES_BACK, [raised(2)], False),
        (GIVES_BACK, [], False),
        (GIVES_BACK, [{"name": "scale-out"}], False),
        ((wait(), scale_in(minimum=3)), [], False),
    ],
)
def test_s11_a_minimum_is_given_back_to_exactly_what_this_plan_found(
    steps: tuple[Raw, ...], status: list[Raw], passes: bool
) -> None:
    known = running_plan(*steps, last=-1, steps=status)
    five = {"service": service(desired=5), "scalable_target": FIVE_TO_TWELVE}
    assert gate("ScaleInFloor", **known, **five).passed is passes


@pytest.mark.parametrize(
    ("count", "ours", "passes"),
    [(4, False, True), (1, False, True), (5, False, False), (3, True, True), (2, True, False)],
)
def test_s11_a_scale_in_leaves_a_task_and_what_was_there_before_ours(count: int, ours: bool, passes: bool) -> None:
    before = intent(AwsRequest(service="ecs", operation="UpdateService", arguments='{"desiredCount":5}'), live(None))
    done = OperationStatus(intent=before, answer=Answer(at=NOW, result="Accepted")).to_dict()
    known = running_plan(scale_out(), scale_in(count), last=-1, steps=[{"name": "scale-out", **(done if ours else {})}])
    assert gate("ScaleInFloor", service=service(desired=5), **known).passed is passes


@pytest.mark.parametrize("minimum", [0, -1])
def test_s11_nothing_is_scaled_in_to_zero_by_a_count(minimum: int) -> None:
    with pytest.raises(ValueError, match="desiredCount"):
        plan(scale_in(minimum))


@pytest.mark.parametrize(("step", "mitigated", "passes"), [
    (scale_in(2), True, True), (scale_in(2), False, False), (scale_out(), False, True),
])  # fmt: skip
def test_nothing_is_scaled_in_while_the_trouble_lasts(step: Raw, mitigated: bool, passes: bool) -> None:
    assert gate("TroubleGone", mitigated=mitigated, **running_plan(step)).passed is passes


def test_a_plan_that_only_scales_in_is_needed_when_the_trouble_has_gone() -> None:
    made = plan(scale_in(2))
    protected = protected_service(allowedActions=["scale_in"])
    facts = guard_facts(plan=made, step=made.spec.steps[0], mitigated=True, protected_service=protected)
    assert first_blocking(evaluate_gates(facts)) is None


# Who allows giving back


@pytest.mark.parametrize(
    ("steps", "allowed"),
    [
        (GIVES_BACK, Action.SCALE_OUT),
        ((raise_minimum(), scale_in(minimum=2)), Action.SCALE_IN),
        ((scale_out(), scale_in(minimum=3)), Action.SCALE_IN),
        ((scale_out(), scale_in(3)), Action.SCALE_IN),
        ((scale_in(minimum=3), raise_minimum()), Action.SCALE_IN),
    ],
)
def test_s1_only_what_the_same_plan_raised_is_given_back_under_scale_out(
    steps: tuple[Raw, ...], allowed: Action
) -> None:
    made = plan(*steps, preconditions=KNOWN)
    step = next(s for s in made.spec.steps if s.action is Action.SCALE_IN)
    assert allowed_by(made, step) is allowed
    found = gate(
        "ActionAllowed", protected_service=protected_service(allowedActions=["scale_out"]), plan=made, step=step
    )
    assert found.passed is (allowed is Action.SCALE_OUT)


@pytest.mark.parametrize(("last", "granted"), [(scale_in(minimum=3), True), (scale_in(3), False)])
def test_s1_a_policy_that_names_scale_out_starts_its_giving_back_too(last: Raw, granted: bool) -> None:
    made = plan(raise_minimum(), wait(), last, preconditions=KNOWN)
    verdict = judge_auto(
        made,
        plans=(made,),
        policy=policy({"service": "api", "action": "scale_out", "rootCause": "TrafficSurge"}),
        protected_service=protected_service(mode="Auto"),
        incident=told(OWN, rootCause="TrafficSurge"),
        enabled=True,
        hour=60 * MINUTE,
        now=NOW,
    )
    assert verdict
    assert verdict.granted is granted, verdict.message


# What is planned


def test_without_auto_scaling_nothing_is_added() -> None:
    made = built()
    assert [s.action for s in made.spec.steps] == [Action.HEALTH_CHECK, Action.SCALE_OUT]
    assert made.spec.preconditions.scalable_target is None


def test_with_auto_scaling_the_minimum_is_raised_and_given_back_after_calm() -> None:
    made = read_back(built(scalable_target=THREE_TO_TWELVE))
    _, raising, waiting, giving = made.spec.steps
    assert raising.parameters
    assert waiting.parameters
    assert giving.parameters
    assert raising.parameters.to_dict() == {"desiredCount": 5, "minCapacity": 5}
    assert "its minimum is raised to 5, and given back when the trouble has stayed away for 30m" in str(
        raising.description
    )
    assert (waiting.action, waiting.parameters.to_dict()) == (Action.WAIT, {"duration": "30m", "calm": True})
    assert (waiting.timeout, waiting.on_failure, waiting.validation) == ("1h15m", OnFailure.STOP, None)
    assert (giving.action, giving.parameters.to_dict()) == (Action.SCALE_IN, {"minCapacity": 3})
    assert (giving.on_failure, giving.validation, giving.rollback) == (OnFailure.STOP, None, None)
    assert made.spec.preconditions.scalable_target == ScalableRange(min_capacity=3, max_capacity=12)
    assert made.spec.estimated_total_duration == "48m"
    assert allowed_by(made, giving) is Action.SCALE_OUT
    assert any("scale in while load comes back" in risk.description for risk in made.spec.risks)
    assert any("a scheduled action" in risk.description for risk in made.spec.risks)


def test_s11_a_maximum_is_raised_only_in_plain_words_and_nothing_is_given_back() -> None:
    made = read_back(built(scalable_target=ScalableTarget(3, 3, ("DynamicScalingIn",))))
    _, raising = made.spec.steps
    assert raising.parameters
    assert raising.parameters.to_dict() == {"desiredCount": 5, "minCapacity": 5, "maxCapacity": 5}
    said = "its maximum is raised from 3 to 5 and its minimum from 3 to 5; both stay so until people lower them"
    assert said in str(raising.description)
    assert "(DynamicScalingIn suspended)" in str(raising.description)
    risk = next(r for r in made.spec.risks if "maximum" in r.description)
    assert "raised from 3 to 5" in risk.description
    assert "until people lower them" in risk.description
    assert risk.probability is Level.HIGH


@pytest.mark.parametrize(
    ("desired", "target"), [(3, ScalableTarget(4, 12)), (9, ScalableTarget(1, 8)), (3, ScalableTarget(0, 2))]
)
def test_a_count_outside_of_the_range_is_somebodys_wish(desired: int, target: ScalableTarget) -> None:
    no = build_plan(planning(service=service(desired=desired), scalable_target=target))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("OutsideRange", True)


def test_s4_who_owns_the_count_must_be_known() -> None:
    no = build_plan(planning(scaling_unread="DescribeScalableTargets: AccessDenied: no"))
    assert isinstance(no, NoPlan)
    assert (no.reason, no.wait) == ("ScalingUnknown", True)


@pytest.mark.parametrize(("watch", "waits"), [("0s", "1s"), ("90m", "1h30m"), ("99h", "24h")])
def test_s12_the_calm_that_is_waited_for_keeps_to_what_a_plan_may_wait(watch: str, waits: str) -> None:
    protected = protected_service(detection={"relapseWatch": watch})
    parameters = built(scalable_target=THREE_TO_TWELVE, protected_service=protected).spec.steps[2].parameters
    assert parameters
    assert parameters.duration == waits


def test_s12_a_runbook_too_long_for_what_is_added_makes_no_plan() -> None:
    looks = [{"name": f"look-{n}", "action": "health_check"} for n in range(14)]
    for more, reason in ([], None), ([{"name": "look-again", "action": "health_check"}], "TooManySteps"):
        long = runbook(steps=[*looks[:13], *more, {"name": "more", "action": "scale_out"}])
        made = build_plan(planning(runbooks=(long,), scalable_target=THREE_TO_TWELVE))
        assert (made.reason if isinstance(made, NoPlan) else None) == reason
    taken = runbook(steps=[{"name": "more", "action": "scale_out"}, {"name": "more-calm", "action": "health_check"}])
    no = build_plan(planning(runbooks=(taken,), scalable_target=THREE_TO_TWELVE))
    assert isinstance(no, NoPlan)
    assert no.reason == "StepNameTaken"


def test_the_longest_step_name_leaves_room_for_what_is_added() -> None:
    long = runbook(steps=[{"name": "s" * 63, "action": "scale_out"}])
    made = read_back(built(runbooks=(long,), scalable_target=THREE_TO_TWELVE))
    assert [s.name[-6:] for s in made.spec.steps[1:]] == ["s-calm", "e-back"]


def test_a_runbook_may_wait() -> None:
    waits = {"name": "settle", "action": "wait", "parameters": {"duration": "10m"}}
    ours = runbook(steps=[waits, {"name": "more", "action": "scale_out"}])
    step = built(runbooks=(ours,)).spec.steps[0]
    assert (step.action, step.timeout, step.estimated_duration) == (Action.WAIT, "25m", "10m")
    assert step.required_resources == ()
    assert estimate_resolution(ours) == 25 * MINUTE
    asked_longer = runbook(steps=[waits | {"timeout": "1m"}, {"name": "more", "action": "scale_out"}])
    assert built(runbooks=(asked_longer,)).spec.steps[0].timeout == "10m"


# How it runs


def surge(*steps: Raw, target: ScalableTarget = THREE_TO_TWELVE) -> World:
    """A world whose plan has begun on a service that Application Auto Scaling owns."""
    known = {**KNOWN, "scalableTarget": {"minCapacity": target.minimum, "maxCapacity": target.maximum}}
    world = World(plan(*(steps or GIVES_BACK), preconditions=known), scalable=target)
    world.until_sent()
    world.settle()
    return world


def calm(world: World, since: timedelta | None) -> None:
    """The trouble is gone since then, or there."""
    gone = None if since is None else NOW + since
    status = world.incident.status.model_copy(update={"mitigated_at": gone})
    world.incident = world.incident.model_copy(update={"status": status})


def step_to(world: World, index: int) -> None:
    """Passes until the plan is at that step."""
    for _ in range(200):
        if world.over or any(s.started_at for s in world.status.steps[index:]):
            return
        world.now += world.do().requeue_after or timedelta()
    raise AssertionError(world.status.to_dict())


def waiting() -> World:
    """The minimum is raised and stands, and calm is waited for."""
    world = surge()
    step_to(world, 1)
    return world


def test_the_minimum_is_raised_and_given_back_after_calm() -> None:
    world = waiting()
    assert world.scalable == FIVE_TO_TWELVE
    assert world.ecs.desired_count == 5
    calm(world, timedelta(minutes=1))
    world.until(PlanPhase.COMPLETED)
    assert [json.loads(s.request.arguments)["MinCapacity"] for s in world.effects] == [5, 3]
    assert world.scalable == THREE_TO_TWELVE
    assert world.ecs.desired_count == 5
    assert world.now >= NOW + timedelta(minutes=31)


def test_a_deployment_during_the_calm_does_not_keep_the_minimum_up() -> None:
    world = waiting()
    calm(world, timedelta(minutes=1))
    world.do()
    world.deploy()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert world.scalable == THREE_TO_TWELVE


def test_the_plans_own_range_is_no_surprise_for_its_next_step() -> None:
    world = surge(raise_minimum(), restart())
    world.until_sent()
    assert [s.request.operation for s in world.effects] == ["RegisterScalableTarget", "UpdateService"]


@pytest.mark.parametrize("other", [ScalableTarget(4, 12), ScalableTarget(5, 20), THREE_TO_TWELVE, None])
def test_s4_a_range_that_somebody_has_set_since_is_not_fought(other: ScalableTarget | None) -> None:
    world = waiting()
    calm(world, timedelta(minutes=1))
    world.do()
    world.scalable = other
    world.until(PlanPhase.FAILED)
    assert len(world.effects) == 1
    assert (world.status.reason, world.scalable) == ("ForeignChange", other)
    assert "not given back" in str(world.status.steps[2].output)


def test_s3_a_lost_answer_is_settled_by_the_range() -> None:
    world = World(plan(raise_minimum(), preconditions=KNOWN), scalable=THREE_TO_TWELVE, fate="lost")
    world.until_sent()
    world.crash()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert len(world.effects) == 1
    answer = world.status.steps[0].answer
    assert answer
    assert answer.result == "Adopted"


def test_s3_a_range_that_never_arrived_is_asked_again_after_the_delay() -> None:
    world = World(plan(raise_minimum(), preconditions=KNOWN), scalable=THREE_TO_TWELVE, fate="never")
    world.until_sent()
    world.crash()
    world.fate = "accepted"
    for _ in range(30):
        world.now += world.do().requeue_after or timedelta()
    world.settle()
    world.until(PlanPhase.COMPLETED)
    assert len(world.effects) == 1
    assert world.now >= NOW + 5 * MINUTE


def test_s4_a_range_that_changed_before_the_start_cancels() -> None:
    world = World(plan(*GIVES_BACK, preconditions=KNOWN), scalable=ScalableTarget(2, 12))
    world.until(PlanPhase.CANCELLED)
    assert (world.status.reason, world.sent) == ("PreconditionChanged", [])


def test_s4_a_range_that_changes_between_intent_and_send_is_not_overwritten() -> None:
    world = World(plan(*GIVES_BACK, preconditions=KNOWN), scalable=THREE_TO_TWELVE)
    world.until_intent()
    world.scalable = ScalableTarget(4, 12)
    world.until(PlanPhase.FAILED, PlanPhase.CANCELLED)
    assert world.sent == []


def test_a_scheduled_action_that_overwrites_the_range_is_a_foreign_change() -> None:
    world = surge(raise_minimum(validation=VALIDATION))
    world.scalable = ScalableTarget(1, 12)
    world.now += 6 * MINUTE
    world.until(PlanPhase.FAILED)
    assert world.status.reason == "ForeignChange"


def test_s11_a_raised_minimum_that_did_not_help_is_kept_and_said() -> None:
    world = World(plan(raise_minimum(validation=VALIDATION), preconditions=KNOWN), scalable=THREE_TO_TWELVE)
    world.error_rate = 0.5
    world.until_sent()
    world.settle()
    world.until(PlanPhase.FAILED)
    assert (world.status.reason, len(world.effects), world.scalable) == ("VerificationFailed", 1, FIVE_TO_TWELVE)
    assert str(world.status.steps[0].output).endswith("not taken back while the incident is open")
    assert world.status.steps[0].rollback is None


def test_s11_an_owner_that_came_since_the_plan_was_made_blocks_a_plain_count() -> None:
    world = World(plan(scale_out()), scalable=THREE_TO_TWELVE)
    world.do()
    assert (world.status.phase, world.status.reason, world.sent) == (PlanPhase.APPROVED, "AnotherOwner", [])


# Waiting


def test_trouble_that_comes_back_while_calm_is_waited_for_ends_the_plan() -> None:
    world = waiting()
    calm(world, timedelta(minutes=1))
    world.now += world.do().requeue_after or timedelta()
    assert world.status.phase is PlanPhase.VERIFYING
    assert world.status.steps[1].output == "calm since 2026-11-24T08:01:00Z, for 30m"
    calm(world, None)
    world.until(PlanPhase.FAILED)
    assert (world.status.reason, world.scalable, len(world.effects)) == ("TroubleBack", FIVE_TO_TWELVE, 1)
    assert "has come back" in str(world.status.steps[1].output)
    assert world.status.steps[2].phase is OperationPhase.PENDING


def test_calm_begins_anew_with_the_end_of_trouble_that_nobody_saw() -> None:
    world = waiting()
    calm(world, timedelta(minutes=1))
    world.do()
    calm(world, timedelta(minutes=20))
    world.until(PlanPhase.COMPLETED)
    assert world.now >= NOW + 50 * MINUTE


def test_calm_counts_from_when_it_is_waited_for() -> None:
    world = waiting()
    begun = world.status.steps[1].started_at
    calm(world, -60 * MINUTE)
    world.until(PlanPhase.COMPLETED)
    assert begun
    assert world.now >= begun + 30 * MINUTE


def test_calm_that_never_comes_is_not_waited_for_for_ever() -> None:
    world = waiting()
    begun = world.status.steps[1].started_at
    world.until(PlanPhase.FAILED)
    assert begun
    assert (world.status.reason, world.status.steps[1].output) == ("Timeout", "the trouble is not seen to be gone yet")
    assert world.now >= begun + 75 * MINUTE
    assert len(world.effects) == 1


def test_a_person_stops_a_wait() -> None:
    world = waiting()
    calm(world, timedelta(minutes=1))
    world.do()
    world.tally = tally(ALICE, BOB, REJECT)
    world.until(PlanPhase.FAILED)
    assert (world.status.reason, len(world.effects)) == ("Rejected", 1)


def test_a_plain_wait_lasts_as_long_as_it_says_whatever_the_trouble_does() -> None:
    world = World(plan(health_check(), wait("10m", calm=False, timeout="15m"), scale_out()))
    step_to(world, 2)
    assert world.now == NOW + 10 * MINUTE
    assert world.status.steps[1].output == "waited since 2026-11-24T08:00:00Z, for 10m"


def test_waiting_changes_its_status_only_when_there_is_news() -> None:
    world = waiting()
    calm(world, timedelta(minutes=1))
    world.do()
    before = world.status
    world.now += 5 * MINUTE
    world.do()
    assert world.status == before


def test_trouble_that_lasts_between_the_calm_and_its_end_blocks_the_scale_in() -> None:
    world = World(plan(wait("10m", calm=False, timeout="15m"), scale_in(2)))
    world.protected = protected_service(allowedActions=["scale_in"])
    calm(world, timedelta())
    world.do()
    for _ in range(5):
        world.do()
    calm(world, None)
    world.now += 12 * MINUTE
    for _ in range(5):
        world.do()
    assert (world.status.reason, world.sent) == ("TroubleLasts", [])
    calm(world, timedelta(minutes=12))
    world.until_sent()
    assert replace(world.ecs, running_count=2).desired_count == 2
