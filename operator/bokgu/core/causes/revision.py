"""Trouble that a new revision brought, with no mechanism more specific than that."""

from bokgu.api.fields import format_decimal
from bokgu.api.incident import EvidenceItem
from bokgu.api.vocabulary import Confidence, IncidentType, RootCause
from bokgu.core.case import Case, path_members
from bokgu.core.causes.load import SURGE_RATIO
from bokgu.core.causes.verdict import Diagnosis, quote, quote_signs
from bokgu.core.log_signs import Sign


def misconfigured(case: Case) -> Diagnosis | None:
    """The application says that a setting is missing or wrong, or a permission."""
    lines = case.shown(Sign.MISCONFIGURED)
    denied = case.shown(Sign.DENIED)
    if (not lines and not denied) or case.given_up is not None:
        return None
    fault = case.only_new_tasks(case.current_stops) or case.blames_revision
    start = case.start_behind(case.onset)
    if start is not None and any(found.line.at and found.line.at < start.at for found in lines or denied):
        fault = False  # The revision before said so too.
    cause = RootCause.SECRET_OR_CONFIG_FAILURE if lines else RootCause.PERMISSION_DENIED
    return Diagnosis(
        cause,
        fault,
        Confidence.HIGH,
        (*quote_signs(lines or denied), *_changes(case, "environment", "environmentFiles", "secrets")),
    )


def given_up(case: Case) -> Diagnosis | None:
    """ECS or a person has already gone back, and the trouble was there before they did."""
    back = case.given_up
    if back is None:
        return None
    cause = RootCause.BAD_DEPLOYMENT
    if case.evidence.incident_type is IncidentType.DATA_CORRUPTION:
        cause = RootCause.DATA_CORRUPTION
    name = back.deployment.task_definition.rsplit("/", 1)[-1]
    item = quote("DescribeServices", f"the service went back to {name}; what came before it is given up")
    return Diagnosis(cause, True, Confidence.MEDIUM, (item, *quote_signs(case.shown(Sign.CRASHED))))


def repointed(case: Case) -> Diagnosis | None:
    """The trouble began with a revision that takes its secrets from elsewhere."""
    if not case.blames_revision or not case.changed("secrets", "environmentFiles"):
        return None
    return Diagnosis(
        RootCause.SECRET_OR_CONFIG_FAILURE,
        True,
        Confidence.MEDIUM,
        (_began(case), *_changes(case, "secrets", "environmentFiles")),
    )


def bad_deployment(case: Case) -> Diagnosis | None:
    """The symptoms began with a new revision, and the traffic is as before."""
    if (
        not case.onset_after_rollout
        or not case.is_new_revision
        or case.evidence.incident_type is IncidentType.DATA_CORRUPTION
    ):
        return None
    growth = case.load_growth
    if growth is not None and growth >= SURGE_RATIO:
        return None
    items = [_began(case)]
    if growth is not None:
        items.append(quote("GetMetricData", f"traffic did not grow: {format_decimal(growth)} of the level before"))
    items.extend(quote_signs(case.shown(Sign.CRASHED, Sign.POOL_EXHAUSTED, Sign.NOT_DECODED)))
    return Diagnosis(
        RootCause.BAD_DEPLOYMENT,
        True,
        Confidence.HIGH if growth is not None and case.onset_with_rollout else Confidence.MEDIUM,
        tuple(items),
    )


def _began(case: Case) -> EvidenceItem:
    onset, start = case.onset, case.start_behind(case.onset)
    if start is None or onset is None:
        raise ValueError("only for trouble that began with a deployment")
    seconds = max(0, int((onset - start.at).total_seconds()))
    return quote("DescribeServices", f"{start.revision} was deployed {seconds} s before the trouble ({start.state})")


def _changes(case: Case, *words: str) -> tuple[EvidenceItem, ...]:
    """Which settings changed; their values stay where they are, they may be secret."""
    paths = [path for path in case.changes if not path_members(path).isdisjoint(words)]
    return (quote("DescribeTaskDefinition", f"changed: {', '.join(paths[:5])}"),) if paths else ()
