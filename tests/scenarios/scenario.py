"""A scenario as its file has it."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from tests.scenarios.expectation import Expectation
from tests.scenarios.model import Json, Model, Name
from tests.scenarios.simulated_time import Length
from tests.scenarios.steps import NEEDS_OWN_ACCOUNT, NEEDS_WORLD_ALONE, Step


class ServiceScaling(Model):
    """Application Auto Scaling of a service: its range, a target for its CPU, and a scheduled action."""

    min: int
    max: int
    target_cpu: float | None = None
    schedule: Json | None = None
    """Members of PutScheduledAction."""


class Gateway(Model):
    """An API Gateway in front of a service."""

    kind: Literal["REST", "HTTP"]
    id: str
    name: str = ""
    stage: str | None = None


class WorldService(Model):
    """An ECS service as the story finds it: healthy.

    `task`: SIM_ variables without the prefix, in lower case; `container` and `definition`: members of the container
    and of the task definition, `ecs` of CreateService, in AWS's own words. `count` makes so many of it, named
    `name-1`, `name-2`, ...
    """

    tasks: int = 3
    load: float = 300.0
    task: dict[str, Any] = Field(default_factory=lambda: {"capacity_rps": 140})
    balancer: Literal["alb", "blue-green", "none"] = "alb"
    container: Json = Field(default_factory=dict)
    definition: Json = Field(default_factory=dict)
    ecs: Json = Field(default_factory=dict)
    autoscaling: ServiceScaling | None = None
    gateway: Gateway | None = None
    steady: bool = True
    """Whether it runs well before the story begins."""
    protect: Json | None = Field(default_factory=dict)
    """Members of spec of its ProtectedService beside the usual ones; null: it has none."""
    count: int = Field(default=1, ge=1, le=60)


class StartingWorld(Model):
    """What there is before the story begins.

    `account: own`: an AWS account of its own, whose faults nobody else feels; `cluster`: settings of CreateCluster;
    `dependencies`: what services call, and which; `shared_balancer`: services behind one load balancer; `objects`:
    Detectors and the like.
    """

    services: dict[Name, WorldService] = Field(min_length=1)
    account: Literal["shared", "own"] = "shared"
    cluster: tuple[Json, ...] = ()
    dependencies: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    alarms: tuple[Json, ...] = ()
    role: Json = Field(default_factory=dict)
    shared_balancer: tuple[Name, ...] = ()
    objects: tuple[Json, ...] = ()
    past: Length = 420.0
    """How long it has been well when the story begins."""
    watched: bool = True
    """Whether the story begins only when the operator watches every service and knows a good revision of it."""


class Waiting(Model):
    """The scenario cannot come right yet: what the operator lacks, and the issue that brings it."""

    issue: int = Field(ge=1)
    reason: str


class Scenario(Model):
    """One scenario. `number` is its row in the catalogue of the design; ours begin at 100."""

    number: int = Field(ge=1)
    title: str
    why: str
    waiting: Waiting | None = None
    world: StartingWorld
    alone: bool = False
    """Whether it needs a world of its own."""
    approvals: Literal["given", "withheld"] = "given"
    """Whether alice and bob approve every plan as soon as it awaits approval."""
    story: tuple[Step, ...] = Field(min_length=1)
    expect: Expectation

    @model_validator(mode="after")
    def _check(self) -> "Scenario":
        known = set(self.world.services)
        for place, name in self._named():
            if name not in known:
                raise ValueError(f"{place}: there is no service {name!r} in world.services")
        for step in self.story:
            if isinstance(step, NEEDS_OWN_ACCOUNT) and self.world.account != "own":
                raise ValueError(f"story: {step.do} is felt in the whole account: world.account must be own")
            if isinstance(step, NEEDS_WORLD_ALONE) and not self.alone:
                raise ValueError(f"story: {step.do} is felt in the whole world: alone must be true")
        return self

    def _named(self) -> Iterator[tuple[str, str]]:
        for step in self.story:
            if (name := getattr(step, "service", None)) is not None:
                yield f"story: {step.do}", name
        for incident in self.expect.incidents:
            yield "expect.incidents", incident.service
        for name in (*self.expect.services, *self.expect.writes):
            yield "expect", name
        for names in self.world.dependencies.values():
            yield from (("world.dependencies", name) for name in names)
