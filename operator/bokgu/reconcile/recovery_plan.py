"""A pass over a RecoveryPlan: gather, let `core.execution` decide, apply its one effect or write its status."""

import time
from dataclasses import replace
from datetime import timedelta

from bokgu.api.fields import bounded
from bokgu.api.incident import Incident, IncidentPlan
from bokgu.api.meta import Target, UidReference
from bokgu.api.observed import AwsError
from bokgu.api.phases import is_settled
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import FINALIZER, Answer, OperationStatus, RecoveryPlan, RecoveryPlanStatus
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.aws.client import PASSING
from bokgu.aws.sending import send_request
from bokgu.core.approval.auto import enter_start
from bokgu.core.execution import decide
from bokgu.core.guards.chain import evaluate_namespace_gates, first_blocking
from bokgu.core.operation import FRESH, LEASE_NOT_HELD, forget_intent, hold_unsent, record_answer
from bokgu.core.plan_facts import (
    Claim,
    HoldPlan,
    PlanFacts,
    ReleaseService,
    Send,
    guard_facts,
)
from bokgu.core.recoveries import may_go
from bokgu.kube.client import Raw
from bokgu.reconcile.announcing import announce_plan
from bokgu.reconcile.approvals import know_policies
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.counting import count_plan
from bokgu.reconcile.decisions import log_not_held, log_plan, log_sent, log_unanswered
from bokgu.reconcile.plan_facts import SEND_WITHIN, gather_facts
from bokgu.reconcile.surroundings import find_begun_lately, look_around_plan


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Take the plan one move further."""
    raw = context.objects.get(key)
    if raw is None or (context.tracing is None and is_settled(key[0], raw)):
        return None
    plan = context.parse(RecoveryPlan, raw)
    if plan.status.phase.terminal:
        if plan.status.observed_generation not in {None, plan.metadata.generation}:
            # Who has changed the spec, and waits for it, is not kept waiting.
            seen = plan.status.model_copy(update={"observed_generation": plan.metadata.generation})
            await context.write_status(RecoveryPlan, raw, seen)
            return timedelta()
        _trace(context, plan)
        await _let_go(context, raw, plan)
        return None
    facts = await gather_facts(context, raw, plan)
    outcome = decide(plan, facts)
    match outcome.effect:
        case HoldPlan():
            await _hold(context, raw)
            return timedelta()
        case Claim() as claim:
            await _claim(context, plan, claim, facts)
            return timedelta()
        case ReleaseService():
            await _release_service(context, plan)
            return timedelta()
        case Send() as send:
            status = await _send(context, outcome.status, send, facts)
            if await context.write_status(RecoveryPlan, raw, status):
                log_plan(plan, status)
            _trace(context, plan, status)
            await announce_plan(context, plan, status)
            return context.settings.step_poll
    intended = _tokens(outcome.status) - _tokens(plan.status)
    if intended and time.monotonic() >= context.send_by():
        log_not_held(intended)
        return context.settings.step_poll
    if await context.write_status(RecoveryPlan, raw, outcome.status):
        for token in intended:
            context.unsent[token] = time.monotonic()
        count_plan(context, plan, outcome.status)
        log_plan(plan, outcome.status)
        if (outcome.status.started_at, outcome.status.finished_at) != (plan.status.started_at, plan.status.finished_at):
            context.surveys.pop(plan.metadata.namespace, None)  # A failure may have opened the breaker.
            context.enqueue((RecoveryPolicy.plural, plan.metadata.namespace, POLICY_NAME))  # Its budget has changed.
        await announce_plan(context, plan, outcome.status)
    _trace(context, plan, outcome.status)
    return timedelta() if outcome.status.phase.terminal else outcome.requeue_after


def _trace(context: Context, plan: RecoveryPlan, new: RecoveryPlanStatus | None = None) -> None:
    """Tell of what is over, to whom traces go."""
    if context.tracing is not None:
        raw = context.objects.get((Incident.plural, plan.metadata.namespace, plan.spec.incident_ref.name))
        incidents = context.readable(Incident, [raw] if raw else [])
        bound = next((i for i in incidents if i.metadata.uid == plan.spec.incident_ref.uid), None)
        context.tracing.tell_plan(plan, new, bound)


async def _claim(context: Context, plan: RecoveryPlan, claim: Claim, facts: PlanFacts) -> None:
    """Take one after the other, until one cannot be had: the next pass finds out how things stand."""
    if claim.auto and not await _claim_auto(context, plan):
        return
    if claim.service and not await _claim_service(context, plan, facts):
        return
    if claim.digest is not None:
        await _claim_incident(context, plan, claim.digest)


async def _claim_auto(context: Context, plan: RecoveryPlan) -> bool:
    """PUT the plan's entry in the hourly budget, as the store has it now: another plan's entry may have come since the
    budget was judged. One that comes in between still is a conflict. False where the budget is used up."""
    async with context.policy_turn(plan.metadata.namespace):
        raw = context.objects.get((RecoveryPolicy.plural, plan.metadata.namespace, POLICY_NAME))
        if raw is None:
            return False
        policy = context.parse(RecoveryPolicy, raw)
        plans = find_begun_lately(context, plan.metadata.namespace)
        status = enter_start(policy, plan, plans, hour=context.settings.hour, now=context.clock())
        if status is None:
            return False
        await context.write_status(RecoveryPolicy, raw, status)
        return True


async def _claim_service(context: Context, plan: RecoveryPlan, facts: PlanFacts) -> bool:
    """PUT the lock. Somebody else's claim in between is a conflict, and the pass is done again (S5). False where it is
    not to be had.

    Before the start the budget is asked once more, and the claim counts from that moment on: between a look at the
    store and the next await no other pass can take the same place in it (S7). A plan that has begun has its place, and
    takes the lock back where that went with the object that it stood on.
    """
    raw = context.objects.get((ProtectedService.plural, plan.metadata.namespace, plan.spec.service_ref.name))
    if raw is None:
        return False
    protected = context.parse(ProtectedService, raw)
    reference = UidReference(name=plan.metadata.name, uid=plan.metadata.uid)
    if protected.status.active_plan is not None:
        return False
    if plan.status.started_at is None and not _has_room(context, plan, protected, facts):
        return False
    claims = context.claims.setdefault(plan.metadata.namespace, {})
    claims[plan.metadata.name] = protected.metadata.name
    try:
        status = protected.status.model_copy(update={"active_plan": reference})
        await context.write_status(ProtectedService, raw, status)
    finally:
        del claims[plan.metadata.name]
    return True


async def _release_service(context: Context, plan: RecoveryPlan) -> None:
    """Give the lock back, unless the plan has begun since it was read: nothing was done under it yet (S5)."""
    fresh = await context.fetch(RecoveryPlan, plan.metadata.namespace, plan.metadata.name)
    raw = context.objects.get((ProtectedService.plural, plan.metadata.namespace, plan.spec.service_ref.name))
    if raw is None or (fresh is not None and fresh.status.started_at is not None):
        return
    protected = context.parse(ProtectedService, raw)
    if protected.status.active_plan and protected.status.active_plan.uid == plan.metadata.uid:
        status = protected.status.model_copy(update={"active_plan": None})
        await context.write_status(ProtectedService, raw, status)


def _has_room(context: Context, plan: RecoveryPlan, protected: ProtectedService, facts: PlanFacts) -> bool:
    """Whether the namespace lets the plan begin, by what the store has now."""
    policy = know_policies(context, plan.metadata.namespace).own.found
    around = look_around_plan(context, plan.metadata.namespace, protected, policy, plan=plan.metadata.name)
    gates = evaluate_namespace_gates(guard_facts(plan, plan.spec.steps[0], replace(facts, around=around)))
    return first_blocking(gates) is None


async def _claim_incident(context: Context, plan: RecoveryPlan, digest: str) -> None:
    """PUT the mark that this digest was started under this plan's uid: no copy of the plan will run again."""
    raw = context.objects.get((Incident.plural, plan.metadata.namespace, plan.spec.incident_ref.name))
    if raw is None:
        return
    incident = context.parse(Incident, raw)
    if incident.metadata.uid != plan.spec.incident_ref.uid:
        return  # Another one has its name by now.
    known = next((p for p in incident.status.plans if p.uid == plan.metadata.uid), None)
    entry = known or IncidentPlan(
        name=plan.metadata.name,
        uid=plan.metadata.uid,
        digest=digest,
        runbook=plan.spec.runbook_ref.name if plan.spec.runbook_ref else None,
        made_by_operator=False,
    )
    entry = entry.model_copy(update={"digest": digest, "started_at": context.clock()})
    others = tuple(p for p in incident.status.plans if p.uid != plan.metadata.uid)
    status = incident.status.model_copy(update={"plans": (*others, entry)})
    await context.write_status(Incident, raw, status)


