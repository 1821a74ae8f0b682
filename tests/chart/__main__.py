"""`python -m tests.chart build`: find Helm, or build it once, and print its folder; `deploy`: write `deploy/`."""

import argparse
import sys

from tests.chart.program import HELM
from tests.chart.rendering import DEPLOY, write_deploy
from tests.controlplane.programs import ProgramsError

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.chart")
    parser.add_argument("command", choices=("build", "deploy"))
    try:
        if parser.parse_args().command == "build":
            print(HELM.find_or_build())
        else:
            DEPLOY.mkdir(exist_ok=True)
            files = write_deploy()
            for stale in {file.name for file in DEPLOY.iterdir()} - files.keys():
                (DEPLOY / stale).unlink()
            for name, text in files.items():
                (DEPLOY / name).write_text(text)
    except ProgramsError as error:
        sys.exit(str(error))
