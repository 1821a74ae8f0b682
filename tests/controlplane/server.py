"""One program of the control plane as a server: started until it answers, stopped, killed, restarted in place."""

import http.client
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.process import Process

_PROBE_SECONDS = 0.05
_ANSWER_SECONDS = 2.0
_OK = 200


class StartError(RuntimeError):
    """A server ended, or did not become ready in time; the message shows the end of its log."""


@dataclass(frozen=True)
class Probe:
    """An address that answers 200 once a server is ready; over TLS when a context is given."""

    port: int
    path: str
    tls: ssl.SSLContext | None = None

    def succeeds(self) -> bool:
        """Whether the address answers 200 now."""
        host = "127.0.0.1"
        connection = (
            http.client.HTTPConnection(host, self.port, timeout=_ANSWER_SECONDS)
            if self.tls is None
            else http.client.HTTPSConnection(host, self.port, timeout=_ANSWER_SECONDS, context=self.tls)
        )
        try:
            connection.request("GET", self.path)
            return connection.getresponse().status == _OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Server:
    """A program with a port. Its data, port and log file stay the same however often it is stopped and started."""

    def __init__(
        self, argv: Sequence[str | Path], *, probe: Probe, log_path: Path, detached: bool, on_change: Callable[[], None]
    ) -> None:
        """Describe a server that doesn't run yet.

        Args:
            argv: The program's path and its arguments.
            probe: How it says that it is ready.
            log_path: Its log file; its stem is the server's name.
            detached: Whether it outlives this Python process.
            on_change: Called after `process` changed.
        """
        self.name = log_path.stem
        self.log_path = log_path
        self.process: Process | None = None
        self._argv = argv
        self._probe = probe
        self._detached = detached
        self._on_change = on_change

    def start(self, timeout: float = 60.0) -> None:
        """Start the program and wait until it is ready; does nothing when it runs.

        Args:
            timeout: Seconds to wait.

        Raises:
            StartError: it ended before it was ready, or wasn't ready in time.
        """
        if self.process is not None and self.process.alive:
            return
        # Nothing is inherited: ETCD_… and proxy variables of the user's shell would change what is run.
        self.process = Process.start(self._argv, log_path=self.log_path, env={}, detached=self._detached)
        self._on_change()
        self._wait_until_ready(self.process, timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """End the program with SIGTERM, or with SIGKILL after `timeout` seconds; does nothing when it doesn't run.

        etcd alone takes 7 s to stop while the API server is connected to it; `kill` is quicker.
        """
        if self.process is not None:
            self.process.stop(timeout)
            self._forget()

    def kill(self) -> None:
        """End the program with SIGKILL, as in a crash; does nothing when it doesn't run."""
        if self.process is not None:
            self.process.kill()
            self._forget()

    def restart(self, timeout: float = 60.0) -> None:
        """Stop and start the program; raises StartError like `start`."""
        self.stop()
        self.start(timeout)

    def attach(self, pid: int, start_mark: str) -> None:
        """Hold the process that another Python process started, if it still runs."""
        self.process = Process.attach(pid, start_mark, self.log_path)

    def _forget(self) -> None:
        self.process = None
        self._on_change()

    def _wait_until_ready(self, process: Process, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not self._probe.succeeds():
            if process.wait(_PROBE_SECONDS):
                problem = f"ended with {process.exit_code} before it was ready"
            elif time.monotonic() > deadline:
                problem = f"was not ready within {timeout:.0f} s"
            else:
                continue
            raise StartError(f"{self.name} {problem}. The end of {self.log_path}:\n{process.log_tail()}")
