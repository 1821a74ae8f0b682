"""What the operator would plan against an incident now: by its own code, on objects listed once, with no write."""

from dataclasses import dataclass
from datetime import UTC, datetime

from bokgu.api.detector import Detector
from bokgu.api.incident import Incident
from bokgu.api.meta import Gate, Resource
from bokgu.api.observed import AwsError
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.api.runbook import Runbook
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import fetch_service_deployments
from bokgu.config import Settings
from bokgu.core.approval.tally import tally_approvals
from bokgu.core.freeze import find_freeze
from bokgu.core.guards.chain import evaluate_gates
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.lifecycle import cleared, is_over
from bokgu.history.opening import open_history
from bokgu.kube.client import KubeClient, KubeError
from bokgu.reconcile.approvals import gather_requirement, know_policies
from bokgu.reconcile.context import Context
from bokgu.reconcile.incident import Around, Prospect, foresee, look_around
from bokgu.reconcile.live_state import fetch_live_state
from bokgu.reconcile.plan_facts import find_troubles
from bokgu.reconcile.role_grants import find_refusal
from bokgu.reconcile.scope import scope_key
from bokgu.reconcile.scope_memory import ScopeMemory
from bokgu.reconcile.surroundings import look_around_plan
from bokgu.reconcile.targets import find_at_work, find_elder
from bokgu.runtime.store import Store

FORBIDDEN = 403
ONE_NAMESPACE = (
    "the ProtectedServices of other namespaces may not be listed: the operator also looks whether one of them protects"
    " the same ECS service"
)

NO_OPERATOR_POLICY = (
    "the RecoveryPolicy of the operator's namespace may not be read: whether everything is paused is not known"
)

NO_CLUSTER_ID = (
    "the namespace kube-system may not be read: IAM roles that demand the operator's external id, which holds its uid,"
    " cannot be assumed"
)

LISTED: tuple[type[Resource], ...] = (RecoveryPolicy, Runbook, ProtectedService, Detector, Incident, RecoveryPlan)


@dataclass(frozen=True)
class Forecast:
    """An incident and its prospect. `notes` say why the operator does not act on it now; `gates` are those that the
    first write of the plan would meet before anybody has approved; `own_runbooks` are those of the namespace."""

    incident: Incident
    prospect: Prospect
    notes: tuple[str, ...]
    gates: tuple[Gate, ...]
    own_runbooks: frozenset[str]


async def forecast(settings: Settings, namespace: str, name: str) -> Forecast | None:
    """Look at the incident as the operator would. None where there is none. Raises KubeError."""
    kube = await KubeClient.connect()
    aws = AwsClient(
        settings.aws_endpoint_url, settings.aws_threads, settings.aws_quotas, settings.own_grant, settings.own_patterns
    )
    try:
        return await _forecast(settings, kube, aws, namespace, name)
    finally:
        await kube.close()
        aws.close()


async def _forecast(settings: Settings, kube: KubeClient, aws: AwsClient, namespace: str, name: str) -> Forecast | None:
    store, now = Store(), datetime.now(UTC)
    complete, cluster_id = await _list(kube, store, namespace), await _find_cluster_id(kube)
    pause_known = await _add_operator_policy(kube, store, settings.namespace)
    context = Context(
        kube=kube,
        aws=aws,
        history=open_history(settings, kube, aws),
        objects=store,
        settings=settings,
        cluster_id=cluster_id,
        clock=lambda: now,
        announce=lambda plural, body, own: None,
        enqueue=lambda key: None,
        started_at=now,
    ).on_behalf_of(namespace)
    incident = context.find(Incident, namespace, name)
    if incident is None:
        return None
    around = look_around(context, incident)
    await _remember_deployments(context, around.protected)
    prospect = await foresee(context, incident, around, now)
    needs_id = not cluster_id and around.protected is not None and around.protected.spec.role_arn is not None
    return Forecast(
        incident,
        prospect,
        _notes(context, incident, around)
        + (() if complete else (ONE_NAMESPACE,))
        + (() if pause_known else (NO_OPERATOR_POLICY,))
        + ((NO_CLUSTER_ID,) if needs_id else ()),
        await _gates(context, incident, around, prospect),
        frozenset(body["metadata"]["name"] for body in store.all(Runbook.plural)),
    )


