"""Target groups about whose targets CloudWatch says nothing: with none registered, the metric vanishes.

So the load balancer is asked, and its answers stand in the place of the missing datapoints, one for each time that it
was asked: two answers are needed as two datapoints are.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bokgu.api.observed import Metric, Series
from bokgu.core.look import Look
from bokgu.core.presets import ELB, HEALTHY_HOSTS
from bokgu.core.service_state import find_excuse, in_grace

Answers = Mapping[datetime, float]
"""How many targets were healthy, by the begin of the period that the answer stands for."""


def find_silent_groups(look: Look) -> dict[str, str]:
    """ARNs of the target groups to ask about, by the name of the query that has no news.

    None where no targets are meant to be there, or not yet. The idle half of a blue/green pair is not meant to have
    any.
    """
    if look.state is None or find_excuse(look.state.service) or in_grace(look.state):
        return {}
    arns = {group.arn.rpartition(":")[2]: group.arn for group in look.target_groups}
    queries = {
        arns[dict(source.dimensions)["TargetGroup"]]: name
        for name, source in look.watch.sources.items()
        if isinstance(source, Metric) and (source.namespace, source.name) == (ELB, HEALTHY_HOSTS)
    }
    asked = {arn: look.series[name] for arn, name in queries.items() if name in look.series}
    heard = {arn for arn, series in asked.items() if _has_news(look, series)}
    silent = (group for group in look.target_groups if group.arn in asked and not {group.arn, group.pair} & heard)
    return {queries[group.arn]: group.arn for group in silent}


def add_answer(look: Look, name: str, healthy: int, earlier: Answers) -> tuple[Look, Answers]:
    """The look with that answer and the earlier ones in the series of the query, and the answers to remember."""
    series = look.series[name]
    begin = look.at - look.watch.lookback
    answers = {t: value for t, value in earlier.items() if t >= begin}
    answers[_latest_period(look, series.period)] = float(healthy)
    points = {**answers, **series.by_moment}
    filled = Series(tuple(sorted(points.items())), series.period)
    return replace(look, series={**look.series, name: filled}), answers


def _has_news(look: Look, series: Series) -> bool:
    """Whether one of the last two settled periods has a datapoint."""
    since = _latest_period(look, series.period) - timedelta(seconds=series.period)
    return any(t >= since for t, _ in series.points)


def _latest_period(look: Look, period: int) -> datetime:
    """Begin of the last whole period that has settled."""
    end = int((look.at - look.watch.settle).timestamp()) // period * period
    return datetime.fromtimestamp(end - period, look.at.tzinfo)
