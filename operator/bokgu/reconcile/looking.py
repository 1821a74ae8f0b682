"""How a scope looks: describe its services, fetch the metrics of all watches, ask closer where there is reason to."""

import asyncio
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from bokgu.api.detector import Detector
from bokgu.api.observed import AwsError, BalancedGroup, EcsService, Series
from bokgu.api.protected_service import ProtectedService, TargetGroup
from bokgu.api.vocabulary import Preset
from bokgu.aws.ecs import fetch_service_deployment, fetch_service_deployments, fetch_services
from bokgu.aws.elb import count_healthy_targets, fetch_target_groups
from bokgu.aws.series import fetch_sources
from bokgu.aws.tasks import fetch_stopped_tasks
from bokgu.core.look import Look
from bokgu.core.presets import BALANCER_PRESETS, build_watch, empty_watch
from bokgu.core.service_state import ServiceLook, is_slow, suggests_crashes
from bokgu.core.silent_targets import add_answer, find_silent_groups
from bokgu.core.watch import Source, watch_of
from bokgu.reconcile.context import Context, Key
from bokgu.reconcile.scope_memory import ScopeMemory

BALANCERS_KEPT = timedelta(minutes=10)
"""How long the load balancers of target groups are believed: they are wired once."""

RETRY_BALANCERS = timedelta(minutes=1)
"""How soon they are asked for again where AWS did not tell."""

HISTORIES_AT_ONCE = 200
"""Services whose deployments are listed in one pass: after a start the others follow, 20 calls a second in all."""

