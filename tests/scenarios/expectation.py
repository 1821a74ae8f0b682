"""What a scenario says must come of it, all of it observable: objects in Kubernetes, AWS calls, the service."""

import operator
import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from tests.scenarios.model import Model, Name
from tests.scenarios.simulated_time import Length

_COUNT = re.compile(r"(<=|>=)?\s*(\d+)")
_COMPARE: dict[str | None, Callable[[int, int], bool]] = {None: operator.eq, "<=": operator.le, ">=": operator.ge}


class Count(Model):
    """A number, or a bound: `3`, `<=2`, `>=3`."""

    comparison: Literal["<=", ">="] | None
    number: int

    def holds(self, found: int) -> bool:
        """Whether `found` is such a number."""
        return _COMPARE[self.comparison](found, self.number)

    def exceeded_by(self, found: int) -> bool:
        """Whether `found` can only be wrong, however long one waits: counts of writes never fall."""
        return self.comparison != ">=" and found > self.number

    def __str__(self) -> str:
        return f"{self.comparison or ''}{self.number}"


def _read_count(text: object) -> object:
    if isinstance(text, Count):
        return text
    found = _COUNT.fullmatch(str(text))
    if found is None:
        raise ValueError(f"not a number or bound: {text!r} (write it as 3, <=2 or >=3)")
    return {"comparison": found[1], "number": int(found[2])}


Bound = Annotated[Count, BeforeValidator(_read_count)]


class ExpectedPlan(Model):
    """The newest plan of an incident. What is not given does not matter."""

    phase: str | None = None
    reason: str | None = None
    actions: tuple[str, ...] | None = None
    says: tuple[str, ...] = ()


class ExpectedIncident(Model):
    """One incident that there must be. What is not given does not matter.

    `says`: words that its status or spec must contain; `leader`: the service whose incident it is folded into;
    `seen_within`: how soon after the last step that was no wait it must be there.
    """

    service: Name
    type: str
    phase: str | None = None
    reason: str | None = None
    severity: str | None = None
    cause: str | None = None
    source: str | None = None
    leader: Name | None = None
    occurrences: Bound | None = None
    flapping: bool | None = None
    says: tuple[str, ...] = ()
    plan: ExpectedPlan | Literal["none"] | None = None
    seen_within: Length | None = None


class ExpectedService(Model):
    """The ECS service as it truly is, and what its ProtectedService says of it.

    `runs`: the revision that all running tasks are of; `detections`: states by name, of presets and Detectors alike;
    `says`: words that the ProtectedService's status must contain.
    """

    runs: Name | None = None
    running: Bound | None = None
    desired: Bound | None = None
    status: str | None = None
    security_groups: tuple[str, ...] | None = None
    detections: dict[str, str] = Field(default_factory=dict)
    detecting: str | None = None
    ready: str | None = None
    says: tuple[str, ...] = ()


class Expectation(Model):
    """The end, and how soon after the last step it must have come.

    `incidents`: these and no others ever; `writes`: the operator's calls with an effect, by service and operation, and
    none besides. All of it must still hold after `then_quiet`.
    """

    within: Length = 1200.0
    then_quiet: Length = 180.0
    incidents: tuple[ExpectedIncident, ...] = ()
    one_leads: tuple[Name, ...] = ()
    """Of the incidents of these services exactly one leads, and the others are folded into it."""
    alerts: tuple[str, ...] = ()
    """What must have been told to people outside Kubernetes."""
    services: dict[Name, ExpectedService] = Field(default_factory=dict)
    writes: dict[Name, dict[str, Bound]] = Field(default_factory=dict)
    blind: bool = False
    """AWS answers nothing that detection needs: no look at the service can be asked for."""
