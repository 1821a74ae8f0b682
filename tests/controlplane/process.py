"""Programs run as processes with a log file, which die with their parent and are ended by pid. Linux only."""

import os
import select
import shutil
import signal
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Self

_EXEC_STEP = Path(__file__).with_name("die_with_parent.py")
_TAIL_BYTES = 64 * 1024


class Process:
    """A running program, started by `Process.start` or found again by `Process.attach`.

    The process is held through a pidfd (pidfd_open(2)), so a signal can't reach another process that was given the same
    pid. Methods may be called from any thread.
    """

    def __init__(self, pid: int, log_path: Path) -> None:
        """Hold the running process `pid`; raises ProcessLookupError when there is none."""
        self.pid = pid
        self.log_path = log_path
        self._exit_code: int | None = None
        self._reaped = False
        self._reaping = threading.Lock()
        self._pidfd = os.pidfd_open(pid)
        weakref.finalize(self, os.close, self._pidfd)
        self.start_mark = _start_mark(pid)

    @classmethod
    def start(
        cls, argv: Sequence[str | Path], *, log_path: Path, env: Mapping[str, str] | None = None, detached: bool = False
    ) -> "Process":
        """Start a program in a session of its own, its stdout and stderr appended to `log_path` (created 0600).

        Args:
            argv: The program, a path or a name on PATH, and its arguments.
            log_path: The log file, in an existing folder.
            env: The whole environment; this process's own when None.
            detached: Outlive this process. Otherwise the kernel kills the program when this process ends in any way,
                before functions registered with `atexit` run.

        Raises:
            FileNotFoundError: no such program, or no folder for the log.
        """
        program = shutil.which(argv[0])
        if program is None:
            raise FileNotFoundError(f"no such program: {argv[0]}")
        command = [os.path.abspath(program), *map(str, argv[1:])]
        if not detached:
            command = [sys.executable, "-I", "-S", str(_EXEC_STEP), str(os.getpid()), *command]
        pid = (
            _spawning_thread(os.getpid()).submit(_spawn, command, os.environ if env is None else env, log_path).result()
        )
        return cls(pid, log_path)

    @classmethod
    def attach(cls, pid: int, start_mark: str, log_path: Path) -> "Process | None":
        """Find a process again, also one that another Python process started; None when it has ended.

        Args:
            pid: Its pid.
            start_mark: Its `start_mark`, by which a recycled pid is told apart.
            log_path: Its log file.
        """
        try:
            process = cls(pid, log_path)
        except (ProcessLookupError, FileNotFoundError):
            return None
        return process if process.start_mark == start_mark and process.alive else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the program still runs (a zombie doesn't)."""
        return not self.wait(0)

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs, or when it was another process's child."""
        self.wait(0)
        return self._exit_code

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds, or for ever, for the end of the program; returns whether it has ended."""
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        if not ended.poll(None if timeout is None else timeout * 1000):
            return False
        with self._reaping:
            if not self._reaped:
                self._reaped = True
                try:
                    self._exit_code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                except ChildProcessError:
                    # Not our child, or reaped through another Process.
                    self._exit_code = None
        return True

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; does nothing when the program has ended."""
        if self.alive:
            # It may end between the two lines.
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """End the program with SIGKILL, and return when it has ended."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def stop(self, timeout: float = 10.0) -> None:
        """End the program with SIGTERM, or with SIGKILL when it still runs after `timeout` seconds."""
        self.send_signal(signal.SIGTERM)
        if not self.wait(timeout):
            self.kill()

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the log file."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


@cache
def _spawning_thread(_pid: int) -> ThreadPoolExecutor:
    """The one thread of this process that starts programs.

    PR_SET_PDEATHSIG fires at the end of the *thread* that started the child (prctl(2)), so that must be a thread which
    lives until the interpreter ends. Keyed by pid, as a forked Python process doesn't inherit threads.
    """
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawn")


def _spawn(command: list[str], env: Mapping[str, str], log_path: Path) -> int:
    return os.posix_spawn(
        command[0],
        command,
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log_path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        # A terminal's Ctrl-C is for the parent alone, which then stops its programs in order.
        setsid=True,
        setsigmask=(),
        # Python ignores these, and ignored signals would stay ignored in the program.
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
    )


def _start_mark(pid: int) -> str:
    """When a process started: this boot's id, and clock ticks since boot (proc_pid_stat(5), field 22)."""
    # The command's name, in parentheses, may hold spaces and parentheses itself.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{fields[22 - 3]}"
