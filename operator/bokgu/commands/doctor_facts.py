"""What `bokgu doctor` looks at: everything is asked for, and what does not answer hides nothing else."""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError
from pydantic import ValidationError

from bokgu.api.crds import KINDS
from bokgu.api.detector import Detector
from bokgu.api.fields import bounded
from bokgu.api.history import HistoryError, Question
from bokgu.api.meta import Resource
from bokgu.api.observed import AwsError, CallerIdentity, EcsService, Series, Verdict
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.api.role_grants import grant_roles
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import IncidentType
from bokgu.aws.client import AwsClient
from bokgu.aws.ecs import fetch_service, fetch_task_definition
from bokgu.aws.iam import simulate
from bokgu.aws.identity import fetch_identity
from bokgu.aws.series import fetch_sources
from bokgu.commands.iam_policy import find_own
from bokgu.config import HistoryBackend, Settings
from bokgu.core.approval.admission import APPROVAL_POLICY, HISTORY_POLICY, STATUS_POLICY
from bokgu.core.doctor.aws import Place
from bokgu.core.doctor.cluster import FoundCrd
from bokgu.core.doctor.life import Sighting, read_sighting
from bokgu.core.doctor.outcome import Unread
from bokgu.core.doctor.permissions import name_identity
from bokgu.core.doctor.rights import Right, list_rights
from bokgu.core.iam.identities import ANY, Identity, find_identities
from bokgu.core.iam.simulation import list_simulations
from bokgu.core.presets import build_watch
from bokgu.core.watch import Source, Watch, watch_of
from bokgu.history.cluster import ClusterHistory
from bokgu.history.opening import open_history, open_tables
from bokgu.history.setup import read_ttl
from bokgu.kube.client import FIELD_MANAGER, KubeClient, KubeError

R = TypeVar("R", bound=Resource)
T = TypeVar("T")

ACCOUNT = "bokgu"
"""Name of the operator's service account (deploy/account.yaml)."""
AT_ONCE = 8
"""Questions to the API server, and watches that AWS is asked about, under way at the same time."""
LIVELY: tuple[type[Resource], ...] = (ProtectedService, Detector, RecoveryPolicy, Runbook)
"""Kinds that people write and whose status the operator writes at once."""

_DENIED = frozenset({401, 403})

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Watched:
    """A watch, whose eyes see it, and what CloudWatch answered by query."""

    place: Place
    watch: Watch
    found: Mapping[str, Series | AwsError] | Unread


@dataclass
class Facts:
    """All that was gathered. What could not be is Unread, or says why in its own words."""

    now: datetime
    user: str | Unread
    account: str
    cluster_ahead: timedelta | None = None
    crds: dict[type[Resource], FoundCrd] = field(default_factory=dict)
    admission: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None] | Unread] = field(default_factory=dict)
    rights: Mapping[Right, bool] | Unread = field(default_factory=dict)
    sightings: tuple[Sighting, ...] = ()
    lists: dict[str, Unread] = field(default_factory=dict)
    """What could not be listed, by kind."""
    services: tuple[ProtectedService, ...] = ()
    detectors: tuple[Detector, ...] = ()
    policies: tuple[RecoveryPolicy, ...] = ()
    unreadable: tuple[str, ...] = ()
    cluster_id: str = ""
    identities: dict[Place, CallerIdentity | AwsError | Unread] = field(default_factory=dict)
    described: dict[Key, EcsService | AwsError | Unread] = field(default_factory=dict)
    allowed: dict[Place, tuple[Verdict, ...] | AwsError] = field(default_factory=dict)
    """What IAM says of all that each identity needs that AWS knows; a role is asked about once, where it is named
    first."""
    watched: tuple[Watched, ...] = ()
    unwatchable: dict[str, str] = field(default_factory=dict)
    """Why what an object asks for cannot be watched, by its name."""
    history: dict[str, int | HistoryError | Unread] = field(default_factory=dict)
    ttls: dict[str, str | HistoryError | None] = field(default_factory=dict)
    receivers: frozenset[str] | Unread | None = None


async def gather_facts(settings: Settings, namespace: str | None) -> Facts:
    """Look at the cluster and AWS; `namespace` None is all of them. Raises nothing that a check can tell."""
    facts = Facts(datetime.now(UTC), Unread("not asked"), f"system:serviceaccount:{settings.namespace}:{ACCOUNT}")
    aws, kube = _open_aws(settings), None
    try:
        try:
            kube = await KubeClient.connect()
            await _see_cluster(facts, kube, settings, namespace)
        except KubeError as error:
            facts.user = _unread(error)
        await _see_aws(facts, aws, settings)
        await _see_history(facts, kube, aws, settings)
    finally:
        if kube is not None:
            await kube.close()
        if isinstance(aws, AwsClient):
            aws.close()
    return facts


