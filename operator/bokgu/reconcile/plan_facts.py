"""What a pass over a RecoveryPlan gathers: approvals, the objects around it, the live ECS service, the metric."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import Target
from bokgu.api.observed import (
    AwsError,
    LogMetric,
)
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan, Validation
from bokgu.api.unchecked import Unreadable
from bokgu.api.vocabulary import PlanPhase, ValidationType
from bokgu.aws.client import CONNECT_TIMEOUT, READ_TIMEOUT
from bokgu.aws.series import fetch_series
from bokgu.core.allow_lists import find_named_role
from bokgu.core.approval.digest import find_unknown
from bokgu.core.correlation import Trouble, find_troubled, map_dependencies
from bokgu.core.detection import join_halves, measure_condition, measure_volume
from bokgu.core.dry_run import find_dry_run
from bokgu.core.freeze import find_freeze, freezes_service
from bokgu.core.guards.chain import evaluate_namespace_gates, first_blocking
from bokgu.core.guards.protection import has_written
from bokgu.core.operation import find_verified, in_flight
from bokgu.core.plan_facts import Measurement, PlanFacts, Timing, guard_facts
from bokgu.core.recovery_policy import Policies
from bokgu.core.surroundings import Surroundings
from bokgu.core.verification import count_in_windows, parse_expression
from bokgu.kube.client import Raw
from bokgu.reconcile.approvals import fetch_policies, know_policies, read_approvals, tally_plan
from bokgu.reconcile.context import Context
from bokgu.reconcile.live_state import fetch_live_state
from bokgu.reconcile.role_grants import find_refusal
from bokgu.reconcile.surroundings import look_around_plan
from bokgu.reconcile.targets import find_at_work, find_elder
from bokgu.reconcile.watches import find_measured

log = structlog.get_logger()

CALL_TIMEOUT = timedelta(seconds=CONNECT_TIMEOUT + READ_TIMEOUT)
"""How long a write may be under way."""

SEND_WITHIN = 10.0
"""Seconds after storing an intent in which this process may send it. A process that slept longer (SIGSTOP, swap) treats
its own intent as in doubt, like a new holder does (S5)."""


async def gather_facts(context: Context, raw: Raw, plan: RecoveryPlan) -> PlanFacts:
    """Approvals first. Only a plan that people approve, or that runs, is worth live reads of the rest; and while its
    namespace has no room for it there is nothing to read: hundreds of plans that wait must not be a storm of calls.

    Before a claim, a beginning and an intent everything is read live (S1); while an intent is under way, the store is
    recent enough to see a Reject. Only of a plan that nobody has approved yet the approvals are listed no sooner than
    for its intent: a list takes longer than all else.
    """
    digest, namespace = context.digest_of(raw), plan.metadata.namespace

    unread = tuple(find_unknown(context.cluster_id, raw, plan.spec))

    async def judge() -> PlanFacts:
        facts = await _judge(context, plan, digest, approvals, (incident, protected, policies))
        return replace(facts, unread=unread)

    incident: Incident | None = None
    protected: ProtectedService | None = None
    running = plan.status.started_at is not None
    # An undo rests on the plan, and on the approvals of the intent that it undoes: nothing that is asked here may hold
    # it up (S1), nor an object beside it that only another version can read.
    undoing = plan.status.phase is PlanPhase.ROLLING_BACK
    with suppress(Unreadable) if undoing else nullcontext():
        incident = context.find(Incident, namespace, plan.spec.incident_ref.name)
        if _bound(plan, incident) is None:
            incident = await context.fetch(Incident, namespace, plan.spec.incident_ref.name)
    with suppress(Unreadable) if undoing else nullcontext():
        protected = context.find(ProtectedService, namespace, plan.spec.service_ref.name)
    policies, approvals = know_policies(context, namespace), await read_approvals(context, plan, live=False)
    intends = not in_flight(plan) and not undoing
    if not running or not intends:
        facts = await judge()
        if not running and (not facts.tally.approved or _is_held(plan, facts)):
            return facts
    if intends:
        incident, protected, policies, approvals = await asyncio.gather(
            context.fetch(Incident, namespace, plan.spec.incident_ref.name),
            context.fetch(ProtectedService, namespace, plan.spec.service_ref.name),
            fetch_policies(context, namespace),
            read_approvals(context, plan, live=running or bool(approvals)),
        )
        facts = await judge()
    target = plan.status.target or (protected.spec.target if protected else None)
    if target is None or (not running and (not facts.tally.approved or _is_held(plan, facts))):
        return facts
    try:
        measurement = await _measure(context, plan, target)
        live = await fetch_live_state(context, plan, target, protected, unsent=_sendable(context))
    except AwsError as error:
        return replace(facts, problem=error, now=context.clock())
    return replace(facts, live=live, measurement=measurement, unsent=_sendable(context), now=context.clock())


def _is_held(plan: RecoveryPlan, facts: PlanFacts) -> bool:
    """Whether other recoveries keep the plan from beginning."""
    return first_blocking(evaluate_namespace_gates(guard_facts(plan, plan.spec.steps[0], facts))) is not None


async def _judge(
    context: Context,
    plan: RecoveryPlan,
    digest: str,
    approvals: Sequence[Raw],
    objects: tuple[Incident | None, ProtectedService | None, Policies],
) -> PlanFacts:
    """What the objects say, and what the approvals come to. AWS is not asked."""
    incident, protected, policies = objects
    namespace, bound = plan.metadata.namespace, _bound(plan, incident)
    tally = await tally_plan(context, plan, digest, approvals, incident=bound, protected=protected, policy=policies.own)
    target = plan.status.target or (protected.spec.target if protected else None)
    elder = find_elder(context, protected) if protected else None
    begins = tally.approved and not has_written(plan.status)
    return PlanFacts(
        now=context.clock(),
        cluster_id=context.cluster_id,
        digest=digest,
        incident=bound,
        protected_service=protected,
        tally=tally,
        live=None,
        problem=None,
        measurement=None,
        elder=f"{elder.metadata.namespace}/{elder.metadata.name}" if elder else None,
        role_refused=_refused(context, plan, target) if target else None,
        at_work=find_at_work(context, plan, target),
        policies=policies,
        unsent=_sendable(context),
        known_since=_known_since(context, plan),
        holder=context.settings.holder,
        lease_transitions=context.lease.transitions if context.lease else None,
        timing=Timing(
            context.settings.consistency_delay,
            context.settings.step_poll,
            context.settings.hour,
            context.settings.minute,
            context.settings.lease_duration + CALL_TIMEOUT if context.lease else timedelta(),
        ),
        clock_ahead=context.kube.clock_ahead,
        around=look_around_plan(context, namespace, protected, policies.own.found, plan=plan.metadata.name)
        if begins
        else Surroundings(),
        frozen_by=find_freeze(
            context.find_open_related(Incident, namespace, plan.spec.service_ref.name), plan.spec.incident_ref.uid
        ),
        dry_run=find_dry_run(protected, policies.own.found),
        troubled=find_troubles(context, plan),
    )


def _known_since(context: Context, plan: RecoveryPlan) -> datetime:
    """When this process first saw the intent of the plan that has no answer: since it was stored, since this process
    leads, or since the plan has come into its shard."""
    operations = [o for step in plan.status.steps for o in (step, step.rollback) if o]
    token = next((o.intent.token for o in operations if o.intent and o.answer is None), None)
    if token is None:
        context.doubts.pop(plan.key, None)
        return context.started_at
    known = context.doubts.get(plan.key)
    if known is None or known[0] != token:
        known = context.doubts[plan.key] = (token, context.clock())
    return max(context.started_at, known[1])


def _refused(context: Context, plan: RecoveryPlan, target: Target) -> str | None:
    """Why configuration does not let the namespace assume the service's role, or one that the plan's steps need."""
    roles = dict.fromkeys((target.role_arn, *(find_named_role(step) for step in plan.spec.steps)))
    refusals = (find_refusal(context, plan.metadata.namespace, role) for role in roles)
    return next((refusal for refusal in refusals if refusal), None)


def _bound(plan: RecoveryPlan, incident: Incident | None) -> Incident | None:
    """The incident that the plan is bound to; another one of its name is not it."""
    return incident if incident is not None and incident.metadata.uid == plan.spec.incident_ref.uid else None


def find_troubles(context: Context, plan: RecoveryPlan) -> tuple[Trouble, ...]:
    """The open incidents of what the plan's service depends on. A plan that has begun waits for none of them."""
    namespace, service = plan.metadata.namespace, plan.spec.service_ref.name
    if plan.status.started_at is not None:
        return ()
    protected = context.find(ProtectedService, namespace, service)
    if protected is None or not protected.spec.depends_on:
        return ()
    dependencies = context.derive(ProtectedService, namespace, map_dependencies)
    incidents = context.find_all(Incident, namespace)
    return find_troubled(service, plan.spec.incident_ref.uid, incidents, dependencies)


