"""A report as HTML and as Markdown: the same story, in which nothing that is quoted is more than text."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bokgu.api.fields import format_timestamp
from bokgu.api.meta import TimelineEntry
from bokgu.commands.page import plain
from bokgu.commands.report import _write
from bokgu.commands.report_html import format_html, html_mark
from bokgu.commands.report_markdown import escape, format_markdown, markdown_mark, sparkline
from bokgu.commands.report_model import Cost, Fact, PlanStory, Report, Said, Span, StepStory
from bokgu.commands.report_plots import Measured, Plot, Window
from bokgu.commands.report_story import build_report
from tests.unit.facts import MINUTE, NOW
from tests.unit.report_facts import measured, present
from tests.unit.test_report import past, tell_past

EVIL = "</title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\x1b[2J'\"`|*_[a](http://b)"
VOID = {"meta", "link", "br", "img", "hr", "input", "area", "base", "col", "embed", "source", "track", "wbr", "param"}
LOADS = {"src", "srcset", "data", "poster", "action", "background", "formaction", "xlink:href", "style"}
ELEMENTS = {
    *("html", "head", "meta", "title", "link", "style", "body", "header", "main", "section", "h1", "h2", "h3", "h4"),
    *("p", "strong", "span", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "div"),
    *("figure", "figcaption", "svg", "rect", "line", "text", "polyline", "circle"),
}


class Page(HTMLParser):
    """A page as it is parsed. Raises AssertionError where elements are not balanced, or could do or load something."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS, tag
        for name, value in attrs:
            assert not name.startswith("on"), name
            assert name not in LOADS, name
            assert name != "href" or (tag, value) == ("link", "data:,")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def full() -> Report:
    return build_report(present(), measured())


def filled(text: str) -> Report:
    """A report in which everything that the cluster, or AWS, can have a hand in is that text."""
    plot = Plot(text, text, text, MINUTE, ((NOW - MINUTE, 1.0), (NOW, 2.0)), 1.5, text)
    step = StepStory(text, text, text, text, (Fact(text, text),))
    said = Said(NOW, text, text, text, False, text, text)
    return Report(
        namespace=text,
        name=text,
        state=text,
        written_at=NOW,
        begun_at=NOW - MINUTE,
        ended_at=NOW,
        summary=(text,),
        trouble=(Fact(text, text),),
        timeline=(TimelineEntry.model_construct(at=NOW, event=text, message=text),),
        measured=Measured(Window(NOW - MINUTE, NOW), (plot,), (text,), None, text),
        spans=(Span("step", text, NOW - MINUTE, NOW),),
        cause=(Fact(text, text),),
        plans=(PlanStory(text, text, (Fact(text, text),), text, (said,), (step,), ((text, text, text),)),),
        gates=(text,),
        costs=(Cost(text, NOW, 1.0, 2.0),),
        similar=(text,),
        left=(text,),
        notes=(text,),
    )


# The same story


def stories() -> list[Any]:
    return [full(), build_report(present(), None), build_report(present(plans=(), holds=None), None), tell_past(past())]


@pytest.mark.parametrize("report", stories(), ids=["whole", "no-metrics", "no-plan", "history"])
def test_both_tell_all_there_is(report: Report) -> None:
    page, plain = Page(format_html(report)).words, rendered(format_markdown(report))
    told = [report.state, *report.summary, *report.gates, *report.left, *report.similar, *report.notes]
    told += [fact.text for fact in (*report.trouble, *report.cause)]
    told += [entry.message for entry in report.timeline]
    for plan in report.plans:
        told += [plan.name, plan.state, *(fact.text for fact in plan.facts)]
        told += [cell for said in plan.said for cell in (said.who, said.role, said.what, said.vouched, said.why)]
        for step in plan.steps:
            told += [step.name, step.action, step.phase, step.description, *(fact.text for fact in step.facts)]
    told += [cost.what for cost in report.costs] + [f"{cost.since_begin:.1f}" for cost in report.costs]
    for plot in report.measured.plots if report.measured else ():
        told += [plot.name, plot.about, plot.problem]
    for words in told:
        assert " ".join(words.split()) in page
        assert " ".join(words.split()) in plain
    for head in ("What happened", "Left for a person", "Cost in minutes", "Timeline", "Why this cause", "Plans"):
        assert head in page
        assert head in plain


