"""The Alertmanager starts, and speaks to a webhook as its documentation says."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from bokgu.core.alertmanager import parse_notification
from tests.alertmanager import Alertmanager, AlertmanagerError, find_or_download


def test_it_comes_from_the_cache_the_second_time() -> None:
    program, folder = find_or_download()
    begun = program.stat().st_mtime
    assert find_or_download() == (program, folder)
    assert program.stat().st_mtime == begun


def test_without_apt_get_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(AlertmanagerError, match="install Alertmanager"):
        find_or_download({"PATH": str(tmp_path), "BOKGU_CACHE_DIR": str(tmp_path)})
    assert not list(tmp_path.glob("alertmanager-*/usr"))


def test_what_apt_get_says_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho 'E: no such thing' >&2\nexit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    with pytest.raises(AlertmanagerError, match="E: no such thing"):
        find_or_download({"PATH": str(tmp_path), "BOKGU_CACHE_DIR": str(tmp_path)})


def test_it_tells_of_firing_and_resolved_alerts(tmp_path: Path) -> None:
    received: queue.Queue[tuple[str | None, bytes]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.put((self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = {
            "url": f"http://127.0.0.1:{server.server_port}/alerts",
            "send_resolved": True,
            "http_config": {"authorization": {"type": "Bearer", "credentials": "secret"}},
        }
        labels = {"alertname": "Down", "bokgu_service": "api"}
        with Alertmanager(tmp_path, {"name": "bokgu", "webhook_configs": [hook]}) as alertmanager:
            alertmanager.send(labels, {"summary": "it is down"})
            firing = received.get(timeout=10)
            alertmanager.resolve(labels)
            resolved = received.get(timeout=10)
        server.shutdown()
    assert firing[0] == "Bearer secret"
    (first,), (second,) = (parse_notification(body).alerts for _, body in (firing, resolved))
    assert (first.status, second.status) == ("firing", "resolved")
    assert first.labels == labels
    assert first.fingerprint == second.fingerprint
    assert second.ends_at > first.starts_at
    assert json.loads(firing[1])["version"] == "4"
