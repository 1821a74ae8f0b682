"""Diagnosis: evidence to a root cause.

Rules stand in one table, the most specific mechanism first; the first one that concludes decides. Where two causes fit
equally well, none does: no cause, no write.
"""

from collections.abc import Callable
from dataclasses import replace

from bokgu.api.fields import format_decimal
from bokgu.api.vocabulary import Confidence, RootCause, Trait
from bokgu.core.case import Case
from bokgu.core.causes import ending, health, load, revision, starting, surroundings
from bokgu.core.causes.ruled_out import rule_out
from bokgu.core.causes.verdict import Diagnosis, quote, quote_move
from bokgu.core.ecs_messages import START_FAILURES
from bokgu.core.evidence import NO_LOG_GROUP, Evidence

__all__ = ["RULES", "Diagnosis", "Rule", "diagnose"]

MAX_EVIDENCE, MAX_RULED_OUT = 16, 8
"""Lines that the status of an Incident holds."""


class Rule:
    """What it looks at, in words, the check that names a cause or says nothing, and the causes that it can name."""

    def __init__(self, looks_at: str, check: Callable[[Case], Diagnosis | None], *concludes: RootCause) -> None:
        self.looks_at = looks_at
        self.check = check
        self.concludes = concludes


RULES = (
    Rule(
        "a service that is deleted or wants no tasks",
        ending.deleted_or_scaled_to_zero,
        RootCause.HUMAN_ACTION,
    ),
    Rule(
        "instances that somebody took out of the cluster",
        ending.instances_taken_away,
        RootCause.HUMAN_ACTION,
    ),
    Rule(
        "a volume whose burst balance is spent, and containers that cannot be created",
        starting.burst_balance_spent,
        RootCause.THROTTLED,
    ),
    Rule(
        "a deployment that its own configuration leaves no room",
        starting.deployment_cannot_move,
        RootCause.SECRET_OR_CONFIG_FAILURE,
    ),
    Rule(
        "what ECS says of tasks that do not start or cannot be placed",
        starting.start_failure,
        *sorted({rule.cause for rule in START_FAILURES}),
    ),
    Rule(
        "containers that the runtime cannot start",
        starting.container_cannot_start,
        RootCause.BAD_DEPLOYMENT,
        RootCause.SECRET_OR_CONFIG_FAILURE,
    ),
    Rule(
        "containers that the kernel killed at their memory limit",
        ending.out_of_memory,
        RootCause.OUT_OF_MEMORY,
    ),
    Rule(
        "file systems that are full",
        surroundings.disk_exhausted,
        RootCause.DISK_EXHAUSTED,
    ),
    Rule(
        "stores that say their data is damaged",
        surroundings.data_corrupt,
        RootCause.DATA_CORRUPTION,
    ),
    Rule(
        "tasks whose machine was reclaimed, drained or lost",
        ending.machine_lost,
        RootCause.HOST_OR_SPOT_INTERRUPTION,
    ),
    Rule(
        "tasks that somebody stopped",
        ending.stopped_by_hand,
        RootCause.HUMAN_ACTION,
    ),
    Rule(
        "quotas that refuse calls",
        surroundings.throttled,
        RootCause.THROTTLED,
    ),
    Rule(
        "several hosts at once whose names are not resolved",
        surroundings.network_fails,
        RootCause.NETWORK_FAILURE,
    ),
    Rule(
        "settings and permissions that the application misses",
        revision.misconfigured,
        RootCause.SECRET_OR_CONFIG_FAILURE,
        RootCause.PERMISSION_DENIED,
    ),
    Rule(
        "failures in one zone only",
        health.zone_impaired,
        RootCause.NETWORK_FAILURE,
    ),
    Rule(
        "dependencies that refuse or do not answer",
        surroundings.dependency_fails,
        RootCause.DEPENDENCY_FAILURE,
    ),
    Rule(
        "more requests, and busy tasks",
        load.traffic_surge,
        RootCause.TRAFFIC_SURGE,
    ),
    Rule(
        "memory at its limit",
        load.memory_saturated,
        RootCause.MEMORY_SATURATION,
    ),
    Rule(
        "CPU that rose to its limit",
        load.cpu_saturated,
        RootCause.CPU_SATURATION,
    ),
    Rule(
        "failing health checks",
        health.health_checks_fail,
        RootCause.HEALTH_CHECK_FAILURE,
    ),
    Rule(
        "containers that end with an error of their own",
        ending.crash,
        RootCause.BAD_DEPLOYMENT,
        RootCause.APPLICATION_CRASH,
    ),
    Rule(
        "containers that were killed with memory to spare",
        ending.killed_from_outside,
        RootCause.UNKNOWN,
    ),
    Rule("what an audit trail says that somebody changed", ending.changed_by_hand, RootCause.HUMAN_ACTION),
    Rule(
        "a revision that ECS or a person has given up already",
        revision.given_up,
        RootCause.BAD_DEPLOYMENT,
        RootCause.DATA_CORRUPTION,
    ),
    Rule(
        "symptoms since a revision that takes its secrets from elsewhere",
        revision.repointed,
        RootCause.SECRET_OR_CONFIG_FAILURE,
    ),
    Rule(
        "symptoms since a new revision, with traffic as before",
        revision.bad_deployment,
        RootCause.BAD_DEPLOYMENT,
    ),
    Rule(
        "managed services in distress by their own metrics",
        surroundings.dependency_strained,
        RootCause.DEPENDENCY_FAILURE,
    ),
    Rule(
        "data that is wrong, with no other mechanism",
        surroundings.data_wrong,
        RootCause.BAD_DEPLOYMENT,
        RootCause.DATA_CORRUPTION,
    ),
    Rule(
        "how tasks ended that ECS has forgotten",
        ending.forgotten,
        RootCause.APPLICATION_CRASH,
        RootCause.HOST_OR_SPOT_INTERRUPTION,
        RootCause.HUMAN_ACTION,
        RootCause.OUT_OF_MEMORY,
    ),
)


