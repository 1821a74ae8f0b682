"""How replays are told to people."""

from bokgu.api.fields import format_timestamp
from bokgu.commands.page import BOLD, GREEN, RED, YELLOW, Page
from bokgu.commands.replays import Replays
from bokgu.core.hindsight import Verdict
from bokgu.core.replay import NOT_KEPT, Replay

_STYLES = {Verdict.WORSE: RED, Verdict.UNCLEAR: YELLOW, Verdict.BETTER: GREEN}


def format_replays(found: Replays, *, colour: bool) -> str:
    """The replays as text, ending in a line break: what has changed in full, what agrees in a line each."""
    page = Page(colour)
    if not found.replays:
        page.line("", "no incidents of the past")
    for one in found.replays:
        if one.verdict is Verdict.AGREED:
            page.line("agreed", f"{_name(one)}: {one.cause or one.cause_then or 'no cause'}, {_planned(one)}", GREEN)
        else:
            _write(page, one)
    page.gap("summary")
    changed = len(found.replays) - found.counts[Verdict.AGREED]
    counts = ", ".join(f"{found.counts[v]} {v.lower()}" for v in (Verdict.BETTER, Verdict.WORSE, Verdict.UNCLEAR))
    page.line(
        "", f"{len(found.replays)} incidents: {found.counts[Verdict.AGREED]} agreed, {changed} changed ({counts})"
    )
    if found.replays:
        page.gap("never known")
    for text in NOT_KEPT if found.replays else ():
        page.line("", text)
    for note in found.notes:
        page.line("note", note, YELLOW)
    return page.text


def _name(one: Replay) -> str:
    record = one.past.record
    name = f"{record.namespace}/{record.name or record.id}" if record.namespace else record.name or record.id
    return f"{name} at {format_timestamp(record.detected_at)}"


def _planned(one: Replay) -> str:
    if one.runbook is None:
        return f"no plan ({one.no_plan.reason})" if one.no_plan else "no plan"
    return f"plan from {one.runbook} ({', '.join(one.actions)})"


def _write(page: Page, one: Replay) -> None:
    record, plan = one.past.record, one.first_plan
    page.gap()
    page.line(one.verdict.lower(), f"{_name(one)}: {one.because}", _STYLES[one.verdict])
    page.line("", f"{record.type}, {record.severity}, on service {record.service or 'unknown'}; from {one.past.origin}")
    if one.past.decided:
        by = f"plan from {plan.runbook or 'people'}, {plan.outcome}" if plan else "no plan"
        more = f", {len(record.plans) - 1} more after it" if len(record.plans) > 1 else ""
        page.line("  then", f"{one.cause_then or 'no cause'}; {by}{more}; {record.outcome or 'unknown end'}")
    if (label := one.past.label) is not None:
        page.line("  expert", f"{' or '.join(label.causes)}; safe is {label.safe}")
    cause = one.cause or f"{one.cause_then or 'no cause'} as then"
    page.line("  now", f"{cause}; {_planned(one)}", BOLD)
    if one.no_plan is not None and one.no_plan.message:
        page.line("", one.no_plan.message)
    for gave_way in one.gave_way:
        page.line("", f"{gave_way.runbook} gives way: {gave_way.because.message or gave_way.because.reason}")
    for held in one.held:
        page.line("  held", f"{held.gate}: {held.message}", YELLOW)
    if one.approvals:
        page.line("  approvals", ", ".join(one.approvals))
    for text in one.unknown:
        if text not in NOT_KEPT:
            page.line("  not known", text)
