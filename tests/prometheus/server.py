"""Runs a Prometheus that scrapes some targets and evaluates rules, all within seconds."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.controlplane import Process
from tests.controlplane.ports import free_ports
from tests.prometheus.program import find_or_download

Raw = dict[str, Any]

INTERVAL = "1s"
"""How often it scrapes, how long it waits for that, and how often it evaluates."""


class Prometheus:
    """A Prometheus on loopback, with exemplars kept. A context manager."""

    def __init__(self, folder: Path, targets: Iterable[str], rules: Mapping[str, Any]) -> None:
        """`targets` as HOST:PORT, each with `/metrics`; `rules` as a rule file has them; `folder` is for its files."""
        self._folder, self._targets, self._rules = folder, list(targets), rules
        self._port = free_ports(["prometheus"])["prometheus"]
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        program, _ = find_or_download()
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "rules.yml").write_text(yaml.safe_dump(dict(self._rules)))
        every = {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL}
        config = {
            "global": every,
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "bokgu", "static_configs": [{"targets": self._targets}]}],
        }
        path = self._folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        self._process = Process.start(
            [
                program,
                f"--config.file={path}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                "--enable-feature=exemplar-storage",
            ],
            log_path=self._folder / "prometheus.log",
        )
        self._wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()

    def log_tail(self) -> str:
        """The last lines that it logged."""
        return self._process.log_tail(15) if self._process else ""

    def query(self, expression: str) -> dict[tuple[str, ...], float]:
        """The values of an instant vector, by those of their labels that are not of the scrape."""
        found = {}
        for sample in self._get("query", query=expression)["result"]:
            found[_values_of(sample["metric"])] = float(sample["value"][1])
        return found

    def query_range(self, expression: str, begin: float, end: float) -> dict[tuple[str, ...], list[float]]:
        """Its values second by second from begin to end, in seconds since 1970, by labels as in `query`."""
        found: dict[tuple[str, ...], list[float]] = {}
        for series in self._get("query_range", query=expression, start=str(begin), end=str(end), step="1")["result"]:
            found[_values_of(series["metric"])] = [float(value) for _, value in series["values"]]
        return found

    def exemplars(self, expression: str) -> list[dict[str, str]]:
        """The labels of exemplars of the last hour."""
        now = time.time()
        found = self._get("query_exemplars", query=expression, start=str(now - 3600), end=str(now + 1))
        return [exemplar["labels"] for series in found for exemplar in series["exemplars"]]

    def firing(self) -> list[Raw]:
        """The alerts that fire now, with labels and annotations."""
        return [alert for alert in self._get("alerts")["alerts"] if alert["state"] == "firing"]

    def names_firing(self) -> set[str]:
        """Their names."""
        return {alert["labels"]["alertname"] for alert in self.firing()}

    def targets(self) -> list[Raw]:
        """What it scrapes, and how that went."""
        found: list[Raw] = self._get("targets")["activeTargets"]
        return found

    def rules(self) -> list[Raw]:
        """All rules, and how their last evaluation went."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str) -> Any:
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]

    def _wait_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                    return
            except OSError as error:
                dead = self._process is None or not self._process.alive
                if dead or time.monotonic() > deadline:
                    raise RuntimeError(f"Prometheus is not ready: {error}\n{self.log_tail()}") from error
            time.sleep(0.05)


def _values_of(metric: Mapping[str, str]) -> tuple[str, ...]:
    """The values of labels that are not of the scrape, in the order of their names."""
    return tuple(value for name, value in sorted(metric.items()) if name not in {"__name__", "job", "instance"})
