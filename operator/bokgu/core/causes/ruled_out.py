"""What an incident is not: causes that people would think of first, and the fact that speaks against each."""

from bokgu.api.fields import bounded, format_decimal
from bokgu.api.vocabulary import RootCause
from bokgu.core.case import CPU, MEMORY, Case
from bokgu.core.causes.load import BUSY_CPU, SURGE_RATIO
from bokgu.core.trends import peak

ROOMY = 80.0
"""Percent of memory below which its limit was not the trouble."""


def rule_out(case: Case, found: RootCause) -> tuple[str, ...]:
    """One line for each cause that the evidence speaks against, such as `OutOfMemory: memory peaked at 31 %`."""
    against = {
        RootCause.OUT_OF_MEMORY: _memory(case),
        RootCause.CPU_SATURATION: _cpu(case),
        RootCause.TRAFFIC_SURGE: _traffic(case),
        RootCause.BAD_DEPLOYMENT: _deployment(case),
    }
    return tuple(bounded(f"{cause}: {fact}") for cause, fact in against.items() if fact and cause is not found)


def _memory(case: Case) -> str | None:
    top = max((value for _, series in case.series(MEMORY) if (value := peak(series)) is not None), default=None)
    return f"memory peaked at {format_decimal(top)} %" if top is not None and top < ROOMY else None


def _cpu(case: Case) -> str | None:
    level = case.level(CPU)
    return f"CPU is at {format_decimal(level)} %" if level is not None and level < BUSY_CPU else None


def _traffic(case: Case) -> str | None:
    growth = case.load_growth
    if growth is None or growth >= SURGE_RATIO:
        return None
    return f"requests are at {format_decimal(growth)} of the level before"


def _deployment(case: Case) -> str | None:
    starts, moment = case.starts, case.onset
    if moment is None or case.under_way or case.start_behind(moment) is not None:
        return None
    earlier = next((start for start in starts if start.at <= moment), None)
    if earlier is None:
        return None
    minutes = int(case.span(earlier.at, moment).total_seconds() // 60)
    return f"{earlier.revision}, the last new revision, was deployed {minutes} minutes before the trouble began"
