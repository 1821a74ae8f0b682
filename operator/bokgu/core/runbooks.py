"""Which runbook is for an incident. Deterministic: same runbooks, same incident, same choice.

A runbook that a ProtectedService names comes first; then the one whose selector says most about the service, then the
highest priority, then the one that says most about the trouble, then the first name.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bokgu.api.fields import parse_duration
from bokgu.api.runbook import NO_CAUSE, Runbook, RunbookSpec
from bokgu.api.vocabulary import Action, IncidentType, RootCause, Trait
from bokgu.core.building.step import estimate_step
from bokgu.core.templates import find_unknown_fields

MAX_RUNGS = 8
"""Runbooks after the first one that are looked at: who needs more of them needs a person."""


@dataclass(frozen=True)
class Consideration:
    """A runbook, and why it is not for the incident; `reason` None: it is."""

    runbook: Runbook
    reason: str | None


@dataclass(frozen=True)
class Unusable:
    """Why a runbook cannot be used as it is written: a CamelCase reason, and a sentence."""

    reason: str
    message: str


def choose_runbook(
    runbooks: Iterable[Runbook],
    *,
    incident_type: IncidentType,
    root_cause: RootCause,
    new_revision_at_fault: bool | None,
    traits: Collection[Trait],
    labels: Mapping[str, str],
    environment: str,
    named: Sequence[str] = (),
) -> Runbook | None:
    """The runbook for that incident, or None: then only a person can help.

    `labels` and `environment` are the ProtectedService's, `named` is its `spec.runbooks`.
    """
    considered = consider_runbooks(
        runbooks,
        incident_type=incident_type,
        root_cause=root_cause,
        new_revision_at_fault=new_revision_at_fault,
        traits=traits,
        labels=labels,
        environment=environment,
        named=named,
    )
    return next((c.runbook for c in considered if c.reason is None), None)


def consider_runbooks(
    runbooks: Iterable[Runbook],
    *,
    incident_type: IncidentType,
    root_cause: RootCause,
    new_revision_at_fault: bool | None,
    traits: Collection[Trait],
    labels: Mapping[str, str],
    environment: str,
    named: Sequence[str] = (),
) -> tuple[Consideration, ...]:
    """All runbooks in the order of preference, each with the reason why it is not for the incident."""

    def rank(runbook: Runbook) -> tuple[int, int, int, tuple[int, ...], str]:
        spec, name = runbook.spec, runbook.metadata.name
        place = named.index(name) if name in named else len(named)
        selector = spec.service_selector.specificity if spec.service_selector else 0
        said = (
            len(spec.traits),
            spec.new_revision_at_fault is not None,
            bool(spec.root_causes),
            bool(spec.incident_types),
        )
        return (place, -selector, -spec.priority, tuple(-int(s) for s in said), name)

    def judge(runbook: Runbook) -> str | None:
        if runbook.spec.only_by_name and runbook.metadata.name not in named:
            return "chosen only by name"
        return find_mismatch(
            runbook,
            incident_type=incident_type,
            root_cause=root_cause,
            new_revision_at_fault=new_revision_at_fault,
            traits=traits,
            labels=labels,
            environment=environment,
        )

    return tuple(Consideration(r, judge(r)) for r in sorted(runbooks, key=rank))


def find_mismatch(
    runbook: Runbook,
    *,
    incident_type: IncidentType,
    root_cause: RootCause,
    new_revision_at_fault: bool | None,
    traits: Collection[Trait],
    labels: Mapping[str, str],
    environment: str,
) -> str | None:
    """Why the runbook is not against that trouble of that service, or None. Who may choose it does not matter here."""
    spec = runbook.spec
    if spec.service_selector is not None and not spec.service_selector.matches(labels, environment):
        return "its serviceSelector is for other services"
    if (unusable := find_unusable(runbook)) is not None:
        return unusable.message
    if spec.incident_types and incident_type not in spec.incident_types:
        return f"it is for {', '.join(spec.incident_types)}"
    if spec.root_causes and root_cause not in spec.root_causes:
        return f"it is against {', '.join(spec.root_causes)}"
    if spec.new_revision_at_fault is not None and spec.new_revision_at_fault != new_revision_at_fault:
        return f"it needs {'a' if spec.new_revision_at_fault else 'no'} new revision at fault"
    if missing := [t for t in spec.traits if t not in traits]:
        return f"the evidence does not show {', '.join(missing)}"
    if Trait.ROLLED_BACK_BY_ECS in traits and any(s.action is Action.ROLLBACK for s in spec.steps):
        return "ECS has already gone back to the revision before: another rollback would leave the good one"
    return None


def first_write(runbook: Runbook) -> Action | None:
    """The first action of the runbook that changes something in AWS, or None."""
    return next((s.action for s in runbook.spec.steps if s.action.writes), None)


def estimate_resolution(runbook: Runbook) -> timedelta:
    """How long a recovery with the runbook usually takes: what it says, or the sum of its steps."""
    spec = runbook.spec
    if spec.estimated_resolution:
        return parse_duration(spec.estimated_resolution)
    return sum((estimate_step(step) for step in spec.steps), timedelta())


def merge_runbooks(builtin: Iterable[Runbook], own: Iterable[Runbook]) -> tuple[Runbook, ...]:
    """The built-in runbooks and a namespace's own, which replace built-in ones of the same name; by name."""
    merged = {r.metadata.name: r for r in (*builtin, *own)}
    return tuple(merged[name] for name in sorted(merged))


