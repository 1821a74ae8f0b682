"""Which metrics and labels an expression names. It is no parser: promtool checks the syntax."""

import re
from collections.abc import Iterator

from tests import metrics_page

_SELECTOR = re.compile(r"\b((?:bokgu|process|python)_[a-z0-9_]+)(?:\{([^}]*)\})?")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring) *\(([^)]*)\)")
_MATCHER = re.compile(r'([a-z_]+) *(?:=~|!~|!=|=) *"')

OF_THE_SCRAPE = frozenset({"job", "instance"})
"""Labels that Prometheus adds."""


def exported() -> dict[str, frozenset[str]]:
    """The labels of every sample that the operator exports, by its name."""
    found = {}
    for metric in metrics_page.list_all():
        for sample in metric.samples:
            more = {"le"} if sample.endswith("_bucket") else set()
            found[sample] = frozenset(metric.labels) | more
    process = ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds")
    return found | {f"process_{name}": frozenset() for name in process}


def find_problems(expression: str) -> Iterator[str]:
    """What the expression names that is not there."""
    known, there = exported(), set(OF_THE_SCRAPE)
    for name, matchers in _SELECTOR.findall(expression):
        if name not in known:
            yield f"{name} is not exported"
            continue
        there |= known[name]
        for label in _MATCHER.findall(matchers):
            if label not in known[name] | OF_THE_SCRAPE:
                yield f"{name} has no label {label}"
    for grouping in _GROUPING.findall(expression):
        for label in (part.strip() for part in grouping.split(",")):
            if label and label not in there:
                yield f"nothing in it has a label {label}"
