"""`python -m tests.chart build`: find Helm, or build it once, and print its folder; `deploy`: write what it renders."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.chart.program import HELM
from tests.chart.rendering import DEPLOY, SNAPSHOTS, list_cases, write_deploy, write_snapshot
from tests.controlplane.programs import ProgramsError


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Have these files in the folder, and no others."""
    folder.mkdir(exist_ok=True)
    for stale in {file.name for file in folder.iterdir()} - files.keys():
        (folder / stale).unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chart", description=__doc__)
    parser.add_argument("command", choices=("build", "deploy"))
    try:
        if parser.parse_args().command == "build":
            print(HELM.find_or_build())
        else:
            write(DEPLOY, write_deploy())
            write(SNAPSHOTS, {f"{case}.yaml": write_snapshot(case) for case in list_cases()})
    except ProgramsError as error:
        sys.exit(str(error))
