"""The labelled incidents, and how the diagnosis does on them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bokgu.commands.case_file import parse_case
from bokgu.commands.diagnose import build_verdict
from bokgu.core.evidence import Evidence
from bokgu.core.evidence_metrics import LOG_LOOKBACK, LOOKBACK, begin_of_evidence

FOLDER = Path(__file__).parent / "cases"


def cut_to_live(evidence: Evidence) -> Evidence:
    """The evidence as it is gathered of a live service: metrics, except memory, and log lines reach less far back."""
    metrics_begin, logs_begin = (
        begin_of_evidence(evidence.detected_at, evidence.detected_at, evidence.minute, lookback)
        for lookback in (LOOKBACK, LOG_LOOKBACK)
    )
    metrics = {
        metric: series if metric.name == "MemoryUtilization" else series.since(metrics_begin)
        for metric, series in evidence.metrics.items()
    }
    logs = tuple(line for line in evidence.logs if line.at is None or line.at >= logs_begin)
    return replace(evidence, metrics=metrics, logs=logs)


@dataclass(frozen=True)
class LabelledCase:
    """One incident, and what an expert says of it."""

    name: str
    raw: dict[str, Any]
    live: bool = False

    @cached_property
    def verdict(self) -> dict[str, Any]:
        """What the diagnosis says. It sees the incident and the evidence only."""
        evidence = parse_case({"incident": self.raw["incident"], "evidence": self.raw["evidence"]})
        return build_verdict(cut_to_live(evidence) if self.live else evidence)

    @property
    def label(self) -> dict[str, Any]:
        """What the expert says."""
        label: dict[str, Any] = self.raw["expected"]
        return label

    @property
    def right(self) -> bool:
        """Whether the cause is the labelled one, or one that an expert would also accept."""
        return self.verdict["rootCause"] in {self.label["rootCause"], *self.label["acceptable"]}

    @property
    def harms(self) -> bool:
        """Whether an action is proposed where none is safe, or another one than the safe one."""
        return self.verdict["safeAutomaticAction"] not in {"none", self.label["safeAutomaticAction"]}


def read_corpus(folder: Path = FOLDER) -> tuple[LabelledCase, ...]:
    """All labelled cases, by name."""
    files = sorted(folder.glob("*.json"))
    return tuple(LabelledCase(f.stem, json.loads(f.read_text(encoding="utf-8"))) for f in files)


def confusion_table(cases: Sequence[LabelledCase]) -> Iterable[str]:
    """Lines: a score for each code, with what was said instead where it was wrong; then the actions."""
    causes = sorted({case.label["rootCause"] for case in cases})
    yield f"{'root cause':<26}{'cases':>6}{'right':>6}{'action':>8}  said instead"
    for cause in causes:
        mine = [case for case in cases if case.label["rootCause"] == cause]
        actions = sum(c.verdict["safeAutomaticAction"] == c.label["safeAutomaticAction"] for c in mine)
        others = Counter(c.verdict["rootCause"] for c in mine if c.verdict["rootCause"] != cause)
        said = ", ".join(f"{name} {number}" for name, number in sorted(others.items()))
        yield f"{cause:<26}{len(mine):>6}{sum(c.right for c in mine):>6}{actions:>8}  {said}"
    right, harm = sum(c.right for c in cases), sum(c.harms for c in cases)
    fault = sum(c.verdict["newRevisionAtFault"] == c.label["newRevisionAtFault"] for c in cases)
    actions = sum(c.verdict["safeAutomaticAction"] == c.label["safeAutomaticAction"] for c in cases)
    yield (
        f"diagnosis: {right} of {len(cases)} causes right or acceptable, {actions} actions and {fault} revisions as"
        f" labelled, {harm} harmful actions"
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the confusion table where the corpus was tested. A pytest hook."""
    reports = (r for group in terminalreporter.stats.values() for r in group)
    if any(getattr(r, "nodeid", "").startswith("tests/diagnosis/test_corpus.py") for r in reports):
        for line in confusion_table(read_corpus()):
            terminalreporter.write_line(line)
