"""A later release: this version's code whose statuses have a field more, which it writes. It runs as any other."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.world.world import ROOT

VERSION = "99.0.0"
FIELD = "writtenBy"
"""What it says in the statuses of plans, of their steps, of incidents and of ProtectedServices."""

_MEMBER = '    written_by: Word | None = Field(default=None, description="Version that wrote it last.")\n'
_STATUS = "    observed_generation: int | None"
_SAYS = f'"written_by": "{VERSION}"'
_CHANGES: tuple[tuple[str, str, str], ...] = (
    ("__init__.py", '__version__ = "', f'__version__ = "{VERSION}"  # "'),
    ("api/recovery_plan.py", "    phase: OperationPhase", f"{_MEMBER}    phase: OperationPhase"),
    ("api/recovery_plan.py", _STATUS, f"{_MEMBER}{_STATUS}"),
    ("api/incident.py", _STATUS, f"{_MEMBER}{_STATUS}"),
    ("api/protected_service.py", _STATUS, f"{_MEMBER}{_STATUS}"),
    ("core/execution.py", '            "uid": plan', f'            {_SAYS},\n            "uid": plan'),
    ("core/execution.py", "StepStatus(name=step.name)", f'StepStatus(name=step.name, written_by="{VERSION}")'),
    ("core/lifecycle.py", '            "uid": incident', f'            {_SAYS},\n            "uid": incident'),
    ("reconcile/protected_service.py", 'update={"begun_recoveries"', f'update={{{_SAYS}, "begun_recoveries"'),
)
"""(file, text that is there once, what takes its place)"""


def build_later_release(folder: Path) -> Path:
    """Write its code and its CRDs into the folder; the folder for PYTHONPATH. The CRDs are in `crds` beside it."""
    code = folder / "operator"
    shutil.copytree(ROOT / "operator", code, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in _CHANGES:
        file = code / "bokgu" / name
        text = file.read_text()
        if text.count(old) != 1:
            raise ValueError(f"{name}: {old!r} is there {text.count(old)} times")
        file.write_text(text.replace(old, new))
    environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "bokgu", "crds", "--out", str(folder / "crds")]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return code
