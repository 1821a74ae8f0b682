"""What the service needs and does not get: answers, names, quotas, disk space, sound data."""

from bokgu.api.incident import EvidenceItem
from bokgu.api.vocabulary import Confidence, IncidentType, RootCause
from bokgu.core.case import Case
from bokgu.core.causes.verdict import Diagnosis, quote, quote_move, quote_signs
from bokgu.core.log_signs import Sign, find_hosts, find_sites
from bokgu.core.trends import latest

FULL = 95.0
"""Percent of a file system from where on writes begin to fail for want of space [experience]."""

SEVERAL = 2
"""Hosts whose names are not resolved at once, or unrelated ones that do not answer, from where on it is the network."""

THROTTLE_METRICS = (
    "AWS/DynamoDB WriteThrottleEvents",
    "AWS/DynamoDB ReadThrottleEvents",
    "AWS/DynamoDB ThrottledRequests",
    "AWS/Kinesis WriteProvisionedThroughputExceeded",
    "AWS/Kinesis ReadProvisionedThroughputExceeded",
    "AWS/Lambda Throttles",
)
CREDITS = ("AWS/EFS BurstCreditBalance", "AWS/EFS PermittedThroughput", "AWS/EC2 CPUCreditBalance")
SPENT = 0.05
"""Part of a credit balance that is as good as none: the resource falls to its baseline."""

FILE_SYSTEMS = (
    "instance_filesystem_utilization",
    "EBSFilesystemUtilization",
    "EphemeralStorageUtilization",
    "disk_used_percent",
)
DEPENDENCIES = ("AWS/RDS", "AWS/ElastiCache", "AWS/ES", "AWS/Kafka", "AWS/DocDB", "AWS/Neptune", "AWS/AmazonMQ",
                "AWS/MemoryDB", "AWS/DAX", "AWS/Redshift")  # fmt: skip
"""Namespaces of managed services that a service depends on."""

DISTRESS = {
    "ClusterIndexWritesBlocked": True,
    "ClusterStatus.red": True,
    "DBLoad": True,
    "ReplicaLag": True,
    "ReplicationLag": True,
    "DiskQueueDepth": True,
    "SwapUsage": True,
    "Evictions": True,
    "FreeStorageSpace": False,
    "FreeableMemory": False,
    "BurstBalance": False,
    "CPUCreditBalance": False,
}
"""Metrics of theirs that tell of distress when they rise (True) or fall (False)."""


def throttled(case: Case) -> Diagnosis | None:
    """An API that the service needs, or its quota, refuses calls."""
    moves = [
        (metric, move)
        for metric, series in case.series(*THROTTLE_METRICS)
        if (move := case.move(metric)) is not None and move.since > move.before
    ]
    moves += [
        (metric, move)
        for metric, series in case.series(*CREDITS)
        if (move := case.move(metric)) is not None and move.since <= SPENT * move.before
    ]
    lines = case.shown(Sign.THROTTLED)
    if not moves and (not lines or case.onset_with_rollout):
        return None
    items = (*(quote_move(metric, move) for metric, move in moves), *quote_signs(lines))
    return Diagnosis(RootCause.THROTTLED, False, Confidence.HIGH if moves else Confidence.MEDIUM, items)


def disk_exhausted(case: Case) -> Diagnosis | None:
    """A file system that the tasks themselves write to is full."""
    full = [
        quote("GetMetricData", f"{metric.namespace} {metric.name} is at {value:.0f} %")
        for metric, series in case.series(*FILE_SYSTEMS)
        if (value := latest(series)) is not None and value >= FULL
    ]
    used, reserved = case.level("EphemeralStorageUtilized"), case.level("EphemeralStorageReserved")
    if used is not None and reserved and 100 * used / reserved >= FULL:
        full.append(quote("GetMetricData", f"{used:.1f} of {reserved:.1f} GB of ephemeral storage are used"))
    lines = case.shown(Sign.DISK_FULL)
    if not full and not lines:
        return None
    fault = _filled_by_rollout(case) or (case.blames_revision and case.changed("ephemeralStorage", "volumes"))
    sure = Confidence.HIGH if full and lines else Confidence.MEDIUM
    return Diagnosis(RootCause.DISK_EXHAUSTED, fault, sure, (*full, *quote_signs(lines)))


def _filled_by_rollout(case: Case) -> bool:
    """Whether the tasks' own disks began to fill when the new revision took over."""
    moves = [case.move(metric) for metric, _ in case.series("EphemeralStorageUtilized", "EphemeralStorageUtilization")]
    return any(
        move is not None and move.since > move.before and case.took_over(move.at) and case.is_new_revision
        for move in moves
    )


def data_corrupt(case: Case) -> Diagnosis | None:
    """A store or a driver says that stored data is damaged."""
    lines = case.shown(Sign.CORRUPT)
    if not lines:
        return None
    return Diagnosis(RootCause.DATA_CORRUPTION, False, Confidence.HIGH, quote_signs(lines))


