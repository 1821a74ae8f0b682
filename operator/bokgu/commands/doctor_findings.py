"""What the facts come to: every check of `bokgu doctor`, in the order in which a person would mend things."""

from collections.abc import Iterable, Iterator

from bokgu.api.observed import CallerIdentity
from bokgu.commands.doctor_facts import Facts, place_of, policies_by_namespace
from bokgu.config import Settings
from bokgu.core.doctor.aws import METRICS, check_identity, check_service, check_watch, check_watches_exist
from bokgu.core.doctor.clock import check_clock
from bokgu.core.doctor.cluster import CLUSTER, check_admission, check_cluster, check_crd
from bokgu.core.doctor.cost import Bill, check_cost, count_reads
from bokgu.core.doctor.history import check_expiry, check_history
from bokgu.core.doctor.life import check_life
from bokgu.core.doctor.outcome import Outcome, Unread, fail, not_known, warn
from bokgu.core.doctor.people import check_heartbeat, check_policies, check_receivers
from bokgu.core.doctor.permissions import check_permissions, name_identity
from bokgu.core.doctor.rights import check_rights


def judge(facts: Facts, settings: Settings) -> tuple[Outcome, ...]:
    """All outcomes."""
    return (*_cluster(facts), *_aws(facts), *_surroundings(facts, settings))


def find_bills(facts: Facts) -> tuple[Bill, ...]:
    """What a day's detection asks of CloudWatch, by scope."""
    return count_reads((watched.place, watched.watch) for watched in facts.watched)


def _cluster(facts: Facts) -> Iterator[Outcome]:
    yield check_cluster(facts.user)
    if isinstance(facts.user, Unread):
        return
    yield check_clock("API server", facts.cluster_ahead)
    for kind, crd in facts.crds.items():
        yield check_crd(kind, crd)
    yield from check_admission(facts.admission)
    yield from check_rights(facts.account, facts.rights)
    for name, unread in facts.lists.items():
        yield not_known(CLUSTER, f"{name} objects", unread, "ask for the ClusterRole bokgu-viewer, or look at -n NAME")
    for name in facts.unreadable:
        yield fail(CLUSTER, name, "this version cannot read it", "use the operator's version of bokgu, or correct it")
    yield check_life(facts.sightings, facts.now)


def _aws(facts: Facts) -> Iterator[Outcome]:
    if not facts.identities:
        hint = "create a ProtectedService, or set AWS_REGION"
        yield warn("aws", "own identity", "not asked: nothing names a region", hint)
    for place, identity in facts.identities.items():
        yield check_identity(place, identity)
    clocks = [found.ahead for found in facts.identities.values() if isinstance(found, CallerIdentity)]
    if clocks:
        known = [ahead for ahead in clocks if ahead is not None]
        yield check_clock("AWS", max(known, key=abs) if known else None)
    for protected in facts.services:
        yield check_service(protected, place_of(protected), facts.described[protected.key])
    for place, allowed in facts.allowed.items():
        caller = facts.identities[place]
        if isinstance(caller, CallerIdentity):
            yield check_permissions(place, name_identity(place, caller), allowed)
    for watched in facts.watched:
        yield check_watch(watched.watch, watched.place, watched.found)
    for name, why in facts.unwatchable.items():
        yield fail(METRICS, name, why, "correct the object: bokgu detects nothing by it")
    yield from check_watches_exist(facts.services, (watched.watch for watched in facts.watched))
    if facts.services:
        yield from check_cost(find_bills(facts), len(facts.services))


def _surroundings(facts: Facts, settings: Settings) -> Iterable[Outcome]:
    if isinstance(facts.user, Unread):
        return
    for where, found in facts.history.items():
        yield check_history(where, found)
    yield from check_expiry(facts.ttls)
    yield from check_receivers(f"{settings.namespace}/{settings.alerts_secret}", facts.receivers, facts.policies)
    if settings.heartbeat_url is not None or facts.user == facts.account:  # Whose settings these are, else, who knows.
        yield check_heartbeat(settings.heartbeat_url is not None)
    yield from check_policies(facts.services, policies_by_namespace(facts))
