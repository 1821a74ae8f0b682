"""What a period of running does to tasks: memory that runs out, and lines in their logs."""

from collections.abc import Callable

from .clock import Clock
from .ecs import Ecs, Service, Task
from .ecs_tasks import TaskLifecycle
from .load import compute_memory


class Wear:
    """Applied once a metric period. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, ecs: Ecs, tasks: TaskLifecycle, clock: Clock, touch: Callable[[Service], None]) -> None:
        """`touch` lets the scheduler see a service whose tasks changed."""
        self._ecs = ecs
        self._tasks = tasks
        self._clock = clock
        self._touch = touch

    def apply(self, requests_per_second: Callable[[Service], float], now: float) -> None:
        """Kill the running tasks whose memory is used up, and let the others write their lines.

        `requests_per_second`: the traffic of a service, which its healthy tasks share.
        """
        for service in self._ecs.services.values():
            running = [
                task
                for task in service.running()
                if task.task_definition.behaviour.wears or task.task_definition.behaviour.log_line is not None
            ]
            if running:
                self._apply_to(service, running, requests_per_second(service), now)
        for task in self._ecs.standalone_tasks.values():
            if task.last_status == "RUNNING":
                self._tasks.logs.catch_up(task, now)
                if self._runs_out_of_memory(task, 0.0, now):
                    self._tasks.kill_for_memory(None, task, now)

    def _apply_to(self, service: Service, tasks: list[Task], rps: float, now: float) -> None:
        serving = sum(task.healthy for task in service.running())
        killed = False
        for task in tasks:
            self._tasks.logs.catch_up(task, now)
            if self._runs_out_of_memory(task, rps / serving if task.healthy else 0.0, now):
                self._tasks.kill_for_memory(service, task, now)
                killed = True
        if killed:
            self._touch(service)

    def _runs_out_of_memory(self, task: Task, rps: float, now: float) -> bool:
        behaviour = task.task_definition.behaviour
        if not behaviour.wears or task.desired_status != "RUNNING":
            return False
        return compute_memory(behaviour, rps, self._age(task, now)) >= 100

    def _age(self, task: Task, now: float) -> float:
        """Simulated seconds since its main container started."""
        return (now - (task.container_started_at or now)) * self._clock.speed
