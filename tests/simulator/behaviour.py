"""How the tasks of a task definition behave, as its environment says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .errors import AwsError

DEFAULT_START_SECONDS = 30.0


@dataclass(frozen=True)
class TaskBehaviour:
    """What the `SIM_` variables of the first essential container ask for; each is named as its field.

    Durations are simulated seconds.

    Traffic
        capacity_rps: requests a second one task serves well.
        error_ratio: share of requests this revision fails at any load, 0 to 1.
        cpu_idle_percent, cpu_full_percent: CPU without load, and what `capacity_rps` requests a second add.
        memory_idle_percent, memory_full_percent: memory without load, and what `capacity_rps` requests a second add.
        memory_per_rps_percent: instead of `memory_full_percent`, what each request a second adds; then 100 % kills.
        memory_leak_percent_per_hour: growth with the container's age; 100 % kills.

    Start and end
        start_seconds: from creation to RUNNING.
        pull_fails: `true`, the image cannot be pulled.
        ready_seconds: from RUNNING until the application passes health checks.
        exit_after_seconds: from RUNNING to the exit of the container. Up to 15 the task never becomes healthy.
        exit_code: the code it then exits with.
        stop_seconds: from SIGTERM to the exit; beyond the container's stopTimeout (default 30) SIGKILL ends it: 137.

    Health
        health_check: what the application answers health checks once ready: `200`, another code, or `timeout`.
        unhealthy_after_seconds: from RUNNING until health checks time out.

    Disk and logs
        disk_used_gb: ephemeral storage in use at the start.
        disk_growth_gb_per_hour: its growth with the task's age, up to the ephemeral storage of the task definition.
        volume_used_gb, volume_growth_gb_per_hour: the same of the EBS volume that a service may attach to its tasks.
        disk_full_error_ratio: share of requests a task fails while its disk, or its volume, is full.
        log_line: a line the main container writes every `log_interval_seconds`; log_line_on_exit: when it dies.
    """

    capacity_rps: float = 100.0
    error_ratio: float = 0.0
    cpu_idle_percent: float = 0.0
    cpu_full_percent: float = 70.0
    memory_idle_percent: float = 30.0
    memory_full_percent: float = 20.0
    memory_per_rps_percent: float | None = None
    memory_leak_percent_per_hour: float = 0.0
    start_seconds: float = DEFAULT_START_SECONDS
    pull_fails: bool = False
    ready_seconds: float = 0.0
    exit_after_seconds: float | None = None
    exit_code: int = 1
    stop_seconds: float = 5.0
    health_check: str = "200"
    unhealthy_after_seconds: float | None = None
    disk_used_gb: float = 1.0
    disk_growth_gb_per_hour: float = 0.0
    volume_used_gb: float = 1.0
    volume_growth_gb_per_hour: float = 0.0
    disk_full_error_ratio: float = 1.0
    log_line: str | None = None
    log_interval_seconds: float = 60.0
    log_line_on_exit: str | None = None

    @property
    def wears(self) -> bool:
        """Whether a running task changes with its age or load in a way that can end it."""
        return self.memory_leak_percent_per_hour > 0 or self.memory_per_rps_percent is not None


_READERS: dict[str, Callable[[str], object]] = {
    "pull_fails": lambda value: value == "true",
    "exit_code": int,
    "health_check": str,
    "log_line": str,
    "log_line_on_exit": str,
}
"""How the fields that are not numbers are read."""

_ABOVE_ZERO = ("capacity_rps", "log_interval_seconds")
_RATIOS = ("error_ratio", "disk_full_error_ratio")


def read_behaviour(container_definitions: Sequence[Mapping[str, Any]]) -> TaskBehaviour:
    """The behaviour that `container_definitions` describe; ClientException when a value is out of range."""
    main = find_main_container(container_definitions)
    variables = {pair["name"]: pair["value"] for pair in main.get("environment", []) if pair["name"].startswith("SIM_")}
    known = {f"SIM_{entry.name.upper()}": entry.name for entry in fields(TaskBehaviour)}
    if unknown := variables.keys() - known.keys():
        raise AwsError("ClientException", f"The simulator does not know {', '.join(sorted(unknown))}.")
    try:
        values: dict[str, Any] = {known[v]: _READERS.get(known[v], float)(text) for v, text in variables.items()}
    except ValueError as error:
        raise AwsError("ClientException", f"A SIM_ variable is not a number: {error}.") from error
    behaviour = TaskBehaviour(**values)
    for name in (name for name, value in values.items() if isinstance(value, float)):
        value = values[name]
        if value < 0 or (name in _ABOVE_ZERO and value == 0) or (name in _RATIOS and value > 1):
            raise AwsError("ClientException", f"SIM_{name.upper()} is out of range: {value:g}.")
    if behaviour.health_check != "timeout" and not behaviour.health_check.isdecimal():
        raise AwsError("ClientException", f"SIM_HEALTH_CHECK must be a code or timeout: {behaviour.health_check}.")
    return behaviour


def find_main_container(container_definitions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The container whose end ends the task here: the first essential one."""
    return next((c for c in container_definitions if c.get("essential", True)), container_definitions[0])
