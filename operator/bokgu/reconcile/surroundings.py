"""What stands around a plan in its namespace, from the store. Nothing here waits: what was seen holds until the next
await."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from bokgu.api.fields import format_timestamp, parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import OpenBreaker
from bokgu.api.protected_service import ProtectedService, Recovery
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy, RecoveryPolicySpec
from bokgu.api.unchecked import text_at
from bokgu.core.breaker import find_reset, judge_breaker
from bokgu.core.load import Load, measure_load, measure_services
from bokgu.core.recoveries import list_recoveries
from bokgu.core.storm import Storm, find_storm
from bokgu.core.surroundings import Surroundings
from bokgu.reconcile.context import Context, Survey

SURVEY_AGE = timedelta(seconds=1)
"""How old what all incidents of a namespace say together may be. The budget is always that of now."""


def look_around_plan(
    context: Context,
    namespace: str,
    protected: ProtectedService | None,
    policy: RecoveryPolicy | None,
    *,
    plan: str = "",
) -> Surroundings:
    """What stands around the plan of that name, which itself is left out of the load."""
    limits = policy.spec if policy else RecoveryPolicySpec()
    survey = _survey(context, namespace, policy)
    recoveries = find_recoveries(context, protected) if protected else ()
    return Surroundings(
        policy=policy,
        load=_find_load(context, namespace, without=plan),
        recoveries=recoveries,
        service_breaker=find_service_breaker(context, protected, recoveries, limits) if protected else None,
        service_reset_at=find_service_reset(context, protected) if protected else None,
        namespace_breaker=survey.breaker,
        namespace_reset_at=find_namespace_reset(context, policy),
        storm=survey.storm,
    )


def _survey(context: Context, namespace: str, policy: RecoveryPolicy | None) -> Survey:
    """What all incidents and recoveries of a namespace say together. There may be thousands: a storm is looked for anew
    each time until it is there, so that not one incident too many is planned, and then it lasts for a second. Who ends
    a plan throws the survey away."""
    known, now = context.surveys.get(namespace), context.clock()
    fresh = known is not None and known.policy == policy and timedelta() <= now - known.at < SURVEY_AGE
    if known is None or not fresh:
        known = Survey(now, policy, None, find_namespace_breaker(context, namespace, policy))
    if known.storm is None:
        storm = find_namespace_storm(context, namespace, policy.spec if policy else RecoveryPolicySpec())
        known = replace(known, storm=storm)
    context.surveys[namespace] = known
    return known


def _find_load(context: Context, namespace: str, *, without: str) -> Load:
    standing = context.derive(ProtectedService, namespace, measure_services)
    plans = context.readable(RecoveryPlan, context.objects.begun(RecoveryPlan.plural, namespace))
    return measure_load(standing, plans, context.claims.get(namespace, {}), without=without)


def find_recoveries(context: Context, protected: ProtectedService) -> tuple[Recovery, ...]:
    """The recoveries of a service, the latest first."""
    namespace, name = protected.metadata.namespace, protected.metadata.name
    return list_recoveries(
        protected.status.recoveries,
        context.find_related(RecoveryPlan, namespace, name),
        context.find_related(Incident, namespace, name),
    )


def find_service_breaker(
    context: Context, protected: ProtectedService, recoveries: Iterable[Recovery], limits: RecoveryPolicySpec
) -> OpenBreaker | None:
    """The open breaker of a service with these recoveries."""
    return judge_breaker(
        protected.status.breaker,
        recoveries,
        failures=limits.breaker.failures,
        within=parse_duration(limits.breaker.within),
        reset_at=find_service_reset(context, protected),
        now=context.clock(),
    )


def find_service_reset(context: Context, protected: ProtectedService) -> datetime | None:
    """When the breaker of a service was reset last."""
    return find_reset(protected.spec.reset_breaker_at, protected.status.breaker_reset_at, context.clock())


def find_namespace_reset(context: Context, policy: RecoveryPolicy | None) -> datetime | None:
    """When the breaker of a namespace was reset last."""
    return find_reset(policy.spec.reset_breaker_at, policy.status.breaker_reset_at, context.clock()) if policy else None


def find_namespace_breaker(context: Context, namespace: str, policy: RecoveryPolicy | None) -> OpenBreaker | None:
    """The open breaker of a namespace. Without a policy nothing stores it: it is open while its failures are known."""
    limits = policy.spec if policy else RecoveryPolicySpec()
    within = parse_duration(limits.breaker.within)
    return judge_breaker(
        policy.status.breaker if policy else None,
        # The last failure is no older than `within`, and the first one no older than that before it.
        _recoveries_since(context, namespace, context.clock() - 2 * within),
        failures=limits.breaker.namespace_failures,
        within=within,
        reset_at=find_namespace_reset(context, policy),
        now=context.clock(),
    )


def _recoveries_since(context: Context, namespace: str, since: datetime) -> Iterable[Recovery]:
    """The recoveries of all services that ended since then, at least."""
    found = context.objects.latest_ended(RecoveryPlan.plural, namespace, since)
    ended = [plan for plan in found if text_at(plan, "status", "startedAt")]
    recovered = {text_at(plan, "spec", "serviceRef", "name") for plan in ended}
    services = context.find_all(ProtectedService, namespace)
    for protected in services:
        remembered = any(r.finished_at and r.finished_at >= since for r in protected.status.recoveries)
        if remembered or protected.metadata.name in recovered:
            yield from find_recoveries(context, protected)
    # Those of services that are no more failed all the same.
    known = {protected.metadata.name for protected in services}
    plans = context.readable(RecoveryPlan, (p for p in ended if text_at(p, "spec", "serviceRef", "name") not in known))
    yield from list_recoveries((), plans, context.find_all(Incident, namespace) if plans else ())


def find_begun_lately(context: Context, namespace: str) -> list[RecoveryPlan]:
    """All plans that have begun within the last hour, and some more: those that run, and those that ended since."""
    objects, since = context.objects, context.clock() - context.settings.hour
    ended = objects.latest_ended(RecoveryPlan.plural, namespace, since)
    return context.readable(RecoveryPlan, (*objects.begun(RecoveryPlan.plural, namespace), *ended))


def find_namespace_storm(context: Context, namespace: str, limits: RecoveryPolicySpec) -> Storm | None:
    """The storm of a namespace."""
    window, cooldown = parse_duration(limits.storm.window), parse_duration(limits.storm.cooldown)
    now, opened = context.moment().latest, context.objects.created(Incident.plural, namespace)
    lately = len(opened) - bisect_left(opened, format_timestamp(now - window - cooldown))
    if lately <= limits.storm.threshold // 2:
        return None  # It was calm for long enough to end any storm, whatever came before.
    times = (datetime.fromisoformat(at) for at in opened if at)
    return find_storm(times, threshold=limits.storm.threshold, window=window, cooldown=cooldown, now=now)