def _open_aws(settings: Settings) -> AwsClient | AwsError:
    """A client, or why there is none: a profile that is not there, a file that cannot be read."""
    try:
        return AwsClient(
            settings.aws_endpoint_url,
            settings.aws_threads,
            settings.aws_quotas,
            settings.own_grant,
            settings.own_patterns,
        )
    except BotoCoreError as error:
        return AwsError("Session", "NoSession", str(error), sent=False)


# The cluster


async def _see_cluster(facts: Facts, kube: KubeClient, settings: Settings, namespace: str | None) -> None:
    """Raises KubeError where the API server does not answer at all."""
    user, _ = await kube.who_am_i()
    facts.user, facts.cluster_ahead = user, kube.clock_ahead
    facts.now = datetime.now(UTC) + kube.clock_ahead
    served = await _try(kube.served_kinds())
    crds = await asyncio.gather(*(_find_crd(kube, kind, served) for kind in KINDS))
    facts.crds = dict(zip(KINDS, crds, strict=True))
    names = (STATUS_POLICY, APPROVAL_POLICY, HISTORY_POLICY)
    policies = await asyncio.gather(*(_try(kube.admission_policy(name)) for name in names))
    facts.admission = dict(zip(names, policies, strict=True))
    facts.rights = await _ask_rights(kube, facts.account, settings, user)
    cluster_id = await _try(kube.cluster_id())
    facts.cluster_id = "" if isinstance(cluster_id, Unread) else cluster_id
    await _list_objects(facts, kube, namespace)
    secret = await _try_secret(kube, settings)
    facts.receivers = frozenset(secret) if isinstance(secret, Mapping) else secret


async def _find_crd(kube: KubeClient, kind: type[Resource], served: frozenset[str] | Unread) -> FoundCrd:
    if isinstance(served, Unread):
        return FoundCrd(served, True)
    body = await _try(kube.crd(kind))
    there = kind.plural in served
    if not isinstance(body, Unread) or not there:
        return FoundCrd(body, there)
    selects = await _try(kube.selects(kind))
    return FoundCrd(body, there, selects if isinstance(selects, bool) else True)


async def _ask_rights(kube: KubeClient, account: str, settings: Settings, user: str) -> Mapping[Right, bool] | Unread:
    """Whether the account has each right; asked about oneself where that is who one is."""
    home = settings.namespace
    renamed = {
        "bokgu-signers": settings.signers_config_map,
        "bokgu-alerts": settings.alerts_secret,
        "bokgu-alert-templates": settings.alert_templates_config_map,
    }
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{home}", "system:authenticated")
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(right: Right) -> bool:
        about = {"namespace": right.namespace, "verb": right.verb, "resource": right.resource, "name": right.name}
        async with room:
            if user == account:
                return await kube.may_i(**about, group=right.group)
            return await kube.may(account, groups, **about, group=right.group)

    rights = list_rights(home, renamed)
    try:
        first = await ask(rights[0])  # Who may not ask is refused once, and not fifty times.
        answers = await asyncio.gather(*(ask(right) for right in rights[1:]))
    except KubeError as error:
        return _unread(error)
    return dict(zip(rights, (first, *answers), strict=True))


async def _list_objects(facts: Facts, kube: KubeClient, namespace: str | None) -> None:
    bodies: dict[type[Resource], list[dict[str, Any]]] = {}
    for kind in LIVELY:
        found = await _try(_list(kube, kind, namespace))
        if isinstance(found, Unread):
            facts.lists[kind.kind_name] = found
        bodies[kind] = [] if isinstance(found, Unread) else found
    unreadable: list[str] = []
    facts.services = _parse(ProtectedService, bodies[ProtectedService], unreadable)
    facts.detectors = _parse(Detector, bodies[Detector], unreadable)
    facts.policies = _parse(RecoveryPolicy, bodies[RecoveryPolicy], unreadable)
    facts.unreadable = tuple(unreadable)
    facts.sightings = tuple(
        read_sighting(kind.kind_name, body, FIELD_MANAGER) for kind, found in bodies.items() for body in found
    )


async def _list(kube: KubeClient, kind: type[Resource], namespace: str | None) -> list[dict[str, Any]]:
    return [body async for body in kube.list(kind.plural, namespace)]


def _parse(kind: type[R], bodies: Iterable[dict[str, Any]], unreadable: list[str]) -> tuple[R, ...]:
    found = []
    for body in bodies:
        try:
            found.append(kind.model_validate(body))
        except ValidationError:
            unreadable.append(f"{kind.kind_name} {body['metadata']['namespace']}/{body['metadata']['name']}")
    return tuple(found)


async def _try_secret(kube: KubeClient, settings: Settings) -> Mapping[str, str] | Unread | None:
    try:
        return await kube.secret(settings.namespace, settings.alerts_secret)
    except KubeError as error:
        return _unread(error)
    except ValueError:
        return Unread("it holds what is no base64")