async def _send(context: Context, status: RecoveryPlanStatus, send: Send, facts: PlanFacts) -> RecoveryPlanStatus:
    """Make the one AWS write of a stored intent. The token is spent before the call: it is never sent twice.

    The call itself must begin before the live read is too old (S4), the intent is in doubt and the lease near its end
    (S5), wherever the time went meanwhile.
    """
    stored = context.unsent.pop(send.token, None)
    if stored is None or facts.service is None or status.target is None:
        return status
    now = context.clock()
    fresh_until = time.monotonic() + (FRESH - (now - facts.service.read_at)).total_seconds()
    lease_until = context.send_by()
    if time.monotonic() >= lease_until:
        log_unanswered(send, LEASE_NOT_HELD, sent=False)
        return hold_unsent(status, send.token, LEASE_NOT_HELD)
    deadline = min(stored + SEND_WITHIN, fresh_until, lease_until)
    log_sent(send)
    try:
        accepted = await send_request(
            context.aws, _target(status, status.target, send.token), send.request, f"bokgu-{send.token}", deadline
        )
    except AwsError as error:
        if error.code in PASSING and not error.sent:
            if error.code == "TooLate" and time.monotonic() >= lease_until:
                log_unanswered(send, LEASE_NOT_HELD, sent=False)
                return hold_unsent(status, send.token, LEASE_NOT_HELD)
            log_unanswered(send, error.code, sent=False)
            return forget_intent(status, send.token)
        if error.sent:
            log_unanswered(send, error.code, sent=True)
            return status  # It may have happened: the next pass looks for its effect.
        answer = Answer(at=now, result="Refused", message=bounded(f"{error.code}: {error.message}"))
        return record_answer(status, send.token, answer)
    # A new deployment is ours; a mere change of the count makes none.
    known = {id_ for o in _operations(status) if o.intent for id_ in o.intent.before.deployment_ids}
    service = accepted.service
    primary = service.primary if service else None
    new = primary is not None and primary.id not in known
    answer = Answer(
        at=now,
        result="Accepted",
        deployment_id=primary.id if primary and new else None,
        service_revision_arn=service.service_revision_arn if service and new else None,
        made=accepted.made,
    )
    return record_answer(status, send.token, answer)


