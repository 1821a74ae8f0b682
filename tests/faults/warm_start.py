"""Operators that start by a fork of a process which has imported everything: a second and a half less of CPU each time.

`python -m tests.faults.warm_start` is that process. It starts an operator for each line that it reads, and says how one
ended. What runs in the child is `bokgu run`, with an environment and a log of its own.
"""

import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.controlplane.process import Process
from tests.world.world import ROOT

_PR_SET_PDEATHSIG = 1


class WarmProcess(Process):
    """An operator, which is a child of the warm process."""

    def __init__(self, pid: int, log_path: Path, warm: "WarmStart") -> None:
        super().__init__(pid, log_path)
        self._warm = warm
        self._code: int | None = None
        self._asking = threading.Lock()

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end, and ask the warm process for the exit code."""
        ended = super().wait(timeout)
        with self._asking:  # It can be asked for once.
            if ended and self._code is None:
                self._code = self._warm.exit_code(self.pid)
        return ended


class WarmStart:
    """Starts operators. Its methods may be called from any thread."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm_start"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "operator", ROOT)))},
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=30)  # At the end of its input it ends.

    def start(
        self, argv: Sequence[str | Path], *, log_path: Path, env: Mapping[str, str], detached: bool = False
    ) -> Process:
        """As Process.start does it; what is not `bokgu run`, and what has modules of its own, starts cold."""
        if list(argv)[-3:] != ["-m", "bokgu", "run"] or env.get("PYTHONPATH") != str(ROOT / "operator"):
            return Process.start(argv, log_path=log_path, env=env, detached=detached)
        return WarmProcess(self._ask(env=dict(env), log=str(log_path)), log_path, self)

    def exit_code(self, pid: int) -> int:
        """The exit code of an operator that has ended."""
        return self._ask(ended=pid)

    def _ask(self, **question: Any) -> int:
        with self._lock:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            if not answer:
                raise RuntimeError(f"the warm process has ended with {self._process.poll()}: see its output above")
            return int(answer)


def _serve() -> None:
    import bokgu.__main__  # this is what takes long
    import bokgu.runtime.run  # noqa: F401 - and this is imported when it is run

    gc.freeze()  # The children share these pages.
    for line in sys.stdin:
        question = json.loads(line)
        if "ended" in question:
            print(os.waitstatus_to_exitcode(os.waitpid(question["ended"], 0)[1]), flush=True)
            continue
        parent = os.getpid()
        if pid := os.fork():
            print(pid, flush=True)
            continue
        _become_operator(parent, question["env"], question["log"])


def _become_operator(parent: int, environment: Mapping[str, str], log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.environ.clear()
    os.environ.update(environment)
    from bokgu.__main__ import main

    code = 1
    try:
        code = main(["run"])
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # The parent's buffers and exit functions are none of its own.


if __name__ == "__main__":
    _serve()
