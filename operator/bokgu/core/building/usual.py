"""What is usual for each action, where neither runbook nor service says more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bokgu.api.vocabulary import Action

CONFIRMATION_TIMEOUT = timedelta(hours=1)
"""How long to wait for a person [experience]: somebody is on call, and has approved a moment ago."""


@dataclass(frozen=True)
class Usual:
    """`estimate` is how long the step usually takes [experience], `timeout` when to give up: start-up, health checks
    and deregistration of the slowest usual service fit in it. `clean_periods` are the datapoints that must be good
    before the step counts: five clean minutes at the usual period of one minute, ten after a rollback, and none where
    nothing is measured. `description`
    is the step for people, as a template."""

    estimate: timedelta
    timeout: timedelta
    clean_periods: int
    description: str


USUAL: Mapping[Action, Usual] = {
    Action.HEALTH_CHECK: Usual(
        timedelta(minutes=1),
        timedelta(minutes=5),
        0,
        "Read the service once more and write down what it shows. Changes nothing.",
    ),
    Action.SCALE_OUT: Usual(
        timedelta(minutes=15), timedelta(minutes=15), 5, "Run {wantedCount} tasks instead of {desiredCount}."
    ),
    Action.SCALE_IN: Usual(
        timedelta(minutes=2),
        timedelta(minutes=30),
        0,
        "Give the minimum of Application Auto Scaling back. Its policies and schedules decide on the tasks then.",
    ),
    Action.WAIT: Usual(timedelta(), timedelta(minutes=15), 0, "Wait. Changes nothing."),
    Action.SERVICE_RESTART: Usual(
        timedelta(minutes=15),
        timedelta(minutes=30),
        5,
        "Replace all {desiredCount} tasks by new ones of the same revision ({currentRevision}).",
    ),
    Action.ROLLBACK: Usual(
        timedelta(minutes=15),
        timedelta(minutes=30),
        10,
        "Restore the service revision that served before: {targetRevision} instead of {currentRevision}.",
    ),
    Action.REGISTER: Usual(
        timedelta(minutes=1),
        timedelta(minutes=15),
        0,
        "Register a copy of {targetRevision}, which is INACTIVE: ECS deploys no such task definition. Where the plan"
        " stops after it, the copy is left, and nothing uses it.",
    ),
    Action.RUN_TASK: Usual(
        timedelta(minutes=5), timedelta(minutes=30), 0, "Run one task, and wait until it has ended."
    ),
    Action.AUTOMATION: Usual(
        timedelta(minutes=5), timedelta(minutes=30), 0, "Execute an Automation document, and wait until it has ended."
    ),
    Action.STOP_UNHEALTHY_TASKS: Usual(
        timedelta(minutes=5),
        timedelta(minutes=20),
        5,
        "Stop one task that is not well: ECS starts a new one of {currentRevision} in its place.",
    ),
    Action.MANUAL: Usual(
        timedelta(minutes=15), CONFIRMATION_TIMEOUT, 0, "A person looks at the service and confirms that it is well."
    ),
}
"""By action; every action has a row."""
