"""`bokgu diagnose`: what is wrong, told from facts in files."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bokgu.commands.case_file import BadCase, read_case
from bokgu.commands.data import format_data
from bokgu.commands.page import plain
from bokgu.commands.terminal import progress
from bokgu.core.diagnosis import diagnose
from bokgu.core.evidence import Evidence
from bokgu.core.runbooks import choose_runbook, first_write
from bokgu.runbooks import load_builtin_runbooks


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "diagnose",
        help="say what is wrong, from facts in files",
        description="Print the verdict on each incident, as JSON one line a file, as YAML one document a file:"
        " rootCause, newRevisionAtFault, confidence, safeAutomaticAction (what the built-in runbooks would do, or"
        " none), evidence. The files hold what AWS's APIs answer; docs/diagnosis.md has the format. Nothing is asked of"
        " AWS or of a cluster.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("-o", "--output", choices=("json", "yaml"), default="json", help="default: %(default)s")
    parser.add_argument("--pretty", action="store_true", help="indent the JSON")
    parser.set_defaults(command=_diagnose)


def build_verdict(evidence: Evidence) -> dict[str, Any]:
    """What the operator would say of this evidence, and the first write that its built-in runbooks would propose."""
    found = diagnose(evidence)
    runbook = choose_runbook(
        load_builtin_runbooks(),
        incident_type=evidence.incident_type,
        root_cause=found.root_cause,
        new_revision_at_fault=found.new_revision_at_fault,
        traits=found.traits,
        labels={},
        environment="production",
    )
    action = first_write(runbook) if runbook else None
    return {
        "rootCause": str(found.root_cause),
        "newRevisionAtFault": found.new_revision_at_fault,
        "confidence": str(found.confidence),
        "safeAutomaticAction": str(action or "none"),
        "traits": [str(trait) for trait in found.traits],
        "evidence": [{"source": item.source, "fact": item.fact} for item in found.evidence],
        "ruledOut": list(found.ruled_out),
    }


def _format(verdict: dict[str, Any], options: argparse.Namespace) -> str:
    if options.output == "yaml":
        return f"---\n{format_data(verdict, 'yaml')}"
    return json.dumps(verdict, ensure_ascii=False, indent=2 if options.pretty else None) + "\n"


def _diagnose(options: argparse.Namespace) -> int:
    failed = False
    for path in options.files:
        try:
            with progress(f"reading {plain(str(path))}"):
                verdict = {"file": str(path), **build_verdict(read_case(path))}
        except (BadCase, OSError) as error:
            print(f"bokgu: {error}", file=sys.stderr)
            failed = True
            continue
        except (TypeError, ValueError, AttributeError, KeyError, OverflowError) as error:  # Members of wrong types.
            print(f"bokgu: {path}: not in the shapes of AWS's API: {error}", file=sys.stderr)
            failed = True
            continue
        print(_format(verdict, options), end="", flush=True)
    return 1 if failed else 0
