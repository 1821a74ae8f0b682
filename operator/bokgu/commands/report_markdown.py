"""A report as Markdown (CommonMark, with the tables of GitHub Flavored Markdown), for tickets and repositories.

Curves are told in words and as a line of blocks: what shows Markdown seldom shows pictures that are in the text.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from bokgu.api.fields import format_timestamp
from bokgu.commands.page import plain
from bokgu.commands.report_model import Fact, PlanStory, Report, name_report
from bokgu.commands.report_plots import Measured, Plot, Window, describe_course

_BLOCKS = "▁▂▃▄▅▆▇█"
_COLUMNS = 60

_ALWAYS = re.compile(r"[\\`*\[\]<>&|~$]|(?<![^\W_])_|_(?![^\W_])")
"""An underscore between two letters is no emphasis."""
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
"""Where not all of CommonMark is understood, a backslash before HTML keeps nothing from being HTML."""
_AT_BEGIN = re.compile(r"^([-+=#]|\d{1,9}(?=[.)](\s|$)))")


def format_markdown(report: Report) -> str:
    """The same story as the page. Everything that it quotes is escaped: nothing of it is Markdown or HTML."""
    return "\n".join(_write(report)) + "\n"


def escape(text: str) -> str:
    """The text as Markdown that shows just that: no link that says something else, no picture, emphasis, or HTML
    (CommonMark, "Backslash escapes" and "Entity and numeric character references")."""
    escaped = _ALWAYS.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), plain(text))
    return _AT_BEGIN.sub(lambda found: f"{found[0]}\\" if found[0].isdecimal() else f"\\{found[0]}", escaped)


def markdown_mark(namespace: str, name: str) -> str:
    """What stands in the file of that incident, and in no other."""
    return f"<!-- {re.sub('[<>]|--+', '', name_report(namespace, name))} -->"


def _write(report: Report) -> Iterator[str]:
    yield markdown_mark(report.namespace, report.name)
    yield f"# {escape(f'{report.namespace}/{report.name}')}"
    yield ""
    yield f"**{escape(report.state)}** as of {format_timestamp(report.written_at)}. All times are in UTC."
    yield from _head("What happened")
    yield escape(" ".join(report.summary))
    yield ""
    yield from _list_facts(report.trouble)
    if report.from_history:
        yield ""
        yield (
            "The Incident is gone from the cluster: this is what the history keeps. It has no evidence, timeline,"
            " gates and approvals."
        )
    yield from _head("Left for a person")
    if report.from_history:
        yield "Not known: the history does not keep it."
    else:
        yield from _list(report.left, "Nothing that Bokgu knows of.")
    yield from _head("Cost in minutes")
    rows = [
        (c.what, format_timestamp(c.at), "" if c.took is None else f"{c.took:.1f}", f"{c.since_begin:.1f}")
        for c in report.costs
    ]
    yield from _table(("reached", "at", "took", report.counted_from), rows, "Not known.")
    yield from _head("Metrics before, during and after")
    yield from _write_metrics(report, report.measured)
    yield from _head("Timeline")
    entries = [(format_timestamp(e.at), e.event, e.message) for e in report.timeline]
    yield from _table(("at", "event", ""), entries, "None is kept.")
    yield from _head("Why this cause")
    yield from _list_facts(report.cause)
    if not report.cause:
        yield "Not told."
    yield from _head("Plans")
    for plan in report.plans:
        yield from _write_plan(plan)
    if not report.plans:
        yield "None was made."
    yield from _head("Gates that held it")
    if report.from_history:
        yield "Not known: the history does not keep them."
    else:
        yield from _list(report.gates, "None.")
    yield from _head("Similar incidents")
    yield from _list(report.similar, "None is known.")
    if report.notes:
        yield from _head("Notes")
        yield from _list(report.notes, "")


def _write_metrics(report: Report, measured: Measured | None) -> Iterator[str]:
    if measured is None:
        yield "Left out, as was asked."
        return
    if measured.problem:
        yield f"Not shown: {escape(measured.problem)}"
        yield ""
    if measured.caution:
        yield escape(measured.caution)
        yield ""
    for plot in measured.plots:
        yield f"- **{escape(plot.name)}** {escape(plot.about)}  "
        if plot.points:
            yield f"  `{sparkline(plot, measured.window)}`  "
            yield f"  {escape(describe_course(plot, report.begun_at, report.ended_at))}"
        if plot.problem:
            yield f"  Not shown: {escape(plot.problem)}"
    if measured.silent:
        yield ""
        yield f"Without datapoints: {escape(', '.join(measured.silent))}."


def sparkline(plot: Plot, window: Window) -> str:
    """The curve in blocks: the greatest value of each stretch, a dot where there is none."""
    length = max(1.0, (window.until - window.since).total_seconds())
    columns: list[float | None] = [None] * _COLUMNS
    for at, value in plot.points:
        column = min(_COLUMNS - 1, max(0, int((at - window.since).total_seconds() / length * _COLUMNS)))
        known = columns[column]
        columns[column] = value if known is None else max(known, value)
    values = [value for value in columns if value is not None]
    low, high = min(0.0, *values), max(0.0, *values)
    steps = len(_BLOCKS) - 1
    return "".join(
        "·" if value is None else _BLOCKS[round((value - low) / ((high - low) or 1.0) * steps)] for value in columns
    )


def _write_plan(plan: PlanStory) -> Iterator[str]:
    yield ""
    yield f"### Plan {escape(plan.name)}: {escape(plan.state)}"
    yield ""
    yield from _list_facts(plan.facts)
    if plan.readings:
        yield ""
        yield from _table(("metric", "before", "after"), plan.readings, "")
    if plan.needed:
        yield ""
        yield f"Approvals needed: {escape(plan.needed)}"
    if plan.said:
        yield ""
        rows = [(format_timestamp(s.at), s.who, s.role, s.what, s.vouched, s.why) for s in plan.said]
        yield from _table(("at", "who", "as", "says", "vouched for by", "why"), rows, "")
    for number, step in enumerate(plan.steps, 1):
        yield ""
        yield f"#### {number}\\. {escape(step.name)} ({escape(step.action)}): {escape(step.phase)}"
        yield ""
        if step.description:
            yield escape(step.description)
            yield ""
        yield from _list_facts(step.facts)


def _head(title: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""


def _list_facts(facts: Iterable[Fact]) -> Iterator[str]:
    for fact in facts:
        yield f"- {escape(fact.label)}: {escape(fact.text)}"


def _list(lines: Sequence[str], none: str) -> Iterator[str]:
    for line in lines:
        yield f"- {escape(line)}"
    if not lines:
        yield none


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> Iterator[str]:
    if not rows:
        yield none
        return
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(escape(cell) for cell in row)} |"
