"""An AWS that passes are given and do not ask."""

from typing import Any, Self


class UnaskedAws:
    """Takes grants and fails on anything else."""

    def with_grant(self, _grant: Any) -> Self:
        return self

    def counting(self, _count: Any) -> Self:
        return self
