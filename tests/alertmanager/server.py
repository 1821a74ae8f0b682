"""Runs an Alertmanager with one receiver, and sends it alerts as Prometheus does."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import yaml

from tests.alertmanager.program import find_or_download
from tests.controlplane import Process
from tests.controlplane.ports import free_ports


class Alertmanager:
    """An Alertmanager whose alerts all go to one webhook, at once. A context manager."""

    def __init__(self, folder: Path, receiver: Mapping[str, Any]) -> None:
        """`receiver` is an entry of `receivers` of its configuration; its files are kept in `folder`."""
        self._folder, self._receiver = folder, receiver
        self._port = free_ports(["alertmanager"])["alertmanager"]
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        program, working_folder = find_or_download()
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "alertmanager.yml"
        route = {
            "receiver": self._receiver["name"],
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "1h",
        }
        config.write_text(yaml.safe_dump({"route": route, "receivers": [dict(self._receiver)]}))
        arguments = [
            f"--config.file={config}",
            f"--storage.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--cluster.listen-address=",
        ]
        # The program looks for its templates below its working folder, which Process does not set.
        shell: list[str | Path] = ["sh", "-c", 'cd "$0" && exec "$@"', working_folder, program, *arguments]
        self._process = Process.start(shell, log_path=self._folder / "alertmanager.log")
        self._wait_ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()

    def log_tail(self) -> str:
        """The last lines that it logged."""
        return self._process.log_tail(15) if self._process else ""

    def send(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
        *,
        ends_at: datetime | None = None,
    ) -> None:
        """Tell it of a firing alert; one with `ends_at` in the past is resolved. As `POST /api/v2/alerts` takes it."""
        alert: dict[str, Any] = {"labels": dict(labels), "annotations": dict(annotations or {})}
        if ends_at is not None:
            alert["endsAt"] = ends_at.astimezone(UTC).isoformat()
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts",
            data=json.dumps([alert]).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5):
            return

    def resolve(self, labels: Mapping[str, str]) -> None:
        """The alert of these labels is over now."""
        self.send(labels, ends_at=datetime.now(UTC))

    def _wait_ready(self, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2):
                    return
            except (urllib.error.URLError, OSError) as error:
                dead = self._process is None or not self._process.alive
                if dead or time.monotonic() > deadline:
                    raise RuntimeError(f"Alertmanager is not ready: {error}\n{self.log_tail()}") from error
            time.sleep(0.05)
