"""Plays one scenario from its beginning to the last check."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.acting import Actor, NotYet, wall
from tests.scenarios.checks import Check, Scene, check_all
from tests.scenarios.kube_admin import KubeAdmin
from tests.scenarios.observer import Observer, Sight
from tests.scenarios.scenario import Scenario
from tests.scenarios.scenario_files import Entry
from tests.scenarios.simulated_time import format_length
from tests.scenarios.stage import Stage
from tests.scenarios.steps import Nothing, WaitFor, describe_step
from tests.scenarios.watching import Watcher
from tests.world.pager import Pager
from tests.world.world import SPEED, World

BEGIN_WITHIN = 45.0
"""Wall seconds within which a world must be ready for the story."""

UNWATCHED = 240.0
"""Simulated seconds for which services run before somebody protects them: nobody protects what was just created."""

SETTLE = 180.0
"""Simulated seconds within which something that is new at the end must have found its place, or is a deviation."""

Tell = Callable[[str, str], None]
"""Is told what happens: its kind (step, incident, plan, write, detection, world) and a line."""


class NotReached(Exception):
    """The story could not go on, because the operator did not do what it waited for."""


@dataclass
class Report:
    """How a scenario came out. `story` is what happened, with the simulated time since it began.

    `played` is False where the world or the file was in the way, and nothing is said about the operator.
    """

    entry: Entry
    checks: list[Check] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    problem: str | None = None
    played: bool = True
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether everything came as it must."""
        return self.problem is None and bool(self.checks) and all(c.holds for c in self.checks)

    def explain(self) -> str:
        """What was not as it must be, and the story."""
        lines = [f"{self.entry.name}: {self.entry.scenario.title}"]
        if self.problem is not None:
            lines.append(f"✗ {self.problem}")
        for check in self.checks:
            found = f": {check.found}" if check.found and not check.holds else ""
            lines.append(f"{'✓' if check.holds else '✗'} {check.text}{found}")
        return "\n".join((*lines, "", *self.story))


@dataclass(frozen=True)
class Setting:
    """Where scenarios are played: the world, and those who look at it for all.

    `patience` stretches the times within which things must come, for machines that have other work.
    """

    world: World
    kube: KubeAdmin
    observer: Observer
    pager: Pager
    patience: float = 1.0


