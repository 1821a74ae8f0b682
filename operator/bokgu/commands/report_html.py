"""A report as one HTML file: nothing is loaded from elsewhere, and no script runs in it."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from bokgu.api.fields import format_timestamp
from bokgu.commands.page import plain
from bokgu.commands.report_model import Report, name_report
from bokgu.commands.report_plots import describe_course
from bokgu.commands.report_svg import draw


def format_html(report: Report) -> str:
    """The page. Everything that it quotes is escaped, also what turns the direction of writing."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            mark=name_report(report.namespace, report.name),
            draw=draw,
            describe=describe_course,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bokgu.commands", "."),
        autoescape=True,
        finalize=_show,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["moment"] = format_timestamp
    environment.filters["minutes"] = "{:.1f}".format
    return environment


def html_mark(namespace: str, name: str) -> str:
    """What stands in the page of that incident, and in no other."""
    return f'content="{escape(name_report(namespace, name))}"'


def _show(value: Any) -> Any:
    """Lines of text lose what is not printable; what is markup already is ours."""
    return value if isinstance(value, Markup) else plain(str(value))
