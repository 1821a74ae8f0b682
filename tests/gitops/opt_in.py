"""Which tests need Flux."""

import os

import pytest

NEEDS_FLUX = [
    pytest.mark.skipif(
        not os.environ.get("BOKGU_TEST_GITOPS"),
        reason="needs Flux's kustomize-controller, which takes minutes to build once: make test-gitops",
    ),
    pytest.mark.timeout(300),
]
"""They run by `make test-gitops` alone: who works on something else needs no second Go module."""
