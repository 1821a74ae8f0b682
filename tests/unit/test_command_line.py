"""The program as a whole: its words, its exit codes, its completions, and what it says while something takes long."""

import os
import pty
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from bokgu import __main__ as program
from bokgu.__main__ import BROKEN_PIPE, COMMANDS, build_parser, main
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.commands.cancel import describe_hold
from bokgu.commands.completion import NO_FILES, SHELLS, complete_for_kubectl
from bokgu.commands.terminal import progress
from bokgu.kube.client import KubeError
from tests.unit.facts import NOW, plan
from tests.world.world import ROOT

ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT / "operator")}


# Words


@pytest.mark.parametrize(
    "words",
    [
        ["status", "-A", "-n", "shop"],
        ["status", "-o", "wide"],
        ["watch", "--every", "0s"],
        ["explain"],
        ["report", "api-1", "-o", "pdf"],
        ["reject", "plan-1", "--reject"],
        ["cancel", "plan-1", "--hold", "--release"],
        ["completion", "ksh"],
        [],
    ],
)
def test_words_that_cannot_be_meant_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(words)
    assert refused.value.code == 2


def test_every_command_has_help_that_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    everything = capsys.readouterr().out
    assert "exit codes: 0 done" in everything
    for command in (module.__name__.rpartition(".")[2].replace("_", "-") for module in COMMANDS):
        assert f"\n    {command}" in everything
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert len(capsys.readouterr().out.splitlines()) > 3


@pytest.mark.parametrize(("name", "said"), [("kubectl-bokgu", "kubectl bokgu"), ("bokgu", "bokgu")])
def test_help_names_the_program_as_people_call_it(name: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}"])
    assert build_parser().format_usage().startswith(f"usage: {said} [-h]")


# Exit codes


