"""What containers write to CloudWatch Logs, through the log driver `awslogs`."""

from collections.abc import Mapping
from typing import Any

from .behaviour import find_main_container
from .clock import Clock
from .ecs import Ecs, Task


class ContainerLogs:
    """Writes what the main containers of tasks say. The owner holds a lock around every use."""

    def __init__(self, ecs: Ecs, clock: Clock) -> None:
        self._ecs = ecs
        self._clock = clock

    def catch_up(self, task: Task, now: float) -> None:
        """Write the lines of `log_line` that are due by `now`: at the start, and after each whole interval."""
        behaviour = task.task_definition.behaviour
        if behaviour.log_line is None or task.container_started_at is None:
            return
        # A rounding error of the clock must not decide.
        age = (now - task.container_started_at) * self._clock.speed + 0.001
        due = 1 + int(age // behaviour.log_interval_seconds)
        for _ in range(task.lines_written, due):
            self.write(task, behaviour.log_line)
        task.lines_written = max(task.lines_written, due)

    def note_exit(self, task: Task, at: float) -> None:
        """The main container ends: what was due by then, and its last words."""
        self.catch_up(task, at)
        task.lines_written = 0
        if (line := task.task_definition.behaviour.log_line_on_exit) is not None:
            self.write(task, line)

    def write(self, task: Task, line: str) -> None:
        """Let the main container of `task` write `line`; nothing without the driver `awslogs`.

        The log stream is `prefix-name/container-name/ecs-task-id` (developer guide, "awslogs-stream-prefix").
        """
        container = find_main_container(task.task_definition.contents["containerDefinitions"])
        configuration: Mapping[str, Any] = container.get("logConfiguration", {})
        options: Mapping[str, str] = configuration.get("options", {})
        if configuration.get("logDriver") == "awslogs" and "awslogs-group" in options:
            prefix = options.get("awslogs-stream-prefix", "ecs")
            self._ecs.log(options["awslogs-group"], f"{prefix}/{container['name']}/{task.id}", line)
