"""What docs/metrics.md shows of the metrics: one table a module of bokgu.metrics, made from the code."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

import bokgu.metrics
from bokgu.core.stages import Stage
from bokgu.runtime.state_metrics import STATE_METRICS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics: written by make docs -->\n", "<!-- end of metrics -->"
STAGES_BEGIN, STAGES_END = "<!-- stages: written by make docs -->\n", "<!-- end of stages -->"

ORDER = ("incidents", "plans", "detection", "doors", "alerts", "traces", "aws", "passes", "leadership", "registry")

_SAMPLES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_sum", "_count"),
    "gauge": ("",),
    "info": ("_info",),
}


@dataclass(frozen=True)
class Described:
    """A metric: `name` as people write it, which labels it has, and the names of its samples."""

    name: str
    type: str
    labels: tuple[str, ...]
    text: str
    samples: tuple[str, ...]


def list_metrics(module: str) -> Iterator[Described]:
    """The metrics of a module of bokgu.metrics, in order."""
    for value in vars(importlib.import_module(f"bokgu.metrics.{module}")).values():
        if not isinstance(value, MetricWrapperBase):
            continue
        kind = str(value._type)
        suffixes = _SAMPLES[kind]
        name = value._name + (suffixes[0] if len(suffixes) == 1 else "")
        labels = ("version",) if kind == "info" else tuple(value._labelnames)
        samples = tuple(value._name + suffix for suffix in suffixes)
        yield Described(name, kind, labels, value._documentation, samples)


def list_state() -> list[Described]:
    """What is read from the objects at each scrape."""
    return [Described(m.name, "gauge", m.labels, m.text, (m.name,)) for m in STATE_METRICS]


def list_all() -> list[Described]:
    """All metrics of Bokgu's own."""
    modules = [module.name for module in pkgutil.iter_modules(bokgu.metrics.__path__)]
    return [*list_state(), *(metric for module in modules for metric in list_metrics(module))]


def tabulate() -> str:
    """All metrics in tables, with a heading each."""
    parts = [_table("What is so now, read from the objects at each scrape.", list_state())]
    for module in ORDER:
        title = getdoc(importlib.import_module(f"bokgu.metrics.{module}")) or ""
        found = list(list_metrics(module))
        parts.append(_table(title if module != "registry" else "The build.", found))
    return "\n\n".join(parts)


def _table(title: str, metrics: list[Described]) -> str:
    lines = [title, "", "| metric | type | labels | what |", "|---|---|---|---|"]
    for metric in metrics:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
        lines.append(f"| `{metric.name}` | {metric.type} | {labels} | {metric.text} |")
    return "\n".join(lines)


def tabulate_stages() -> str:
    """The stages of an incident, and from when to when each lasts."""
    code = Path(importlib.import_module("bokgu.core.stages").__file__ or "").read_text()
    lines = ["| stage | lasts |", "|---|---|"]
    for stage in Stage:
        said = code.partition(f'{stage.name} = "{stage}"\n')[2].partition('"""')[2].partition('"""')[0]
        lines.append(f"| `{stage}` | {said} |")
    return "\n".join(lines)


def fill(page: str) -> str:
    """The page with what is between its marks written anew."""
    page = _between(page, BEGIN, END, tabulate())
    return _between(page, STAGES_BEGIN, STAGES_END, tabulate_stages())


def _between(page: str, begin: str, end: str, text: str) -> str:
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{PAGE} has no mark {end}")
    return f"{before}{begin}\n{text}\n\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(fill(PAGE.read_text()))
