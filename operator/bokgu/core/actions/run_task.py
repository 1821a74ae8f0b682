"""run_task: one task that does its work and ends, such as a migration or a repair."""

from typing import Any

from bokgu.api.meta import Target
from bokgu.api.recovery_plan import Intent, Step
from bokgu.core.actions.action import AlreadyOver, Asked, NotSeen
from bokgu.core.live_state import LiveState
from bokgu.core.writes.write import build_request, request_arguments


class RunTask:
    """What the task did is not taken back; its undo stops it while it runs."""

    def ask(self, step: Step, live: LiveState, target: Target) -> Asked:
        """RunTask of one task, in the network of the service and launched as its tasks are."""
        parameters = step.parameters
        if parameters is None or parameters.task_definition is None:
            raise ValueError("run_task needs parameters.taskDefinition")
        arguments: dict[str, Any] = {
            "cluster": target.cluster,
            "taskDefinition": parameters.task_definition,
            "count": 1,
            **live.service.launch,
        }
        if parameters.command:
            override = {"name": parameters.container, "command": list(parameters.command)}
            arguments["overrides"] = {"containerOverrides": [override]}
        return Asked(build_request("ecs", "RunTask", arguments))

    def ask_undo(self, step: Step, forward: Intent, live: LiveState, target: Target) -> Asked:
        """StopTask. Raises AlreadyOver where the task has ended, NotSeen where it is not read."""
        token = request_arguments(forward.request)["startedBy"]
        task = next((t for t in live.runs.values() if t.started_by == token), None)
        if task is None:
            raise NotSeen("ECS does not describe the task that was started")
        if task.stopped:
            raise AlreadyOver(f"task {task.id} had ended; what it did is not taken back")
        arguments = {"cluster": target.cluster, "task": task.arn, "reason": "Bokgu stops the task that it started"}
        return Asked(build_request("ecs", "StopTask", arguments))