def _target(status: RecoveryPlanStatus, target: Target, token: str) -> Target:
    """Where the call goes, with the role that the intent names."""
    intents = (o.intent for o in _operations(status) if o.intent)
    own = next((i.role_arn for i in intents if i.token == token), None)
    return target.model_copy(update={"role_arn": own}) if own else target


async def _let_go(context: Context, raw: Raw, plan: RecoveryPlan) -> None:
    """A plan that is over and being deleted may go, once its ProtectedService remembers how it ended: the breaker and
    the cooldowns count that (S7)."""
    if plan.metadata.deletion_timestamp and FINALIZER in plan.metadata.finalizers and _is_remembered(context, plan):
        finalizers = [f for f in plan.metadata.finalizers if f != FINALIZER]
        await context.write_finalizers(RecoveryPlan.plural, raw, finalizers)


def _is_remembered(context: Context, plan: RecoveryPlan) -> bool:
    protected = context.find(ProtectedService, plan.metadata.namespace, plan.spec.service_ref.name)
    return protected is None or may_go(plan, protected.status.recoveries)


async def _hold(context: Context, raw: Raw) -> None:
    """Put the finalizer on."""
    finalizers = [*raw["metadata"].get("finalizers", ()), FINALIZER]
    await context.write_finalizers(RecoveryPlan.plural, raw, finalizers)


def _tokens(status: RecoveryPlanStatus) -> set[str]:
    """Tokens of all intents that have no answer yet."""
    return {o.intent.token for o in _operations(status) if o.intent and o.answer is None}


def _operations(status: RecoveryPlanStatus) -> list[OperationStatus]:
    """All steps and all undos of steps."""
    return [*status.steps, *(s.rollback for s in status.steps if s.rollback)]