def find_rungs(runbook: Runbook, runbooks: Iterable[Runbook]) -> tuple[Runbook, ...]:
    """The runbook and those that follow it by `escalatesTo`, each once."""
    by_name = {r.metadata.name: r for r in runbooks}
    rungs = [runbook]
    while len(rungs) <= MAX_RUNGS:
        following = by_name.get(rungs[-1].spec.escalates_to or "")
        if following is None or any(r.metadata.name == following.metadata.name for r in rungs):
            break
        rungs.append(following)
    return tuple(rungs)


def find_unusable(runbook: Runbook) -> Unusable | None:
    """What is wrong with the runbook by itself. Admission refuses the same, of what passes it."""
    unknown = sorted(find_unknown_fields(texts_of(runbook.spec)))
    if unknown:
        return Unusable("TemplateField", f"its templates name what nobody fills in: {', '.join(unknown)}")
    spec = runbook.spec
    writes = [step.action for step in spec.steps if step.action.writes]
    if twice := sorted({action for action in writes if writes.count(action) > 1}):
        return Unusable("ActionTwice", f"it does more than once what changes something: {', '.join(twice)}")
    against = [cause for cause in NO_CAUSE if cause in spec.root_causes]
    if writes and against and spec.service_selector is None and not spec.only_by_name:
        message = f"against {', '.join(against)} it changes something on services that it does not name: give"
        return Unusable("ServicesNotNamed", f"{message} serviceSelector or onlyByName")
    return None


def find_problem(runbook: Runbook, runbooks: Iterable[Runbook]) -> Unusable | None:
    """What is wrong with the runbook among the others of its namespace and the built-in ones."""
    if (unusable := find_unusable(runbook)) is not None:
        return unusable
    by_name = {r.metadata.name: r for r in runbooks} | {runbook.metadata.name: runbook}
    passed = [runbook.metadata.name]
    while (name := by_name[passed[-1]].spec.escalates_to) is not None:
        if name in passed:
            return Unusable("EscalationLoop", f"escalatesTo comes back: {' → '.join((*passed, name))}")
        if name not in by_name:
            return Unusable("EscalatesToNobody", f"{passed[-1]} escalates to {name}, which is no Runbook: create it")
        passed.append(name)
    return None


def texts_of(spec: RunbookSpec) -> tuple[str, ...]:
    """All templates of the runbook."""
    return tuple(text for text in (spec.advice, *(s.description for s in spec.steps)) if text)