def diagnose(evidence: Evidence) -> Diagnosis:
    """The cause of an incident. Missing and second-hand sources lower the confidence by one."""
    case = Case(evidence)
    found = next((d for rule in RULES if (d := rule.check(case))), None) or _unknown(case)
    gaps = tuple(quote("Evidence", f"not available: {gap}") for gap in evidence.missing[: MAX_EVIDENCE - 1])
    stored = any(item.source == "stored events" for item in found.evidence)
    silent = any(gap != NO_LOG_GROUP for gap in evidence.missing)
    confidence = found.confidence
    if silent or stored or (gaps and confidence is Confidence.HIGH):  # A log that nobody named costs the highest only.
        confidence = _lower(confidence)
    back = case.rollout is not None and case.rollout.gone_back
    traits = (*found.traits, Trait.ROLLED_BACK_BY_ECS) if back else found.traits
    return replace(
        found,
        confidence=confidence,
        evidence=found.evidence[: MAX_EVIDENCE - len(gaps)] + gaps,
        traits=traits,
        ruled_out=tuple(dict.fromkeys((*found.ruled_out, *rule_out(case, found.root_cause))))[:MAX_RULED_OUT],
    )


def _unknown(case: Case) -> Diagnosis:
    evidence, growth = case.evidence, case.load_growth
    items = [
        quote("GetMetricData", "traffic before and since could not be compared")
        if growth is None
        else quote("GetMetricData", f"requests are at {format_decimal(growth)} of the level before")
    ]
    items += [quote_move(metric, move) for metric, _ in case.symptoms if (move := case.move(metric))][:3]
    start = case.start_behind(case.onset)
    if start is not None:
        items.append(quote("DescribeServices", f"a new revision was deployed too: {start.revision}"))
    nothing = evidence.service is None and not evidence.metrics and not evidence.stopped_tasks
    return Diagnosis(RootCause.UNKNOWN, None if nothing or start else False, Confidence.LOW, tuple(items))


def _lower(confidence: Confidence) -> Confidence:
    return Confidence.MEDIUM if confidence is Confidence.HIGH else Confidence.LOW
