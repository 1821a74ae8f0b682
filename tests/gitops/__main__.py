"""`python -m tests.gitops`: find kustomize-controller, or build it once, and print its folder."""

import sys

from tests.controlplane import ProgramsError
from tests.gitops.program import KUSTOMIZE_CONTROLLER

if __name__ == "__main__":
    try:
        print(KUSTOMIZE_CONTROLLER.find_or_build())
    except ProgramsError as error:
        sys.exit(str(error))
