"""What one look at AWS saw, on its way from the scope that looked to the object that it is about, and what its metrics
say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bokgu.api.meta import ObjectMeta
from bokgu.api.observed import AwsError, Series
from bokgu.api.protected_service import TargetGroup
from bokgu.api.vocabulary import DetectionState, IncidentType, SourceKind
from bokgu.core.detection import Reading, evaluate_watch
from bokgu.core.service_state import Memory, ServiceLook, find_excuse, remember_quiet
from bokgu.core.watch import Watch


@dataclass(frozen=True)
class Look:
    """One look at a ProtectedService or a Detector.

    `generation` and `uid` say which spec it follows. `watch` is what is asked of CloudWatch, `series` what it answered,
    by query, `errors` what it did not; nothing of that means anything before the look is `measured`. `state` is the ECS
    service, None for a Detector and where ECS did not describe it: then `problem` says why.
    """

    at: datetime
    generation: int
    watch: Watch
    series: Mapping[str, Series] = field(default_factory=dict)
    errors: Mapping[str, AwsError] = field(default_factory=dict)
    state: ServiceLook | None = None
    problem: AwsError | None = None
    target_groups: tuple[TargetGroup, ...] = ()
    uid: str = ""
    measured: bool = False

    def follows(self, metadata: ObjectMeta) -> bool:
        """Whether it was made for the spec that the object has: an object that was deleted and created again begins at
        generation 1 once more."""
        return (self.uid, self.generation) == (metadata.uid, metadata.generation)


def read_metrics(look: Look, firing: frozenset[str], memory: Memory) -> tuple[dict[str, Reading], Memory]:
    """What every condition of the watch says, by its name, and what to remember; `firing` names what fired before.

    Presets of a service that is down go only by datapoints at which its tasks were meant to run: an empty target group
    proves nothing before.
    """
    readings = evaluate_watch(look.watch, look.series, firing=firing, errors=look.errors, now=look.at)
    down = {c.name for c in look.watch.conditions if c.type is IncidentType.SERVICE_DOWN}
    if look.watch.kind is not SourceKind.PRESET or look.state is None or not down:
        return readings, memory
    memory = remember_quiet(look.state, memory)
    quiet = memory.get("quiet")
    if quiet is None or look.at - quiet > look.watch.lookback:
        return readings, memory
    if excuse := find_excuse(look.state.service):
        return readings | dict.fromkeys(down, Reading(DetectionState.CLEAR, None, None, excuse)), memory
    series = {name: one.since(quiet) for name, one in look.series.items()}
    loud = evaluate_watch(look.watch, series, firing=firing, errors=look.errors, now=look.at)
    if quiet == look.at:
        early = Reading(DetectionState.CLEAR, None, None, "tasks are not due yet")
        loud = {name: reading if name in firing else early for name, reading in loud.items()}
    return readings | {name: loud[name] for name in down}, memory
