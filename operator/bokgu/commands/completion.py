"""`bokgu completion`: what a shell needs to complete commands, options, and names of incidents and plans."""

import argparse
import asyncio
import io
import os
import shlex
from collections.abc import Iterable, Sequence

from bokgu.api.meta import Resource
from bokgu.kube.client import KubeClient, KubeError, current_namespace

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")

NO_FILES = ":4"
"""What kubectl must not do with completions that a plugin prints: offer files beside them (cobra,
ShellCompDirectiveNoFileComp)."""

WITHIN = 2.0
"""Seconds in which a cluster must answer whoever waits for a completion."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "completion",
        help="print what a shell needs to complete bokgu",
        description="Print a script for a shell, which then completes commands, options, and the names of incidents and"
        " plans of the namespace. bash: source <(bokgu completion bash). kubectl completes `kubectl bokgu` by itself,"
        " with kubectl_complete-bokgu, which is installed beside bokgu.",
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(command=_completion)


def _completion(options: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - every other command does without

    print(shellcode(["bokgu", "kubectl-bokgu"], shell=options.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and end; return at once to everybody else."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # noqa: PLC0415 - see above

        argcomplete.autocomplete(parser, always_complete_options=False)


def complete_with(argument: argparse.Action, kind: type[Resource]) -> None:
    """Let an argument be completed with names of objects of that kind: none where the cluster does not answer soon."""

    def find(prefix: str, parsed_args: argparse.Namespace, **_: object) -> Iterable[str]:
        try:
            namespace = getattr(parsed_args, "namespace", None) or current_namespace()
            return [name for name in asyncio.run(_list_names(kind, namespace)) if name.startswith(prefix)]
        except (KubeError, OSError):  # Also TimeoutError.
            return ()

    setattr(argument, "completer", find)  # noqa: B010 - argparse declares no such attribute; argcomplete reads it


async def _list_names(kind: type[Resource], namespace: str) -> list[str]:
    async with asyncio.timeout(WITHIN):
        kube = await KubeClient.connect()
        try:
            return [body["metadata"]["name"] async for body in kube.list(kind.plural, namespace)]
        finally:
            await kube.close()


def complete_for_kubectl(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """What kubectl reads: one completion a line and a directive. `words` follow `kubectl bokgu`, and the last one is to
    be completed (kubectl 1.26 and newer)."""
    from argcomplete.finders import CompletionFinder  # noqa: PLC0415 - see above

    class Finder(CompletionFinder):
        """One that writes where it is told to, and leaves file descriptors of the process alone."""

        def _init_debug_stream(self) -> None:
            pass

    words = words or [""]
    line = f"{shlex.join(['bokgu', *words[:-1]])} {words[-1]}"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    os.environ |= {**asked, "COMP_LINE": line, "COMP_POINT": str(len(line))}
    answer = io.StringIO()
    Finder()(parser, False, exit_method=lambda _: None, output_stream=answer)
    return f"{answer.getvalue()}\n{NO_FILES}"
