"""Processes end when they should, only then, and only the right ones."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.process import Process

_SLEEP = ["sleep", "600"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "program.log"


@pytest.fixture
def sleeper(log: Path) -> Iterator[Process]:
    with Process.start(_SLEEP, log_path=log) as process:
        yield process


def runs(pid: int) -> bool:
    """Whether a process runs, by /proc alone; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int, timeout: float = 5.0) -> bool:
    """Whether a process ends within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not runs(pid)


def start_in_python(log: Path, *, detached: bool) -> tuple["subprocess.Popen[str]", int]:
    """A Python process that started a program and waits; and the program's pid."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.controlplane.process import Process\n"
        f"process = Process.start({_SLEEP!r}, log_path=Path(sys.argv[1]), detached={detached})\n"
        "print(process.pid, flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, log], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        return parent, int(parent.stdout.readline())


def test_output_exit_code_and_environment(log: Path) -> None:
    script = 'echo "$GREETING,$HOME"; echo wrong >&2; exit 3'
    with Process.start(["sh", "-c", script], log_path=log, env={"GREETING": "hello"}) as process:
        assert process.wait(5)
    assert process.exit_code == 3
    assert process.log_tail() == "hello,\nwrong"
    assert process.log_tail(1) == "wrong"
    assert log.stat().st_mode & 0o777 == 0o600


def test_unknown_program_is_an_error(log: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        Process.start(["no-such-program"], log_path=log)


def test_stop_lets_a_program_end_by_itself(log: Path) -> None:
    process = Process.start(["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"], log_path=log)
    while "ready" not in process.log_tail():
        time.sleep(0.01)
    process.stop()
    assert process.exit_code == 7
    assert not runs(process.pid)


def test_stop_kills_a_program_that_does_not_listen(log: Path) -> None:
    process = Process.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"], log_path=log)
    while "ready" not in process.log_tail():
        time.sleep(0.01)
    process.stop(timeout=0.2)
    assert process.exit_code == -signal.SIGKILL
    assert not runs(process.pid)


def test_kill(sleeper: Process) -> None:
    assert sleeper.alive
    sleeper.kill()
    assert not sleeper.alive
    assert sleeper.exit_code == -signal.SIGKILL
    assert not runs(sleeper.pid)


def test_outlives_the_thread_that_started_it(log: Path) -> None:
    started: list[Process] = []

    def start() -> None:
        started.append(Process.start(["sh", "-c", "echo bound; exec sleep 600"], log_path=log))
        # Only once the program itself runs is it bound to its parent.
        while "bound" not in started[0].log_tail():
            time.sleep(0.01)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    with started[0] as process:
        assert not process.wait(0.3)


def test_dies_with_a_killed_parent(log: Path) -> None:
    parent, pid = start_in_python(log, detached=False)
    assert runs(pid)
    parent.kill()
    parent.wait()
    assert ends(pid)


def test_detached_outlives_a_killed_parent(log: Path) -> None:
    parent, pid = start_in_python(log, detached=True)
    parent.kill()
    parent.wait()
    with Process(pid, log) as process:
        assert not process.wait(0.3)
    assert ends(pid)


def test_attach_finds_the_same_process(sleeper: Process) -> None:
    attached = Process.attach(sleeper.pid, sleeper.start_mark, sleeper.log_path)
    assert attached is not None
    attached.stop()
    assert not runs(sleeper.pid)


def test_attach_refuses_a_recycled_pid(sleeper: Process) -> None:
    boot, _, ticks = sleeper.start_mark.partition(":")
    assert Process.attach(sleeper.pid, f"{boot}:{int(ticks) - 1}", sleeper.log_path) is None
    assert sleeper.alive


def test_attach_to_an_ended_process_is_none(sleeper: Process) -> None:
    mark = sleeper.start_mark
    sleeper.kill()
    assert Process.attach(sleeper.pid, mark, sleeper.log_path) is None