class Play:
    """One performance of a scenario. Used by one thread."""

    def __init__(self, setting: Setting, entry: Entry, tell: Tell = lambda _, __: None) -> None:
        self._setting, self._entry, self._tell_others = setting, entry, tell
        self._scenario: Scenario = entry.scenario
        self._stage = Stage(setting.world, entry.scenario, f"s{entry.name}")
        self._actor = Actor(self._stage, setting.kube, setting.observer)
        self._report = Report(entry)
        self._watcher = Watcher(self._stage.namespace, self._stage.services, self._tell)
        self._sight = Sight()
        self._begun = time.monotonic()
        self._cause_at = self._begun
        self._cause_wall = time.time()
        self._ended_at = self._begun
        self._first_seen: dict[str, float] = {}

    def run(self) -> Report:
        """Play it. What goes wrong on the way is the report's `problem`."""
        started = time.monotonic()
        try:
            self._prepare()
            self._play_story()
            self._judge()
        except NotReached as error:
            self._report.problem = f"{error}"
        except Exception as error:  # a scenario that cannot be played has failed, and stops no other
            self._report.problem = f"{type(error).__name__}: {error}"
            self._report.played = False
        finally:
            # Others still play in this world: the operator need not look at these services any more.
            self._setting.kube.stop_watching(self._stage.namespace)
            self._stage.close()
        self._report.seconds = time.monotonic() - started
        return self._report

    def _tell(self, kind: str, text: str) -> None:
        since = (time.monotonic() - self._begun) * SPEED
        self._report.story.append(f"{format_length(max(0.0, since)):>7}  {kind:<9} {text}")
        self._tell_others(kind, text)

    # The beginning

    def _prepare(self) -> None:
        stage = self._stage
        for service in stage.services.values():
            self._setting.observer.watch(service)
        stage.build(self._setting.kube)
        self._tell("world", f"{', '.join(s.name for s in stage.services.values())} in account {stage.account}")
        stage.wait_steady(BEGIN_WITHIN)
        for service in stage.services.values():
            stage.set_up_scaling(service)
        if self._scenario.world.watched:
            time.sleep(wall(UNWATCHED))
        stage.protect(self._setting.kube)
        began = time.monotonic()
        if self._scenario.world.watched:
            self._wait_watched()
        time.sleep(max(0.0, began + wall(self._scenario.world.past) - time.monotonic()))
        self._begun = self._cause_at = time.monotonic()
        self._cause_wall = time.time()

    def _wait_watched(self) -> None:
        deadline = time.monotonic() + BEGIN_WITHIN
        while blind := self._find_blind():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the operator does not watch: {'; '.join(blind)}")
            self._look()

    def _find_blind(self) -> list[str]:
        """Services that the operator does not watch yet, and why they are not."""
        found = {p["metadata"]["name"]: p for p in self._sight.of("protectedservices", self._stage.namespace)}
        blind = []
        for role, service in self._stage.services.items():
            if service.made_from.protect is None:
                continue
            status = found.get(role, {}).get("status", {})
            conditions = {c["type"]: c for c in status.get("conditions", ())}
            detecting = conditions.get("Detecting", {})
            presets = found[role]["spec"].get("detection", {}).get("presets", ()) if role in found else None
            sees = detecting.get("status") == "True" or detecting.get("reason") == "PresetNotApplicable"
            if presets != [] and not sees:
                blind.append(f"{role}: {detecting.get('reason')} {detecting.get('message', '')}")
            elif service.made_from.tasks and "lastKnownGood" not in status and self._deploys_by_ecs(role):
                blind.append(f"{role}: no good revision is known")
        return blind

    def _deploys_by_ecs(self, role: str) -> bool:
        controller = self._stage.services[role].made_from.ecs.get("deploymentController", {})
        return bool(controller.get("type", "ECS") == "ECS")

    # The story

    def _play_story(self) -> None:
        before = self._begun
        for step in self._scenario.story:
            due = before
            if step.at is not None:
                due = self._begun + wall(step.at)
            elif step.after is not None:
                due = before + wall(step.after)
            while time.monotonic() < due:
                self._pass_time(min(due - time.monotonic(), 0.3))
            self._perform(step)
            before = time.monotonic()
        self._ended_at = time.monotonic()

    def _perform(self, step: Any) -> None:
        patience = step.within if isinstance(step, WaitFor) else 1800.0
        deadline = time.monotonic() + wall(patience) * self._setting.patience
        if not isinstance(step, WaitFor | Nothing):
            self._cause_at, self._cause_wall = time.monotonic(), time.time()
        while True:
            try:
                self._actor.perform(step, self._scene())
            except NotYet as problem:
                if time.monotonic() > deadline:
                    self._report.checks = check_all(self._scene(truths=True))
                    raise NotReached(f"{describe_step(step)}: {problem}") from problem
                self._pass_time(0.3)
            else:
                self._tell("step", describe_step(step))
                return

    def _pass_time(self, seconds: float) -> None:
        """Wait, look, and let people approve meanwhile."""
        time.sleep(max(0.0, seconds))
        self._look()

    def _look(self) -> None:
        self._sight = self._setting.observer.next(self._sight.number)
        self._watcher.see(self._sight, self._setting.observer.writes())
        for incident in self._sight.of("incidents", self._stage.namespace):
            took = (self._sight.at - self._cause_at) * SPEED
            self._first_seen.setdefault(incident["metadata"]["name"], took)
        if self._scenario.approvals == "given":
            for name in self._actor.approve_all(self._scene()):
                self._tell("people", f"alice and bob approve {name}")

    def _scene(self, truths: bool = False) -> Scene:
        stage = self._stage
        return Scene(
            scenario=self._scenario,
            namespace=stage.namespace,
            services=stage.services,
            sight=self._sight,
            calls=self._setting.observer.writes(),
            truths={role: stage.truth(service) for role, service in stage.services.items()} if truths else {},
            first_seen=self._first_seen,
            told=self._count_alerts() if truths and self._scenario.expect.alerts else {},
            patience=self._setting.patience,
        )

    def _count_alerts(self) -> dict[str, int]:
        """How often people were told, by the words of the scenarios."""
        events = self._setting.kube.events(self._stage.namespace)
        return {
            "storm": sum(event["reason"] == "StormBegan" for event in events),
            "heartbeat lost": self._setting.pager.alarms(self._begun),
        }

    # The end

    def _judge(self) -> None:
        """Wait for the end that the scenario expects, and see that it lasts."""
        expect = self._scenario.expect
        deadline = self._ended_at + wall(expect.within) * self._setting.patience
        while True:
            self._look()
            checks = check_all(self._scene(truths=True))
            self._report.checks = checks
            if all(c.holds for c in checks):
                break
            if any(c.lost for c in checks):
                return
            if time.monotonic() > deadline:
                self._report.problem = f"not within {format_length(expect.within)}"
                return
        self._tell("world", "as expected; whether it stays so")
        until = time.monotonic() + wall(expect.then_quiet)
        settled = until + wall(SETTLE) * self._setting.patience
        while time.monotonic() < until or (not self._holds() and time.monotonic() < settled):
            self._look()
        self._report.checks = [*check_all(self._scene(truths=True)), *self._check_awake()]

    def _holds(self) -> bool:
        """Whether all is as expected now, or can never be so."""
        checks = check_all(self._scene(truths=True))
        return all(c.holds for c in checks) or any(c.lost for c in checks)

    def _check_awake(self) -> list[Check]:
        """That the operator has looked at every service since the last cause: silence of the blind proves nothing."""
        if self._scenario.expect.blind:
            return []
        checks = []
        for role, service in self._stage.services.items():
            if service.made_from.protect is None:
                continue
            looks = self._setting.observer.looks(service, self._cause_wall)
            checks.append(Check(looks >= 2, f"{role}: the operator looked on ({looks} calls)", f"{looks} calls"))
        return checks
