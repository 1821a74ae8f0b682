"""Change windows: when a step that writes may start."""

from datetime import datetime

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import Gate
from bokgu.api.recovery_plan import CountedApproval
from bokgu.api.recovery_policy import ChangeWindow
from bokgu.api.vocabulary import WindowKind
from bokgu.core.approval.tally import EMERGENCY_OVERRIDE, Tally
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.recovery_policy import WINDOW_UNREADABLE, Policies
from bokgu.core.windows import WindowVerdict, judge_windows

WINDOW_OPEN = "WindowOpen"
"""Name of the gate."""

HOW_TO_OVERRIDE = "an approval as the operator's emergency role overrides it"


def check_window_open(facts: GuardFacts) -> Gate:
    """The change windows of the namespace let work start, or the emergency role does."""
    policy = facts.policies.own
    if policy.problem is not None:
        message = f"{policy.problem}: whether a change window is closed is not known"
        return build_gate(WINDOW_OPEN, WINDOW_UNREADABLE, False, message=message)
    verdict = judge_windows(policy.found.spec.windows if policy.found else (), facts.now)
    value, limit = _describe(verdict.window)
    override = None if verdict.open else facts.tally.emergency
    if override is not None:
        value = f"{value}, overridden by {override.approver} as {override.role}"
    gate = build_gate(
        WINDOW_OPEN,
        WINDOW_UNREADABLE if verdict.problem else "WindowClosed",
        verdict.open or override is not None,
        value=value,
        limit=limit,
        message=_explain(verdict),
        blocked_until=verdict.until,
    )
    return gate.model_copy(update={"reason": EMERGENCY_OVERRIDE}) if override else gate


def find_override(policies: Policies, tally: Tally, now: datetime) -> CountedApproval | None:
    """The emergency approval that opens what change windows close; None where they are open, or nobody has said so."""
    windows = policies.own.found.spec.windows if policies.own.found else ()
    return None if judge_windows(windows, now).open else tally.emergency


def _describe(window: ChangeWindow | None) -> tuple[str, str]:
    """(the window, when it is open)."""
    if window is None:
        return "", ""
    return (
        f"{window.kind} window {window.name}",
        f"{window.schedule} for {window.duration}, {window.time_zone}",
    )


def _explain(verdict: WindowVerdict) -> str:
    """Why it is closed, until when, and what opens it before."""
    name = verdict.window.name if verdict.window else ""
    if verdict.problem:
        return f"window {name} cannot be read: {verdict.problem}; correct it, or {HOW_TO_OVERRIDE}"
    denied = verdict.window is not None and verdict.window.kind is WindowKind.DENY
    why = f"inside the Deny window {name}" if denied else "outside of every Allow window"
    until = f"until {format_timestamp(verdict.until)}" if verdict.until else "and no opening is in sight"
    return f"{why}, {until}; {HOW_TO_OVERRIDE}"