async def _try(asked: Awaitable[T]) -> T | Unread:
    try:
        return await asked
    except KubeError as error:
        return _unread(error)


def _unread(error: KubeError) -> Unread:
    return Unread(bounded(str(error)), forbidden=error.status in _DENIED)


# AWS


def place_of(protected: ProtectedService) -> Place:
    """Whose eyes see the service, and where (reconcile.scope)."""
    spec = protected.spec
    namespace = protected.metadata.namespace if spec.role_arn else ""
    return Place(spec.region, spec.role_arn, namespace)


def _places_of(protected: ProtectedService) -> Iterable[Place]:
    """Also those of roles that do nothing but what people let them do."""
    yield place_of(protected)
    spec, namespace = protected.spec, protected.metadata.namespace
    for limits in (spec.run_task, spec.automation):
        if limits is not None and spec.mode.runs:
            yield Place(spec.region, limits.role_arn, namespace)


async def _see_aws(facts: Facts, aws: AwsClient | AwsError, settings: Settings) -> None:
    places = list(dict.fromkeys(place for protected in facts.services for place in _places_of(protected)))
    regions = [place.region for place in places] or ([settings.history_region] if settings.history_region else [])
    own = [Place(region) for region in dict.fromkeys(regions)]
    if isinstance(aws, AwsError):
        facts.identities = dict.fromkeys((*own, *places), aws)
        facts.described = {p.key: Unread("AWS is not asked at all") for p in facts.services}
        facts.watched = tuple(replace(one, found=Unread("AWS is not asked at all")) for one in _find_watches(facts))
        return
    clients = {place: _client(facts, aws, settings, place) for place in (*own, *places)}
    asked = await asyncio.gather(*(_identify(facts, settings, *pair) for pair in clients.items()))
    facts.identities = dict(zip(clients, asked, strict=True))
    room = asyncio.Semaphore(AT_ONCE)

    async def describe(protected: ProtectedService) -> EcsService | AwsError | Unread:
        place = place_of(protected)
        if (why := _unreached(facts, place)) is not None:
            return why
        async with room:
            try:
                return await fetch_service(clients[place], protected.spec.target, datetime.now(UTC))
            except AwsError as error:
                return error

    async def measure(watched: Watched) -> Watched:
        if (why := _unreached(facts, watched.place)) is not None:
            return replace(watched, found=why)
        async with room:
            return replace(watched, found=await _measure(clients[watched.place], watched))

    described = await asyncio.gather(*(describe(protected) for protected in facts.services))
    facts.described = {p.key: found for p, found in zip(facts.services, described, strict=True)}
    facts.watched = tuple(await asyncio.gather(*(measure(watched) for watched in _find_watches(facts))))
    facts.allowed = await _ask_iam(facts, clients, settings)


async def _ask_iam(
    facts: Facts, clients: Mapping[Place, AwsClient], settings: Settings
) -> dict[Place, tuple[Verdict, ...] | AwsError]:
    """Whether each identity may do what is configured, asked as itself."""
    own = next((found for place, found in facts.identities.items() if place.role_arn is None), None)
    account = own.account if isinstance(own, CallerIdentity) else ANY
    operator = replace(find_own(settings, facts.services), account=account, cluster_id=facts.cluster_id)
    passed = await _find_passed_roles(facts, clients)
    found: dict[Place, tuple[Verdict, ...] | AwsError] = {}
    for identity in find_identities(facts.services, facts.detectors, operator):
        place = next((place for place in clients if place.role_arn == identity.role_arn), None)
        if place is None or not identity.subjects:
            continue  # The history's role: it is asked live.
        caller = facts.identities[place]
        if isinstance(caller, CallerIdentity):
            subjects = tuple(
                replace(s, passed_roles=passed.get((s.place.region, s.cluster, s.service), ()))
                for s in identity.subjects
            )
            arn = name_identity(place, caller)
            found[place] = await _simulate(clients[place], place, arn, replace(identity, subjects=subjects))
    return found


async def _find_passed_roles(facts: Facts, clients: Mapping[Place, AwsClient]) -> Mapping[Key, tuple[str, ...]]:
    """The roles of each service's task definition, by region, cluster and service, where it can be read."""
    found: dict[Key, tuple[str, ...]] = {}
    for protected in facts.services:
        service, spec = facts.described.get(protected.key), protected.spec
        if not isinstance(service, EcsService):
            continue
        try:
            definition = await fetch_task_definition(clients[place_of(protected)], spec.target, service.task_definition)
        except AwsError:
            continue  # That it may not be read is what IAM says, too.
        roles = (definition.settings.get(name) for name in ("taskRoleArn", "executionRoleArn"))
        found[spec.region, spec.ecs.cluster.rpartition("/")[2], spec.ecs.service] = tuple(filter(None, roles))
    return found


