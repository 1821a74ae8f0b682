"""Opens a page in Chromium without a screen, and tells what came of it."""

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.chromium.program import find_or_download

SECONDS = 60
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--disable-default-apps", "--no-pings", "--enable-logging=stderr", "--v=0", "--hide-scrollbars"),
)
_CONSOLE = re.compile(r"CONSOLE[:(]\d+\)?\] (.*)")


@dataclass(frozen=True)
class Visit:
    """What was seen: the page as elements once it was loaded, what its console said, and the addresses that were asked
    for by http or https, whether they answered or not."""

    dom: str
    console: tuple[str, ...]
    asked: tuple[str, ...]


class Browser:
    """A Chromium, which starts anew for each visit, with an empty profile. Raises PackageError where there is none."""

    def __init__(self) -> None:
        self._program = find_or_download()

    def visit(self, page: Path) -> Visit:
        """Open the file and look at it."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "net.json"
            done = self._run(page, folder, "--dump-dom", f"--log-net-log={log}", "--net-log-capture-mode=Everything")
            asked = _list_requests(log.read_text())
        return Visit(done.stdout, tuple(_CONSOLE.findall(done.stderr)), asked)

    def picture(self, page: Path, picture: Path, *, dark: bool = False, size: tuple[int, int] = (1000, 3200)) -> bytes:
        """A screenshot as PNG, for a reader who prefers dark or light, of so many pixels, width and height."""
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        with tempfile.TemporaryDirectory() as folder:
            self._run(page, folder, f"--screenshot={picture}", f"--window-size={size[0]},{size[1]}", scheme)
        return picture.read_bytes()

    def print(self, page: Path, paper: Path) -> bytes:
        """The page as it is printed, as PDF."""
        with tempfile.TemporaryDirectory() as folder:
            self._run(page, folder, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
        return paper.read_bytes()

    def _run(self, page: Path, folder: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._program.path), *_FLAGS, f"--user-data-dir={folder}/profile", *options, page.as_uri()]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, **self._program.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return done


def _list_requests(net_log: str) -> tuple[str, ...]:
    """The addresses in a NetLog (Chromium, "NetLog: Chrome's network logging system")."""
    try:
        events = json.loads(net_log)["events"]
    except ValueError:  # The last line is missing where the browser went fast.
        events = json.loads(net_log.rstrip().rstrip(",") + "]}")["events"]
    urls = (str((event.get("params") or {}).get("url", "")) for event in events)
    return tuple(dict.fromkeys(url for url in urls if url.startswith(("http:", "https:"))))