def ending(error: BaseException) -> Callable[[Any], int]:
    def run(_: Any) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KubeError(0, "Unreachable", "no route"), 1, "kubectl config current-context"),
        (KubeError(401, "Unauthorized", "no"), 1, "Log in"),
        (KubeError(403, "Forbidden", "no"), 1, "ClusterRole bokgu-viewer"),
        (KubeError(404, "NotFound", "no"), 1, "apply crds/"),
        (OSError("it has changed"), 1, "bokgu: it has changed"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_how_it_ends_says_what_happened_and_what_to_do(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bokgu.commands.status._status", ending(error))
    assert main(["status"]) == code
    assert said in capsys.readouterr().err


def test_an_object_of_another_version_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bokgu.commands.status._status", lambda _: RecoveryPlan.model_validate({}))
    assert main(["status"]) == 1
    assert "cannot read RecoveryPlan: use the operator's version" in capsys.readouterr().err


def test_output_that_nobody_reads_ends_it_without_a_word() -> None:
    command = f"{sys.executable} -m bokgu runbooks | true; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(
        ["bash", "-c", command], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (BROKEN_PIPE, "")


def test_without_a_cluster_it_says_what_is_missing(tmp_path: Path) -> None:
    nowhere = {**ENVIRONMENT, "HOME": str(tmp_path), "KUBECONFIG": str(tmp_path / "none")}
    command = [sys.executable, "-m", "bokgu", "status"]
    ended = subprocess.run(command, env=nowhere, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "set KUBECONFIG" in ended.stderr


# Completion


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["st"], ["status"]),
        (["status", "--out"], ["--output"]),
        (["status", "-o", ""], ["text", "yaml", "json"]),
        (["completion", "z"], ["zsh"]),
        (["cancel", "--re"], ["--release", "--reason"]),
    ],
)
def test_kubectl_is_told_what_may_come_next(
    words: list[str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    assert complete_for_kubectl(build_parser(), words).splitlines() == [*found, NO_FILES]


def test_a_cluster_that_is_not_there_completes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ, "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)})
    assert complete_for_kubectl(build_parser(), ["explain", "-n", "shop", "api"]).splitlines() == ["", NO_FILES]


BOTH = ("bokgu", "kubectl-bokgu")
REGISTERED = {
    "bash": ("complete -o nospace -o default -o bashdefault -F _python_argcomplete bokgu kubectl-bokgu\n",),
    "zsh": ("#compdef bokgu kubectl-bokgu\n", "compdef _python_argcomplete bokgu kubectl-bokgu\n", '_SHELL="zsh"'),
    "fish": tuple(f"complete --command {name} -f -a '(__fish_{name}_complete)'\n" for name in BOTH),
    "tcsh": tuple(f"""complete "{name}" 'p@*@`python-argcomplete-tcsh "{name}"`@' ;""" for name in BOTH),
    "powershell": tuple(f"Register-ArgumentCompleter -Native -CommandName {name} " for name in BOTH),
}
"""What in each script lets the shell ask for completions of both names."""


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_registers_both_names(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert [line for line in REGISTERED[shell] if line not in script] == []
    assert script.count("(") == script.count(")"), "nothing is cut off"
    assert script.count("{") == script.count("}")


_ZSH = """autoload -U compinit; compinit -u -D; source <(bokgu completion zsh); print "is $_comps[bokgu]"
_describe() { print -l -- $completions }; words=(bokgu stat); BUFFER='bokgu stat' CURSOR=10; _python_argcomplete"""
_FISH = "bokgu completion fish | source; complete --do-complete 'bokgu stat'"


@pytest.mark.parametrize(("shell", "script"), [("zsh", _ZSH), ("fish", _FISH)])
def test_a_shell_that_is_installed_here_completes_commands(shell: str, script: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was only read")
    program = tmp_path / "bokgu"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m bokgu "$@"\n')
    program.chmod(0o755)
    env = {**ENVIRONMENT, "HOME": str(tmp_path), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run([shell, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert any(line.startswith("status") for line in ended.stdout.splitlines()), (ended.stdout, ended.stderr)


def test_crds_are_written_where_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "new" / "folder"
    assert main(["crds", "--out", str(folder)]) == 0
    told = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {path.parent for path in told} == {folder}
    assert {path.name: path.read_text() for path in told} == {
        path.name: path.read_text() for path in (ROOT / "crds").iterdir()
    }
    (tmp_path / "file").write_text("")
    assert main(["crds", "--out", str(tmp_path / "file")]) == 1
    assert "bokgu: " in capsys.readouterr().err


def test_bash_completes_commands_and_options() -> None:
    script = (
        f'bokgu() {{ {sys.executable} -m bokgu "$@"; }}; export -f bokgu; source <(bokgu completion bash);'
        " COMP_LINE='bokgu stat'; COMP_POINT=10; COMP_WORDS=(bokgu stat); COMP_CWORD=1; COMP_TYPE=9; COMP_KEY=9;"
        ' _python_argcomplete bokgu stat bokgu; echo "${COMPREPLY[@]}"'
    )
    ended = subprocess.run(
        ["bash", "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout.split() == ["status"], ended.stderr


def test_the_scripts_that_kubectl_looks_for_are_installed() -> None:
    scripts = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2].partition("[tool")[0]
    named = dict(line.replace('"', "").split(" = ") for line in scripts.splitlines() if " = " in line)
    assert {"bokgu", "kubectl-bokgu", "kubectl_complete-bokgu"} == set(named)
    for place in named.values():
        module, _, function = place.partition(":")
        assert (module, callable(getattr(program, function))) == ("bokgu.__main__", True)


# What it says meanwhile

PATIENCE = "bokgu.commands.terminal.PATIENCE"


def said_at_a_terminal(takes: float) -> str:
    outer, inner = pty.openpty()
    with open(inner, "w") as terminal, redirect_stderr(terminal), progress("reading the cluster"):
        time.sleep(takes)
    text = b""
    while True:
        try:
            text += os.read(outer, 4096)
        except OSError:  # The other side is closed.
            break
        if text.endswith(b"\x1b[K"):
            break
    os.close(outer)
    return text.decode()


def test_what_takes_long_is_told_at_a_terminal_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(PATIENCE, 0.05)
    said = said_at_a_terminal(takes=0.3)
    assert "reading the cluster …" in said
    assert said.endswith("\r\x1b[K")


def test_what_is_not_at_a_terminal_is_not_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PATIENCE, 0.01)
    with progress("reading the cluster"):
        time.sleep(0.1)
    assert capsys.readouterr().err == ""


# Holding a plan


def test_what_comes_of_holding_a_plan_is_said_before_it_is_asked() -> None:
    waiting = describe_hold(plan(status={"phase": "AwaitingApproval"}), hold=True)
    assert "does not begin while it is held, and expires as always" in waiting
    running = plan(status={"phase": "InProgress", "startedAt": NOW})
    assert "InProgress, step 1 of 1, scale-out; what is under way goes on" in describe_hold(running, hold=True)
    assert "BlockedTooLong" in describe_hold(running, hold=True)
    assert "it goes on" in describe_hold(running, hold=False)
