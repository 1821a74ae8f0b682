"""Whether the new revision brought the trouble: by time, by the difference of the two, and by mechanism."""

from bokgu.api.observed import StoppedTask
from bokgu.api.vocabulary import RootCause
from bokgu.core.case import Case, Failure

_RESERVATIONS = ("cpu", "memory", "memoryReservation", "ephemeralStorage", "resourceRequirements", "hostPort",
                 "placementConstraints", "requiresCompatibilities", "runtimePlatform", "portMappings")  # fmt: skip


def new_tasks_fail(case: Case, failures: tuple[Failure, ...]) -> bool:
    """Whether tasks of the new revision fail, and no others. Where ECS tells of no task, the time decides."""
    tasks: tuple[StoppedTask, ...] = tuple(f.task for f in failures if f.task is not None)
    if tasks:
        return case.only_new_tasks(tasks)
    rollout = case.rollout
    return (
        rollout is not None
        and bool(failures)
        and case.under_way
        and bool(case.changes)
        and all(f.at >= rollout.began for f in failures)
    )


def brought_failure(case: Case, cause: RootCause, failures: tuple[Failure, ...]) -> bool:
    """Whether the new revision is why its tasks do not start.

    What the revision before needed too (the same secret, image or file system) fails for both: going back would not
    help. A network fails for both unless the revision is in another one; machines lack room for both unless the new
    revision asks for more.
    """
    if cause in {RootCause.THROTTLED, RootCause.HOST_OR_SPOT_INTERRUPTION} or not new_tasks_fail(case, failures):
        return False
    if cause is RootCause.CAPACITY_UNAVAILABLE:
        return asks_for_more(case)
    if cause is RootCause.NETWORK_FAILURE:
        return uses_other_network(case)
    if cause is RootCause.IMAGE_PULL_FAILURE:
        return case.changed("image")
    if cause is RootCause.DISK_EXHAUSTED:
        return case.changed("ephemeralStorage", "volumes")
    if case.changed("executionRoleArn", "taskRoleArn", "efsVolumeConfiguration"):
        return True
    return not any(case.named_before(failure.text) for failure in failures)


def asks_for_more(case: Case) -> bool:
    """Whether the new revision wants more of a machine than the one before: more units, or another kind of them."""
    for path, (old, new) in case.changes.items():
        name = path.rsplit(".", 1)[-1].split("[", 1)[0]
        if not any(word in path for word in _RESERVATIONS) or name in {"containerPort", "protocol"}:
            continue
        before, after = _number(old), _number(new)
        if before is None or after is None or after > before:
            return True
    return False


def asks_for_less(case: Case, resource: str) -> bool:
    """Whether the new revision was given less of `cpu` or `memory`."""
    return any(
        path.rsplit(".", 1)[-1] == resource
        and (before := _number(old)) is not None
        and (after := _number(new)) is not None
        and after < before
        for path, (old, new) in case.changes.items()
    )


def uses_other_network(case: Case) -> bool:
    """Whether the deployment under way runs in other subnets or behind other security groups."""
    service = case.evidence.service
    if service is None or case.rollout is None:
        return False
    new = case.rollout.deployment
    others = [d.network for d in service.deployments if d is not new and d.network]
    return bool(new.network) and any(network != new.network for network in others)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