async def _measure(context: Context, plan: RecoveryPlan, target: Target) -> Measurement | None:
    """The values that the step under verification is judged by, since its effect was complete."""
    found = find_verified(plan)
    if found is None or found[0].validation is None or found[0].validation.expression is None:
        return None
    validation, since = found[0].validation, found[1].effective_at
    if validation.type is ValidationType.LOG:
        return await _count_log(context, plan, target, validation, since)
    now = context.moment().earliest
    try:
        name = parse_expression(validation.expression or "").name
    except ValueError:  # The step says so when it is verified.
        return None
    for measured in find_measured(context, plan.metadata.namespace, plan.spec.service_ref.name):
        watch, condition = measured.watch, measured.condition
        if condition.name != name:
            continue
        start = since or now - watch.settle - parse_duration(validation.for_ or "0s")
        if start >= now:  # By another clock its effect was complete at a moment that has not come yet.
            return None
        series = await fetch_series(
            context.aws, watch.sources, region=target.region, role_arn=target.role_arn, start=start, end=now
        )
        points = measure_condition(watch, condition, series, start, now - watch.settle)
        volumes, enough = measure_volume(condition, series)
        if half := next((c for c in watch.conditions if c.name == watch.halves.get(name)), None):
            points = join_halves(points, measure_condition(watch, half, series, start, now - watch.settle))
            others, _ = measure_volume(half, series)
            volumes = {t: volumes.get(t, 0.0) + others.get(t, 0.0) for t in {*volumes, *others}}
        return Measurement(points, watch.period(condition), watch.settle, volumes, enough)
    return None