async def _find_cluster_id(kube: KubeClient) -> str:
    """What the external id begins with; empty where it may not be read. Raises KubeError."""
    try:
        return await kube.cluster_id()
    except KubeError as error:
        if error.status != FORBIDDEN:
            raise
        return ""


async def _list(kube: KubeClient, store: Store, namespace: str) -> bool:
    """Take in what stands around incidents of the namespace. Whether that was all: the ProtectedServices of the others
    need the right to list them. Raises KubeError."""
    complete = True
    for kind in LISTED:
        try:
            bodies = [body async for body in kube.list(kind.plural, None if kind is ProtectedService else namespace)]
        except KubeError as error:
            if kind is not ProtectedService or error.status != FORBIDDEN:
                raise
            bodies, complete = [body async for body in kube.list(kind.plural, namespace)], False
        for body in bodies:
            store.put(kind.plural, body)
    return complete


async def _add_operator_policy(kube: KubeClient, store: Store, operator_namespace: str) -> bool:
    """Take in what may pause everything. Whether it may be read. Raises KubeError."""
    try:
        body = await kube.get(RecoveryPolicy.plural, operator_namespace, POLICY_NAME)
    except KubeError as error:
        if error.status != FORBIDDEN:
            raise
        return False
    if body is not None:
        store.put(RecoveryPolicy.plural, body)
    return True


async def _remember_deployments(context: Context, protected: ProtectedService | None) -> None:
    """What the operator knows from its last look."""
    if protected is None:
        return
    try:
        deployments = await fetch_service_deployments(context.aws, protected.spec.target)
    except AwsError:
        return
    context.scopes[scope_key(protected)] = ScopeMemory(histories={protected.key: (None, deployments)})


def _notes(context: Context, incident: Incident, around: Around) -> tuple[str, ...]:
    """Why the operator makes no plan now, whatever could be planned."""
    notes = []
    entry = incident.status.plans[-1] if incident.status.plans else None
    plan = context.find(RecoveryPlan, incident.metadata.namespace, entry.name) if entry else None
    if entry:
        phase = plan.status.phase if plan else entry.outcome or "gone"
        over = plan is None or plan.status.phase.terminal
        otherwise = "would follow, if that one does not help" if over else "would be planned if it had none"
        notes.append(f"it has plan {entry.name} already ({phase}): this is what {otherwise}")
    if is_over(incident):
        notes.append("it is resolved: nothing is planned any more")
    elif cleared(incident, around.detection, plan):
        notes.append("the trouble has gone away: nothing is planned while it stays away")
    if incident.status.classification is None:
        notes.append("the operator has not classified it yet: the cause below was told just now")
    return tuple(notes)


async def _gates(context: Context, incident: Incident, around: Around, prospect: Prospect) -> tuple[Gate, ...]:
    plan = prospect.decision.outcome if prospect.decision else None
    if not isinstance(plan, RecoveryPlan) or around.protected is None:
        return ()
    elder = find_elder(context, around.protected)
    step = next(step for step in plan.spec.steps if step.action.writes)
    policies = know_policies(context, plan.metadata.namespace)
    told = incident.status.model_copy(update={"classification": prospect.classification})
    classified = incident.model_copy(update={"status": told})
    requirement = gather_requirement(context, plan, policies.own, incident=classified, protected=around.protected)
    live, problem = None, None
    try:
        live = await fetch_live_state(context, plan, around.protected.spec.target, around.protected)
    except AwsError as error:
        problem = str(error)
    facts = GuardFacts(
        plan=plan,
        step=step,
        protected_service=around.protected,
        live=live,
        problem=problem,
        tally=tally_approvals(requirement, ()),
        elder=f"{elder.metadata.namespace}/{elder.metadata.name}" if elder else None,
        role_refused=find_refusal(context, plan.metadata.namespace, around.protected.spec.role_arn),
        at_work=find_at_work(context, plan, around.protected.spec.target),
        policies=policies,
        now=context.clock(),
        around=look_around_plan(context, plan.metadata.namespace, around.protected, policies.own.found),
        hour=context.settings.hour,
        mitigated=incident.status.mitigated_at is not None,
        frozen_by=find_freeze(
            context.find_related(Incident, plan.metadata.namespace, plan.spec.service_ref.name),
            plan.spec.incident_ref.uid,
        ),
        troubled=find_troubles(context, plan),
        minute=context.settings.minute,
    )
    return evaluate_gates(facts)
