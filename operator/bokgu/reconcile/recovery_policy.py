"""A pass over a RecoveryPolicy: say whether it can be used, and what it comes to."""

from datetime import timedelta

from bokgu.api.fields import bounded
from bokgu.api.meta import set_condition
from bokgu.api.phases import has_ended
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import AutoStart, RecoveryPolicy
from bokgu.core.approval.auto import recent_starts
from bokgu.core.recovery_policy import count_budget_left, find_problem, list_pauses, summarise_policy
from bokgu.reconcile.alerting import outbox_stored, tell_of_namespace
from bokgu.reconcile.approvals import know_policies
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.surroundings import look_around_plan


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Write `Ready`, `Paused` and how recoveries stand, and let go starts that no budget counts any more and whose
    plans are over. It comes again by itself: no single object tells of a storm that is over."""
    async with context.policy_turn(key[1]):
        return await _reconcile(context, key)


async def _reconcile(context: Context, key: Key) -> timedelta | None:
    raw = context.objects.get(key)
    if raw is None:
        return None
    policy, now = context.parse(RecoveryPolicy, raw), context.clock()
    hour = context.settings.hour
    problem = find_problem(
        policy,
        auto_enabled=policy.metadata.namespace in context.settings.auto_namespaces,
        emergency_role=context.settings.emergency_role,
    )
    begun = recent_starts(policy, (), hour=hour, now=now)
    conditions = set_condition(
        policy.status.conditions,
        "Ready",
        problem is None,
        problem[0] if problem else "Usable",
        problem[1] if problem else "",
        now=now,
        generation=policy.metadata.generation,
    )
    namespace = policy.metadata.namespace
    around = look_around_plan(context, namespace, None, policy)
    pauses = list_pauses(know_policies(context, policy.metadata.namespace))
    conditions = set_condition(
        conditions,
        "Paused",
        bool(pauses),
        "Paused" if pauses else "NotPaused",
        bounded(f"by {', '.join(pauses)}") if pauses else "",
        now=now,
        generation=policy.metadata.generation,
    )
    status = policy.status.model_copy(
        update={
            "observed_generation": policy.metadata.generation,
            "budget_left": count_budget_left(policy, around, paused=bool(pauses), now=now),
            "storm_since": around.storm.since if around.storm else None,
            "breaker": around.namespace_breaker,
            "breaker_reset_at": around.namespace_reset_at,
            "auto_starts": tuple(s for s in policy.status.auto_starts if s in begun or _runs(context, policy, s)),
            "summary": summarise_policy(policy),
            "conditions": conditions,
        }
    )
    status = tell_of_namespace(context, policy, status, around)
    await context.write_status(RecoveryPolicy, raw, status)
    outbox_stored(context, policy, status.outbox)
    again = (begun[0].at + hour - now if begun else None, context.settings.service_poll)
    return min(wait for wait in again if wait is not None)


def _runs(context: Context, policy: RecoveryPolicy, start: AutoStart) -> bool:
    plan = context.objects.get((RecoveryPlan.plural, policy.metadata.namespace, start.plan))
    return plan is not None and plan["metadata"]["uid"] == start.uid and not has_ended(RecoveryPlan.plural, plan)