async def _simulate(aws: AwsClient, place: Place, arn: str, identity: Identity) -> tuple[Verdict, ...] | AwsError:
    verdicts: list[Verdict] = []
    for one in list_simulations(identity):
        try:
            verdicts += await simulate(
                aws, arn, one.actions, one.resources, one.context, region=place.region, role_arn=place.role_arn
            )
        except AwsError as error:
            return error
    return tuple(verdicts)


def _client(facts: Facts, aws: AwsClient, settings: Settings, place: Place) -> AwsClient:
    if place.role_arn is None:
        return aws
    return aws.with_grant(grant_roles(settings.assumable_roles, facts.cluster_id, place.namespace))


async def _identify(
    facts: Facts, settings: Settings, place: Place, aws: AwsClient
) -> CallerIdentity | AwsError | Unread:
    """Who one is as the place sees it. A role is not assumed in another way than the operator does."""
    if place.role_arn is not None and not settings.assumable_roles:
        return Unread("BOKGU_ASSUMABLE_ROLES is not set here, so no role is assumed", forbidden=True)
    if place.role_arn is not None and not facts.cluster_id:
        return Unread("the namespace kube-system may not be read, whose uid begins the external id", forbidden=True)
    try:
        return await fetch_identity(aws, region=place.region, role_arn=place.role_arn)
    except AwsError as error:
        return error


def _unreached(facts: Facts, place: Place) -> Unread | None:
    known = isinstance(facts.identities[place], CallerIdentity)
    return None if known else Unread(f"AWS does not answer as {place}")


def _find_watches(facts: Facts) -> Sequence[Watched]:
    """All that is asked of CloudWatch; what cannot be is noted."""
    found: list[Watched] = []
    services = {(p.metadata.namespace, p.metadata.name): p for p in facts.services}
    for protected in facts.services:
        groups = protected.status.service.target_groups if protected.status.service else ()
        try:
            watch = build_watch(protected, groups)
        except ValueError as error:
            facts.unwatchable[f"Preset {protected.metadata.namespace}/{protected.metadata.name}"] = str(error)
            continue
        if watch.queries:
            found.append(Watched(place_of(protected), watch, {}))
    for detector in facts.detectors:
        metadata, name = detector.metadata, detector.spec.service_ref.name
        owner = services.get((metadata.namespace, name))
        if owner is None:
            why = f"there is no ProtectedService {name}: create it"
            facts.unwatchable[f"Detector {metadata.namespace}/{metadata.name}"] = why
        elif not detector.spec.suspend:
            found.append(Watched(place_of(owner), watch_of(detector), {}))
    return found


async def _measure(aws: AwsClient, watched: Watched) -> Mapping[str, Series | AwsError]:
    """What CloudWatch and CloudWatch Logs answer for the watch's window."""
    now, watch, place = datetime.now(UTC), watched.watch, watched.place
    starts: dict[Source, datetime] = dict.fromkeys(watch.sources.values(), now - watch.lookback)
    answers = await fetch_sources(aws, starts, now, region=place.region, role_arn=place.role_arn)
    return {query: answers[source] for query, source in watch.sources.items()}


# The history


async def _see_history(facts: Facts, kube: KubeClient | None, aws: AwsClient | AwsError, settings: Settings) -> None:
    """Ask the history as an incident would."""
    dynamodb = settings.history is HistoryBackend.DYNAMODB
    if kube is None or (dynamodb and isinstance(aws, AwsError)):
        return  # What is missing for it is told by itself.
    history = ClusterHistory(kube) if isinstance(aws, AwsError) else open_history(settings, kube, aws)
    for protected in facts.services:
        metadata, environment = protected.metadata, protected.spec.environment
        where = f"tables of {environment}" if dynamodb else f"ConfigMaps of {metadata.namespace}"
        if where in facts.history:
            continue
        question = Question(metadata.namespace, environment, metadata.name, IncidentType.SERVICE_DOWN)
        try:
            facts.history[where] = len(await history.find(question))
        except HistoryError as error:
            forbidden = error.reason == "Forbidden"
            facts.history[where] = Unread(error.message, forbidden=True) if forbidden else error
        if dynamodb and isinstance(aws, AwsClient):
            try:
                facts.ttls[environment] = await read_ttl(aws, open_tables(settings, aws).place(environment))
            except HistoryError as error:
                facts.ttls[environment] = error


def policies_by_namespace(facts: Facts) -> Mapping[str, RecoveryPolicy] | Unread:
    """The policy of each namespace."""
    if (unread := facts.lists.get(RecoveryPolicy.kind_name)) is not None:
        return unread
    return {p.metadata.namespace: p for p in facts.policies if p.metadata.name == POLICY_NAME}