async def _count_log(
    context: Context, plan: RecoveryPlan, target: Target, validation: Validation, since: datetime | None
) -> Measurement | None:
    """How many events of the log match, window by window. None where the log does not say: that is no word
    about the service."""
    protected = context.find(ProtectedService, plan.metadata.namespace, plan.spec.service_ref.name)
    now = context.moment().earliest
    if protected is None or validation.log_group is None or validation.pattern is None:
        return None
    if since is None or since >= now:  # As above.
        return None
    detection, window = protected.spec.detection, parse_duration(validation.for_ or "0s")
    period, end = parse_duration(detection.period), now - parse_duration(detection.settle)
    source = LogMetric(validation.log_group, validation.pattern, int(period.total_seconds()))
    try:
        series = await fetch_series(
            context.aws, {"log": source}, region=target.region, role_arn=target.role_arn, start=since, end=now
        )
    except AwsError as error:
        log.warning("log not read", plan=plan.metadata.name, log_group=source.log_group, error=str(error))
        return None
    # One point says all about a whole window, so a window is the period of these points.
    return Measurement(count_in_windows(series["log"], since, end, window), window, now - end)


def find_corruption(context: Context, namespace: str, service: str, incident_uid: str) -> str | None:
    """An open incident of corrupted data on the service that freezes all automation there, but for the plans of the
    incident with the uid given."""
    incidents = context.find_open_related(Incident, namespace, service)
    return next((i.metadata.name for i in incidents if freezes_service(i, incident_uid)), None)


def _sendable(context: Context) -> frozenset[str]:
    limit = time.monotonic() - SEND_WITHIN
    for token in [t for t, stored in context.unsent.items() if stored < limit]:
        del context.unsent[token]
    return frozenset(context.unsent)
