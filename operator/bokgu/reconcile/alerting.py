"""Which alerts a pass stores with its status, and what it marks as delivered. Nothing here waits for a receiver, and a
defect in it is logged and counted: alerts never fail or hold up a pass."""

from collections.abc import Callable

import structlog

from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.outbox import Addressee, Outbox
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy, RecoveryPolicyStatus
from bokgu.api.unchecked import Unreadable
from bokgu.api.vocabulary import AlertKind
from bokgu.core.alerts.notices import (
    Neighbourhood,
    list_incident_notices,
    list_namespace_notices,
    must_ask_for_storm,
    told_severities,
    worst_severity,
)
from bokgu.core.alerts.outbox import Delivery, post_notices, record_deliveries
from bokgu.core.alerts.routing import Routing, Subject, about, address_alert
from bokgu.core.storm import Storm
from bokgu.core.surroundings import Surroundings
from bokgu.kube.client import KubeError, Raw
from bokgu.metrics.alerts import ALERTS_UNDECIDED
from bokgu.reconcile.context import Context
from bokgu.reconcile.surroundings import look_around_plan

log = structlog.get_logger()


def tell_of_incident(
    context: Context, incident: Incident, status: IncidentStatus, plan: RecoveryPlan | None
) -> IncidentStatus:
    """The new status with the alerts that it brings."""

    def decide(outbox: Outbox) -> Outbox:
        namespace, service = incident.metadata.namespace, incident.spec.service_ref.name
        protected, policy = context.find(ProtectedService, namespace, service), _find_policy(context, namespace)
        environment = protected.spec.environment if protected else None
        worst, routing = worst_severity(incident, status), _routing(context, policy, outbox)
        # Who was told that it is bad is told that it is over, though it has become less bad meanwhile.
        ever = max((worst, *told_severities(outbox)), key=lambda severity: severity.rank)

        def address(kind: AlertKind) -> tuple[Addressee, ...]:
            subject = Subject(ever if kind is AlertKind.INCIDENT_RESOLVED else worst, environment, service)
            return address_alert(kind, about(kind, subject), routing)

        if not any(map(address, AlertKind)):
            return outbox
        around = Neighbourhood(breaker=protected.status.breaker if protected else None)
        if policy is None or must_ask_for_storm(outbox):
            storm = look_around_plan(context, namespace, None, policy).storm
            bears = policy is None and storm is not None and _bears(context, incident, storm)
            around = Neighbourhood(storm, tells_storm=bears, breaker=around.breaker)
        notices = list_incident_notices(incident, status, plan, around, outbox=outbox, now=context.clock())
        return post_notices(outbox, notices, address)

    return status.model_copy(update={"outbox": _decide(context, incident, status.outbox, decide)})


def tell_of_namespace(
    context: Context, policy: RecoveryPolicy, status: RecoveryPolicyStatus, around: Surroundings
) -> RecoveryPolicyStatus:
    """The new status of a policy with the alerts that a storm or an open breaker brings."""

    def decide(outbox: Outbox) -> Outbox:
        notices = list_namespace_notices(around.storm, around.namespace_breaker)
        routing = _routing(context, policy, outbox)
        return post_notices(outbox, notices, lambda kind: address_alert(kind, Subject(), routing))

    return status.model_copy(update={"outbox": _decide(context, policy, policy.status.outbox, decide)})


async def tell_of_unseen(context: Context, raw: Raw, incident: Incident) -> None:
    """Alert about an incident whose pass fails, if nobody was told of it, and go on with what waits. Raises nothing."""
    outbox = incident.status.outbox
    if must_ask_for_storm(outbox):
        outbox = tell_of_incident(context, incident, incident.status, None).outbox
    else:
        outbox = _decide(context, incident, outbox, lambda stored: stored)
    if outbox != incident.status.outbox:
        try:
            await context.write_status(Incident, raw, incident.status.model_copy(update={"outbox": outbox}))
        except KubeError:
            return  # The next pass fails too, or tells.
    outbox_stored(context, incident, outbox)


async def settle_outbox(context: Context, raw: Raw, incident: Incident) -> None:
    """Mark what was delivered of an incident that is over. Raises KubeError."""
    new = _decide(context, incident, incident.status.outbox, lambda outbox: outbox)
    if new != incident.status.outbox:
        await context.write_status(Incident, raw, incident.status.model_copy(update={"outbox": new}))
    outbox_stored(context, incident, new)


def outbox_stored(context: Context, about: Incident | RecoveryPolicy, outbox: Outbox | None) -> None:
    """The status is stored with this outbox: what waits in it may be sent."""
    context.alerting.stored(about.key, about.metadata.uid, outbox)


def _decide(
    context: Context,
    about: Incident | RecoveryPolicy,
    old: Outbox | None,
    decide: Callable[[Outbox], Outbox],
) -> Outbox | None:
    """The outbox after the decision and with what was delivered meanwhile, as the API server will take it; the old one
    after a defect."""
    delivered: tuple[Delivery, ...] = context.alerting.take(about.key, about.metadata.uid)
    try:
        new = decide(record_deliveries(old or Outbox(), delivered))
        if new == old:
            return old
        return Outbox.model_validate(new.to_dict()) if new.last else None
    except Exception:  # See above: what follows is the status of a recovery.
        ALERTS_UNDECIDED.inc()
        log.exception("alerts not decided", namespace=about.metadata.namespace, name=about.metadata.name)
        context.alerting.put_back(about.key)
        return old


def _routing(context: Context, policy: RecoveryPolicy | None, outbox: Outbox) -> Routing:
    """While the Secret was not read since the start, the receivers are those that were told before: an incident that is
    over gets no further pass in which they could be told."""
    routes, receivers = policy.spec.alerts if policy else (), context.alerting.receivers
    if receivers is None:
        receivers = frozenset(to.receiver for alert in outbox.alerts for to in alert.to)
    return Routing(routes, receivers, context.settings.language)


def _find_policy(context: Context, namespace: str) -> RecoveryPolicy | None:
    """The policy of the namespace; one that cannot be read routes nothing, and the default holds."""
    try:
        return context.find(RecoveryPolicy, namespace, POLICY_NAME)
    except Unreadable:
        return None


def _bears(context: Context, incident: Incident, storm: Storm) -> bool:
    """Whether it is the incident that tells of the storm: the first of those that made it one. It may have passed
    before they all were there, and passes again then."""
    namespace = incident.metadata.namespace
    made = [
        (opened, i.metadata.name)
        for i in context.find_all(Incident, namespace)
        if (opened := i.metadata.creation_timestamp) and opened >= storm.since
    ]
    first = min(made)[1] if made else incident.metadata.name
    if first != incident.metadata.name:
        context.enqueue((Incident.plural, namespace, first))
    return first == incident.metadata.name
