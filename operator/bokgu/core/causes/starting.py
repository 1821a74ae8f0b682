"""Tasks that do not start, or cannot be placed: ECS says why."""

from collections import Counter

from bokgu.api.vocabulary import Confidence, RootCause, Trait
from bokgu.core.case import Case, Failure
from bokgu.core.causes.fault import brought_failure, new_tasks_fail
from bokgu.core.causes.verdict import Diagnosis, quote, quote_failures
from bokgu.core.ecs_messages import CANNOT_MOVE, CANNOT_START, HEALTH, explain_start_failure
from bokgu.core.trends import latest

BURST_LEFT = 5.0
"""Percent of an EBS volume's burst balance below which its I/O is throttled to the baseline (Amazon EBS user guide)."""

NEEDED = frozenset({RootCause.IMAGE_PULL_FAILURE, RootCause.PERMISSION_DENIED, RootCause.SECRET_OR_CONFIG_FAILURE})
"""What every task needs to start, and has no more need of once it runs: an image, a role, a secret."""


def burst_balance_spent(case: Case) -> Diagnosis | None:
    """Containers cannot be created because the volume under them is throttled."""
    spent = [
        (metric, value)
        for metric, series in case.series("BurstBalance", "EBSIOBalance%", "EBSByteBalance%")
        if (value := latest(series)) is not None and value <= BURST_LEFT
    ]
    if not spent or not case.failures:
        return None
    metric, value = spent[0]
    balance = quote("GetMetricData", f"{metric.namespace} {metric.name} is at {value:.0f} %")
    return Diagnosis(RootCause.THROTTLED, False, Confidence.MEDIUM, (balance, *quote_failures(case.failures)))


def deployment_cannot_move(case: Case) -> Diagnosis | None:
    """The service's own deployment configuration keeps a deployment from moving; no revision is at fault."""
    failures = tuple(failure for failure in case.failures if CANNOT_MOVE.search(failure.text))
    if not failures:
        return None
    return Diagnosis(RootCause.SECRET_OR_CONFIG_FAILURE, False, Confidence.HIGH, quote_failures(failures))


def start_failure(case: Case) -> Diagnosis | None:
    """The cause that most of the current failures name; the latest one's where they disagree evenly.

    A task that ran is not told here, unless the machine under it or its memory was the reason.
    """
    told = [
        (failure, cause)
        for failure in case.failures
        if (cause := _explain(failure)) not in {None, RootCause.OUT_OF_MEMORY}
    ]
    if not told:
        return None
    counts = Counter(cause for _, cause in told)
    cause = max(counts, key=lambda c: (counts[c], -[found for _, found in told].index(c)))
    if cause is None:
        return None
    failures = tuple(failure for failure, found in told if found is cause)
    items = quote_failures(failures)
    fault = brought_failure(case, cause, failures)
    sure = any(failure.task is not None for failure in failures) or cause is not RootCause.SECRET_OR_CONFIG_FAILURE
    traits = (Trait.START_FAILS,) if cause in NEEDED and not fault else ()
    return Diagnosis(cause, fault, Confidence.HIGH if sure else Confidence.MEDIUM, items, traits)


def container_cannot_start(case: Case) -> Diagnosis | None:
    """The container runtime cannot start the container: a command that is not there, a port that is taken."""
    failures = tuple(failure for failure in case.failures if CANNOT_START.search(failure.text))
    if not failures:
        return None
    items = quote_failures(failures)
    if new_tasks_fail(case, failures):
        return Diagnosis(RootCause.BAD_DEPLOYMENT, True, Confidence.HIGH, items)
    return Diagnosis(RootCause.SECRET_OR_CONFIG_FAILURE, False, Confidence.MEDIUM, items, (Trait.START_FAILS,))


def _explain(failure: Failure) -> RootCause | None:
    task = failure.task
    if HEALTH.search(failure.text):
        return None
    if task is not None and task.started_at is not None and task.stop_code == "EssentialContainerExited":
        return None
    return explain_start_failure(failure.text)
