"""Whether the new revision brought the trouble: by time, by the difference of the two, and by mechanism."""

import re
from datetime import timedelta

from bokgu.api.observed import StoppedTask
from bokgu.api.vocabulary import RootCause
from bokgu.core.case import Case, Failure, path_members

GIVEN_LESS = timedelta(hours=24)
"""How long a smaller reservation explains that it is used up: a day has one peak [experience]."""


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
        and case.is_new_revision
        and all(f.at >= rollout.began for f in failures)
    )


def brought_failure(case: Case, cause: RootCause, failures: tuple[Failure, ...]) -> bool:
    """Whether the new revision is why its tasks do not start.

    What the revision before needed too (the same secret, image, role or file system) fails for both: going back would
    not help. A network fails for both unless the revision is in another one; machines lack room for both unless the new
    revision asks for more.
    """
    if cause in {RootCause.THROTTLED, RootCause.HOST_OR_SPOT_INTERRUPTION} or not new_tasks_fail(case, failures):
        return False
    if cause is RootCause.CAPACITY_UNAVAILABLE:
        return asks_for_more(case)
    if cause is RootCause.NETWORK_FAILURE:
        return case.uses_other_network
    if cause is RootCause.IMAGE_PULL_FAILURE:
        return _pulls_another_image(case, failures)
    if cause is RootCause.DISK_EXHAUSTED:
        return case.changed("ephemeralStorage", "volumes")
    return any(_needs_what_changed(case, failure.text) for failure in failures)


_SETTINGS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (
        re.compile(r"retrieve ecr registry auth|\becr:Get|repositoryCredentials", re.IGNORECASE),
        ("repositoryCredentials",),
    ),
    (re.compile(r"env(ironment)? ?files?", re.IGNORECASE), ("environmentFiles",)),
    (re.compile(r"log ?(group|ger|stream|driver)", re.IGNORECASE), ("logConfiguration", "firelensConfiguration")),
    (
        re.compile(r"\bEFS\b|\bfs-[0-9a-f]{8}|mount|volume", re.IGNORECASE),
        ("volumes", "efsVolumeConfiguration", "mountPoints"),
    ),
    (re.compile(r"\b(asm|ssm|secret|parameter)", re.IGNORECASE), ("secrets",)),
)
"""Which members of a task definition a message is about."""

_ROLES = ("executionRoleArn", "taskRoleArn")


def _needs_what_changed(case: Case, text: str) -> bool:
    """Whether a message is about something that the new revision brought: another role, or a resource that the revision
    before did not name. Where the definitions do not have what it is about, nobody else can have brought it."""
    if case.changed(*_ROLES):
        return True
    members = next((members for pattern, members in _SETTINGS if pattern.search(text)), None)
    if members is not None and case.changed(*members):
        return not case.named_before(text) or "volumes" in members
    if members is not None and any(f'"{member}"' in new for new in case.text_of_definitions[:1] for member in members):
        return False
    shared = members == ("repositoryCredentials",)
    return not shared and not case.named_before(text)


def _pulls_another_image(case: Case, failures: tuple[Failure, ...]) -> bool:
    """Whether the image that cannot be pulled is one that the revision before did not run."""
    containers = case.evidence.task_definitions[0].settings.get("containerDefinitions", ())
    images = {container["name"]: container.get("image", "") for container in containers if "name" in container}
    failing = {
        container.name
        for failure in failures
        if failure.task is not None
        for container in failure.task.containers
        if container.exit_code is None and "CannotPull" in container.reason
    }
    text = " ".join(failure.text for failure in failures)
    failing = failing or {name for name, image in images.items() if image and image in text} or set(images)
    return any(f"[{name}]" in path for path in case.changes if path.endswith(".image") for name in failing)


_COUNTED = frozenset({"cpu", "memory", "memoryReservation", "sizeInGiB", "value"})
_KINDS = frozenset({"hostPort", "placementConstraints", "requiresCompatibilities", "runtimePlatform", "networkMode"})


def asks_for_more(case: Case) -> bool:
    """Whether the new revision wants more of a machine than the one before: more units, or another kind of them."""
    for path, (old, new) in case.changes.items():
        members = path_members(path)
        if members & _KINDS and new:
            return True
        if not members & (_COUNTED | {"resourceRequirements", "ephemeralStorage"}):
            continue
        before, after = _number(old) or 0.0, _number(new)
        if after is not None and after > before:
            return True
        if after is None and new and "resourceRequirements" in members:
            return True
    return False


def asks_for_less(case: Case, resource: str) -> bool:
    """Whether the new revision was given less of `cpu` or `memory`, lately enough to matter: it shows under load."""
    rollout = case.rollout
    if rollout is None or case.span(rollout.began, case.evidence.detected_at) > GIVEN_LESS:
        return False
    return any(
        path.rsplit(".", 1)[-1] == resource
        and (before := _number(old)) is not None
        and (after := _number(new)) is not None
        and after < before
        for path, (old, new) in case.changes.items()
    )


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
