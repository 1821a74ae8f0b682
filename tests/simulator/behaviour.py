"""How the tasks of a task definition behave, as its environment says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import AwsError

DEFAULT_START_SECONDS = 30.0


@dataclass(frozen=True)
class TaskBehaviour:
    """What the `SIM_` variables of the first essential container ask for.

    capacity_rps: requests a second one task serves well (SIM_CAPACITY_RPS).
    error_ratio: share of requests this revision fails at any load, 0 to 1 (SIM_ERROR_RATIO).
    start_seconds: simulated seconds from creation to RUNNING (SIM_START_SECONDS).
    exit_after_seconds: simulated seconds from RUNNING to the exit of the container; None: it stays up
        (SIM_EXIT_AFTER_SECONDS). Up to 15 the task never becomes healthy, and counts as failed.
    exit_code: the code it then exits with (SIM_EXIT_CODE).
    pull_fails: the image cannot be pulled (SIM_PULL_FAILS=true).
    """

    capacity_rps: float = 100.0
    error_ratio: float = 0.0
    start_seconds: float = DEFAULT_START_SECONDS
    exit_after_seconds: float | None = None
    exit_code: int = 1
    pull_fails: bool = False


def read_behaviour(container_definitions: Sequence[Mapping[str, Any]]) -> TaskBehaviour:
    """The behaviour that `container_definitions` describe; ClientException when a value is out of range."""
    main = next((c for c in container_definitions if c.get("essential", True)), container_definitions[0])
    variables = {pair["name"]: pair["value"] for pair in main.get("environment", []) if pair["name"].startswith("SIM_")}
    exit_after = variables.pop("SIM_EXIT_AFTER_SECONDS", None)
    try:
        behaviour = TaskBehaviour(
            capacity_rps=float(variables.pop("SIM_CAPACITY_RPS", 100.0)),
            error_ratio=float(variables.pop("SIM_ERROR_RATIO", 0.0)),
            start_seconds=float(variables.pop("SIM_START_SECONDS", DEFAULT_START_SECONDS)),
            exit_after_seconds=None if exit_after is None else float(exit_after),
            exit_code=int(variables.pop("SIM_EXIT_CODE", 1)),
            pull_fails=variables.pop("SIM_PULL_FAILS", "false") == "true",
        )
    except ValueError as error:
        raise AwsError("ClientException", f"A SIM_ variable is not a number: {error}.") from error
    if variables:
        raise AwsError("ClientException", f"The simulator does not know {', '.join(sorted(variables))}.")
    if behaviour.capacity_rps <= 0 or not 0 <= behaviour.error_ratio <= 1 or behaviour.start_seconds < 0:
        raise AwsError("ClientException", "SIM_CAPACITY_RPS must be above 0, SIM_ERROR_RATIO within 0 and 1.")
    return behaviour