class _Text(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self.in_cell:
            self.cells[-1] += data


def rendered(markdown: str) -> str:
    """The text that a reader of the Markdown sees."""
    html = MarkdownIt("commonmark").enable("table").render(markdown)
    return " ".join(" ".join(_Text(html).text).split())


def test_a_page_is_one_file_for_light_dark_and_paper() -> None:
    page = format_html(full())
    Page(page)
    for part in ("prefers-color-scheme: dark", "@media print", "Content-Security-Policy", "default-src 'none'"):
        assert part in page
    assert "http://" not in page
    assert "https://" not in page
    assert "url(" not in page
    assert page.count("<svg") == len(
        [plot for plot in (full().measured or Measured(Window(NOW, NOW))).plots if plot.points]
    )


def test_what_is_not_shown_says_why_in_its_place() -> None:
    for text in (format_html(full()), format_markdown(full())):
        assert "Not shown: GetMetricData: Forbidden: no answer of it" in text
    for text in (format_html(build_report(present(), None)), format_markdown(build_report(present(), None))):
        assert "Left out, as was asked." in text
        assert "<svg" not in text


# What is quoted


def test_html_in_an_incident_is_text() -> None:
    page = Page(format_html(filled(EVIL)))
    assert "<script>alert(1)</script>" in page.words
    assert "\x1b" not in page.words
    assert "\u202e" not in page.words


def test_html_and_markdown_in_an_incident_are_text_in_markdown_too() -> None:
    text = format_markdown(filled(EVIL))
    for raw in ("<script", "<img", "\x1b", "\u202e"):
        assert raw not in text
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert not {"script", "img", "a", "em"} & set(_Text(html).tags)


_texts = st.text(min_size=1, max_size=60) | st.sampled_from(
    [EVIL, "<!--", "-->", "]]>", "&lt;script&gt;", "{{ 7*7 }}", "# a"]
)


@settings(max_examples=60)
@given(_texts)
def test_no_text_breaks_the_page(text: str) -> None:
    Page(format_html(filled(text)))


@settings(max_examples=200)
@given(_texts)
def test_no_text_is_more_than_text_in_markdown(text: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(f"- a: {escape(text)}\n")
    assert set(_Text(html).tags) <= {"ul", "li"}


@settings(max_examples=60)
@given(_texts)
def test_no_text_breaks_the_tables_of_the_markdown(text: str) -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(format_markdown(filled(text)))
    assert _Text(html).tags.count("table") == 4
    cells = [" ".join(cell.split()) for cell in _Text(html).cells]
    shown, at = plain(text).strip(), format_timestamp(NOW)
    costs, timeline, readings = [shown, at, "1.0", "2.0"], [at, shown, shown], [shown] * 3
    assert cells == [*costs, *timeline, *readings, at, *[shown] * 5]


def test_a_curve_is_a_line_of_blocks_in_markdown() -> None:
    window = Window(NOW - 60 * MINUTE, NOW)
    points = tuple((NOW - 60 * MINUTE + i * MINUTE, float(i)) for i in range(30))
    line = sparkline(Plot("a", "", "", MINUTE, points), window)
    assert len(line) == 60
    assert line.startswith("▁▁")
    assert line[29] == "█"
    assert line[30:] == "·" * 30


# Where it is written


def test_a_report_is_written_again_over_itself_and_over_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text, mark in (
        ("a.html", format_html(full()), html_mark("shop", "incident-1")),
        ("a.md", format_markdown(full()), markdown_mark("shop", "incident-1")),
    ):
        path = tmp_path / name
        assert _write(path, text, mark) == 0
        assert _write(path, text, mark) == 0
        assert path.read_text() == text
        mark_of = html_mark if name == "a.html" else markdown_mark
        for other in ("incident-", "incident-10"):
            assert _write(path, "another", mark_of("shop", other)) == 1
        assert "is no report of this incident, and stays as it is" in capsys.readouterr().err
        assert path.read_text() == text


def test_a_file_of_somebody_else_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "thesis.html"
    path.write_text("years of work")
    assert _write(path, "report", html_mark("shop", "incident-1")) == 1
    assert path.read_text() == "years of work"
