"""An AWS that passes are given and do not ask."""

from collections.abc import Callable
from typing import Any, Self


class UnaskedAws:
    """Takes grants and whom to tell of calls, and fails on anything else. `count` is whom to tell."""

    def __init__(self) -> None:
        self.count: Callable[[], None] = lambda: None

    def with_grant(self, _grant: Any) -> Self:
        return self

    def counting(self, count: Callable[[], None]) -> Self:
        self.count = count
        return self
