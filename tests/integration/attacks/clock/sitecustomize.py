"""Puts the operator's clock wrong by CLOCK_SKEW seconds. Python imports a module of this name from PYTHONPATH first."""

import os
from datetime import datetime, timedelta, tzinfo

import bokgu.kube.client
import bokgu.runtime.run

SKEW = timedelta(seconds=float(os.environ["CLOCK_SKEW"]))


class Skewed(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + SKEW


for module in (bokgu.kube.client, bokgu.runtime.run):
    module.datetime = Skewed  # type: ignore[attr-defined]