def network_fails(case: Case) -> Diagnosis | None:
    """Several unrelated hosts cannot be resolved or reached at once, or the way out of the network is full."""
    unresolved = case.shown(Sign.NAMES_NOT_RESOLVED)
    silent = case.shown(Sign.NAMES_NOT_RESOLVED, Sign.NO_ANSWER, Sign.REFUSED)
    full = [
        quote_move(metric, move)
        for metric, _ in case.series("AWS/NATGateway ErrorPortAllocation", "AWS/NATGateway PacketsDropCount")
        if (move := case.move(metric)) is not None and move.since > move.before
    ]
    other = case.under_way and bool(silent) and case.uses_other_network
    hosts = find_hosts(unresolved)
    if len(hosts) < SEVERAL:
        hosts = find_sites(find_hosts(case.shown(Sign.NO_ANSWER)))
    if len(hosts) < SEVERAL and not full and not other:
        return None
    named = (quote("FilterLogEvents", f"out of reach at once: {', '.join(sorted(hosts))}"),) if hosts else ()
    if other:
        named = (
            *named,
            quote("DescribeServices", "the new revision is in another network: subnets or security groups"),
        )
    return Diagnosis(RootCause.NETWORK_FAILURE, other, Confidence.HIGH, (*full, *named, *quote_signs(silent)))


def dependency_fails(case: Case) -> Diagnosis | None:
    """What the service calls refuses, does not answer, or is itself in trouble.

    Where that begins with a new revision, it may be the new code that asks too much: that is not told here, unless
    connections are refused outright.
    """
    hard = case.shown(Sign.REFUSED, Sign.DEPENDENCY_FULL, Sign.NAMES_NOT_RESOLVED)
    soft = case.shown(Sign.NO_ANSWER, Sign.POOL_EXHAUSTED)
    moves = _dependency_moves(case)
    with_rollout = case.onset_with_rollout or case.only_new_tasks(case.current_stops)
    if not hard and not case.shown(Sign.NO_ANSWER) and not (moves and soft):
        return None
    if with_rollout and (not hard or _repointed(case)):
        return None
    items = (*quote_signs(hard), *quote_signs(soft), *moves)
    sure = Confidence.HIGH if moves or len(hard) > 1 else Confidence.MEDIUM
    return Diagnosis(
        RootCause.DEPENDENCY_FAILURE, None if with_rollout else False, Confidence.LOW if with_rollout else sure, items
    )


def _dependency_moves(case: Case) -> tuple[EvidenceItem, ...]:
    return tuple(
        quote_move(metric, move)
        for metric in case.evidence.metrics
        if metric.namespace in DEPENDENCIES and (move := case.move(metric)) is not None
    )[:2]


def _repointed(case: Case) -> bool:
    return case.changed("environment", "secrets", "environmentFiles")


def dependency_strained(case: Case) -> Diagnosis | None:
    """A managed service that this one needs is in distress, by its own metrics, and no log line says so."""
    moves = [
        quote_move(metric, move)
        for metric in case.evidence.metrics
        if metric.namespace in DEPENDENCIES
        and metric.name in DISTRESS
        and (move := case.move(metric)) is not None
        and (move.since > move.before) is DISTRESS[metric.name]
    ]
    if not moves or case.onset_with_rollout:
        return None
    return Diagnosis(RootCause.DEPENDENCY_FAILURE, False, Confidence.MEDIUM, tuple(moves))


def data_wrong(case: Case) -> Diagnosis | None:
    """Data is wrong, and nothing else explains it: people look before anything is done.

    Messages that nobody can decode since a new revision are parked, not lost: that is the revision's fault, and
    going back helps.
    """
    if case.evidence.incident_type is not IncidentType.DATA_CORRUPTION:
        return None
    undecoded = case.shown(Sign.NOT_DECODED)
    if undecoded and case.blames_revision and not case.shown(Sign.MIGRATED):
        return Diagnosis(RootCause.BAD_DEPLOYMENT, True, Confidence.MEDIUM, quote_signs(undecoded))
    items = (*quote_signs(case.shown(Sign.MIGRATED, Sign.NOT_DECODED)), *_symptom_moves(case))
    fault = case.onset_after_rollout and case.is_new_revision
    new = (quote("DescribeServices", "it began with the deployment of a new revision"),) if fault else ()
    text = quote("Incident", "data is reported wrong, and no mechanism in the service explains it")
    return Diagnosis(RootCause.DATA_CORRUPTION, fault, Confidence.MEDIUM, (text, *items, *new))


def _symptom_moves(case: Case) -> tuple[EvidenceItem, ...]:
    return tuple(quote_move(metric, move) for metric, _ in case.symptoms if (move := case.move(metric)) is not None)[:2]
