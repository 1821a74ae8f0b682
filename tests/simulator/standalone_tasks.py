"""Tasks that RunTask started: they live as tasks of services do, but nobody replaces them."""

from .ecs import Ecs, Task
from .ecs_tasks import TaskLifecycle


class StandaloneTasks:
    """Lets their time pass. Not thread safe: the owner holds a lock around every use."""

    def __init__(self, ecs: Ecs, tasks: TaskLifecycle) -> None:
        self._ecs = ecs
        self._tasks = tasks

    def next_due(self) -> float | None:
        """Wall time at which the next of them changes; None: nothing is under way."""
        times = (task.transition_at for task in self._ecs.standalone_tasks.values())
        return min((time for time in times if time is not None), default=None)

    def run_due(self, now: float) -> None:
        """Carry out what is due by `now`, and drop those that stopped longer ago than AWS shows them."""
        for task in list(self._ecs.standalone_tasks.values()):
            self._tasks.advance_task(None, task, now)
            if self._tasks.is_forgotten(task, now):
                del self._ecs.standalone_tasks[task.id]

    def reconsider(self, now: float) -> None:
        """The conditions changed."""
        for task in self._ecs.standalone_tasks.values():
            self._tasks.reconsider(None, task, now)

    def stop(self, task: Task, now: float, reason: str) -> None:
        """StopTask."""
        self._tasks.request_stop(task, now, reason, "UserInitiated")
