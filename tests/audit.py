"""Asks databases of known vulnerabilities about what requirements.lock pins, by pip-audit, which must be installed.

pip-audit itself says that it knows of no vulnerabilities where it found no database to ask, as behind a mirror: here a
package that nobody was asked about counts as unknown, and unknown is no good news.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
DATABASES = ("pypi", "osv")
"""Where pip-audit may ask (--vulnerability-service), in this order until one knows all packages."""
PATIENCE = 900
"""Seconds for one database."""
VULNERABLE, UNKNOWN = 1, 2
"""Exit codes besides 0."""


@dataclass(frozen=True)
class Answer:
    """What one database said: packages that it knows, vulnerabilities as `PACKAGE VERSION: ID`, and packages that it
    said nothing about. `problem` is why there is no answer at all."""

    known: frozenset[str] = frozenset()
    vulnerable: frozenset[str] = frozenset()
    problem: str = ""


def read_answer(report: str) -> Answer:
    """The answer in a report of pip-audit in JSON. Raises ValueError where it is none."""
    try:
        found = json.loads(report)["dependencies"]
        known = [package for package in found if "skip_reason" not in package]
        vulnerable = (f"{p['name']} {p['version']}: {v['id']}" for p in known for v in p["vulns"])
        return Answer(frozenset(package["name"] for package in known), frozenset(vulnerable))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no report of pip-audit: {error!r}") from error


def ask(program: str, database: str, lock: Path) -> Answer:
    """Ask one database about all pins, by their hashes, without installing anything."""
    command = [program, "--requirement", str(lock), "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    command += ["--vulnerability-service", database, "--format", "json"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return read_answer(ran.stdout)
    except subprocess.TimeoutExpired:
        return Answer(problem=f"no answer within {PATIENCE} s")
    except ValueError:
        lines = ran.stderr.strip().splitlines()
        return Answer(problem=lines[-1] if lines else f"pip-audit ended with {ran.returncode} and no report")


def list_pins(lock: Path) -> frozenset[str]:
    """Names of all packages that the lock pins."""
    lines = lock.read_text().splitlines()
    return frozenset(line.partition("==")[0] for line in lines if "==" in line and not line.startswith((" ", "#")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Say what is known. 0: all packages are known, and none is vulnerable; 1: one is; 2: some are not known."""
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--lock", type=Path, default=LOCK)
    parser.add_argument("--accept-unknown", action="store_true", help="end with 0 where no database could be asked")
    options = parser.parse_args(arguments)
    program = os.environ.get("PIP_AUDIT") or shutil.which("pip-audit")
    if program is None:
        print("audit: pip-audit is not there: install it, or name it in PIP_AUDIT", file=sys.stderr)
        return UNKNOWN
    unknown, vulnerable = list_pins(options.lock), frozenset[str]()
    pins = len(unknown)
    for database in DATABASES:
        answer = ask(program, database, options.lock)
        unknown, vulnerable = unknown - answer.known, vulnerable | answer.vulnerable
        said = answer.problem or f"knows {len(answer.known)} of {pins} packages"
        print(f"audit: {database}: {said}", file=sys.stderr)
        if not unknown:
            break
    for line in sorted(vulnerable):
        print(f"vulnerable: {line}")
    if unknown:
        print(f"audit: no database was asked about {len(unknown)} of {pins} packages: nothing is known of them")
    if vulnerable:
        return VULNERABLE
    if not unknown:
        print(f"audit: {pins} packages, no known vulnerability")
    return UNKNOWN if unknown and not options.accept_unknown else 0


if __name__ == "__main__":
    sys.exit(main())