ENDED = frozenset({"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})
"""Service deployments that change no more (ServiceDeploymentStatus of Amazon ECS)."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Scope:
    """Whose eyes look, and where."""

    region: str
    role_arn: str | None


async def begin_looks(
    context: Context, scope: Scope, memory: ScopeMemory, services: list[ProtectedService], detectors: list[Detector]
) -> dict[Key, Look]:
    """Describe the services, and say what CloudWatch is to be asked."""
    now = context.clock()
    states = await _describe(context, scope, services, now)
    arns = {arn for p in services if isinstance(s := states[p.key], EcsService) for arn in s.target_groups}
    await _learn_balancers(context, scope, memory, arns, now)
    looks: dict[Key, Look] = {}
    for protected in services:
        looks[protected.key] = _begin(context, memory, protected, states[protected.key])
    for detector in detectors:
        uid, generation = detector.metadata.uid, detector.metadata.generation
        watch = memory.watch(detector.key, (uid, generation), partial(watch_of, detector))
        looks[detector.key] = Look(now, generation, watch, uid=uid)
    return looks


async def _describe(
    context: Context, scope: Scope, services: list[ProtectedService], now: datetime
) -> dict[Key, EcsService | AwsError]:
    """Every service as ECS describes it, by the key of its ProtectedService."""
    clusters: dict[str, list[ProtectedService]] = defaultdict(list)
    for protected in services:
        clusters[protected.spec.ecs.cluster].append(protected)

    async def fetch(cluster: str, members: list[ProtectedService]) -> dict[Key, EcsService | AwsError]:
        names = sorted({m.spec.ecs.service for m in members})
        found = await fetch_services(context.aws, cluster, names, now, region=scope.region, role_arn=scope.role_arn)
        return {m.key: found[m.spec.ecs.service] for m in members}

    states: dict[Key, EcsService | AwsError] = {}
    for part in await asyncio.gather(*(fetch(cluster, members) for cluster, members in clusters.items())):
        states |= part
    return states


async def _learn_balancers(context: Context, scope: Scope, memory: ScopeMemory, arns: set[str], now: datetime) -> None:
    """Learn which load balancers the target groups belong to: one listing for all, when one is new or it is time."""
    fresh = memory.balanced_until is not None and now < memory.balanced_until
    if not arns or (fresh and arns <= memory.balanced.keys()):
        return
    missing = {arn: BalancedGroup(arn, "", frozenset()) for arn in arns}  # Asked for again only when it is time.
    try:
        found = await fetch_target_groups(context.aws, region=scope.region, role_arn=scope.role_arn)
    except AwsError as error:
        memory.balanced, memory.balanced_problem = missing | memory.balanced, error
        memory.balanced_until = now + RETRY_BALANCERS
    else:
        memory.balanced, memory.balanced_problem = missing | found, None
        memory.answers = {arn: answers for arn, answers in memory.answers.items() if arn in memory.balanced}
        memory.balanced_until = now + BALANCERS_KEPT


def _begin(context: Context, memory: ScopeMemory, protected: ProtectedService, state: EcsService | AwsError) -> Look:
    now, presets = context.clock(), protected.spec.detection.presets
    uid, generation = protected.metadata.uid, protected.metadata.generation
    groups: tuple[TargetGroup, ...] = protected.status.service.target_groups if protected.status.service else ()
    if isinstance(state, EcsService):
        groups = _target_groups(memory, state)
    try:
        watch = memory.watch(protected.key, (uid, generation, groups), partial(build_watch, protected, groups))
    except ValueError as error:  # What admission let through must not blind the others of the scope (S12).
        watch = memory.watch(protected.key, (uid, generation), partial(empty_watch, protected))
        state = AwsError("detection", "InvalidPreset", str(error), sent=False)
    if isinstance(state, AwsError):
        return Look(now, generation, watch, problem=state, target_groups=groups, uid=uid)
    _, history = memory.histories.get(protected.key, (None, ()))
    plan = protected.status.active_plan
    seen = ServiceLook(state, now, history, minute=context.settings.minute, recovered_by=plan.name if plan else None)
    blind = any(not group.load_balancer for group in groups) and not BALANCER_PRESETS.keys().isdisjoint(presets)
    unknown = memory.balanced_problem if blind else None
    return Look(now, generation, watch, state=seen, problem=unknown, target_groups=groups, uid=uid)


def _target_groups(memory: ScopeMemory, service: EcsService) -> tuple[TargetGroup, ...]:
    mine = set(service.target_groups)
    groups = (memory.balanced[arn] for arn in service.target_groups if arn in memory.balanced)
    return tuple(
        TargetGroup(
            arn=group.arn,
            load_balancer=group.load_balancer,
            pair=service.target_pairs.get(group.arn),
            shared=not group.siblings <= mine,
        )
        for group in groups
    )


async def measure(context: Context, scope: Scope, memory: ScopeMemory, looks: dict[Key, Look]) -> dict[Key, Look]:
    """The same looks with the datapoints that their watches need."""
    now = context.clock()
    starts: dict[Source, datetime] = {}
    for look in looks.values():
        start = now - look.watch.lookback
        for source in look.watch.sources.values():
            starts[source] = min(start, starts.get(source, start))
    answers = await fetch_sources(
        context.aws, starts, now, region=scope.region, role_arn=scope.role_arn, refused=memory.refused
    )
    measured = {}
    for key, look in looks.items():
        found = {name: answers[source] for name, source in look.watch.sources.items()}
        series = {name: answer for name, answer in found.items() if isinstance(answer, Series)}
        errors = {name: answer for name, answer in found.items() if isinstance(answer, AwsError)}
        measured[key] = replace(look, series=series, errors=errors, measured=True)
    silent = [key for key, look in measured.items() if find_silent_groups(look)]
    asked = await asyncio.gather(*(_ask_targets(context, scope, memory, measured[key]) for key in silent))
    return measured | dict(zip(silent, asked, strict=True))


async def _ask_targets(context: Context, scope: Scope, memory: ScopeMemory, look: Look) -> Look:
    """The look with what the load balancer itself says of its targets, where CloudWatch says nothing."""
    for name, arn in find_silent_groups(look).items():
        try:
            healthy = await count_healthy_targets(context.aws, arn, region=scope.region, role_arn=scope.role_arn)
        except AwsError as error:
            log.warning("targets are not known", target_group=arn, error=str(error))
            continue
        look, memory.answers[arn] = add_answer(look, name, healthy, memory.answers.get(arn, {}))
    return look


async def look_closer(
    context: Context, memory: ScopeMemory, services: Iterable[ProtectedService], looks: dict[Key, Look]
) -> dict[Key, Look]:
    """Looks again at the services that give reason to: deployments that moved on, slow ones, tasks that end."""
    stale = [p for p in services if (s := looks[p.key].state) and _is_stale(memory, p, s.service)][:HISTORIES_AT_ONCE]
    closer = {p.key: p for p in stale}
    for protected in services:
        state, presets = looks[protected.key].state, protected.spec.detection.presets
        if state is None:
            continue
        crashing = Preset.ECS_CRASH_LOOP in presets and suggests_crashes(state)
        if crashing or (Preset.ECS_DEPLOYMENT in presets and is_slow(state)):
            closer[protected.key] = protected
    found = await asyncio.gather(*(_closer(context, memory, p, looks[p.key]) for p in closer.values()))
    return {key: look for key, look in zip(closer, found, strict=True) if look != looks[key]}


async def _closer(context: Context, memory: ScopeMemory, protected: ProtectedService, look: Look) -> Look:
    if look.state is None:
        return look
    try:
        return replace(look, state=await see_details(context, protected, look.state, memory))
    except AwsError as error:
        log.warning(
            "no closer look", namespace=protected.metadata.namespace, name=protected.metadata.name, error=str(error)
        )
        return look


async def see_details(
    context: Context, protected: ProtectedService, state: ServiceLook, memory: ScopeMemory
) -> ServiceLook:
    """The service's deployments, the hook that one waits at and its stopped tasks, as far as there is reason to ask.

    Raises AwsError.
    """
    target, presets = protected.spec.target, protected.spec.detection.presets
    if _is_stale(memory, protected, state.service):
        deployments = await fetch_service_deployments(context.aws, target, bulk=True)
        memory.histories[protected.key] = (_shape(state.service), deployments)
    state = replace(state, deployments=memory.histories.get(protected.key, (None, ()))[1])
    current = state.service.current_service_deployment
    if Preset.ECS_DEPLOYMENT in presets and is_slow(state) and current:
        described = await fetch_service_deployment(context.aws, target, current, bulk=True)
        state = replace(state, waits_at=described.waiting_hook or "")
    if Preset.ECS_CRASH_LOOP in presets and suggests_crashes(state):
        state = replace(state, stopped_tasks=await fetch_stopped_tasks(context.aws, target, bulk=True))
    return state


def _is_stale(memory: ScopeMemory, protected: ProtectedService, service: EcsService) -> bool:
    """Whether the deployments that were listed last may have changed since. ECS lists none of other controllers
    (UnsupportedFeatureException)."""
    if service.controller != "ECS":
        return False
    shape, deployments = memory.histories.get(protected.key, (None, ()))
    return shape != _shape(service) or any(d.status not in ENDED for d in deployments[:1])


def _shape(service: EcsService) -> Hashable:
    return (service.arn, service.current_service_deployment, *((d.id, d.rollout_state) for d in service.deployments))
