"""Things that happen to running tasks, and the control API's routes to them and to the conditions of the account."""

from collections.abc import Callable, Iterator

from .aws_json import Json
from .clock import Clock
from .ecs import Ecs, Service, Task
from .ecs_scheduler import Scheduler
from .ecs_tasks import SPOT_NOTICE_SECONDS
from .placement import compute_ec2_instance_id
from .standalone_tasks import StandaloneTasks

SPOT_REASON = "Your Spot Task was interrupted."
"""Developer guide, "Fargate Spot termination notices"."""
UNHEALTHY_HOST_REASON = "The underlying infrastructure hosting the task is unhealthy."
"""AWS documents the stop code InfrastructureHealth, but no wording for it on Fargate; the sentence is ours."""

Control = Callable[[Json], Json]
_MEMBERS = {"kind", "cluster", "service", "availabilityZone", "tasks", "count", "share", "errorRatio"}
DEFAULT_STUCK_ERROR_RATIO = 0.3
"""One of three tasks that fails so many of its requests fails a tenth of the service's."""


class Disruptions:
    """Not thread safe: the owner holds a lock around every use. `controls` are routes of the control API."""

    def __init__(self, ecs: Ecs, scheduler: Scheduler, standalone: StandaloneTasks, clock: Clock) -> None:
        self._ecs = ecs
        self._scheduler = scheduler
        self._standalone = standalone
        self._clock = clock
        self._kinds: dict[str, Callable[[list[tuple[Service, Task]], Json], list[Task]]] = {
            "spot-interruption": lambda found, _: self._interrupt(found, "SpotInterruption"),
            "termination-notice": lambda found, _: self._interrupt(found, "TerminationNotice"),
            "host-lost": lambda found, _: self._lose_hosts(found),
            "out-of-memory": lambda found, _: self._kill_for_memory(found),
            "stuck-unhealthy": self._get_stuck,
        }
        self.controls: dict[tuple[str, str], Control] = {
            ("GET", "conditions"): self._get_conditions,
            ("PUT", "conditions"): self._put_conditions,
            ("DELETE", "conditions"): self._delete_conditions,
            ("POST", "disruptions"): self._post_disruption,
        }

    def _get_conditions(self, _request: Json) -> Json:
        return self._ecs.conditions.to_json()

    def _put_conditions(self, request: Json) -> Json:
        self._ecs.conditions.update(request)
        self._review()
        return self._ecs.conditions.to_json()

    def _delete_conditions(self, _request: Json) -> Json:
        self._ecs.conditions.clear()
        self._review()
        return {}

    def _review(self) -> None:
        """Let every task feel the new conditions."""
        now = self._clock.now()
        for service in self._ecs.services.values():
            for task in service.tasks.values():
                self._scheduler.tasks.reconsider(service, task, now)
            self._scheduler.touch(service)
        self._standalone.reconsider(now)

    def _post_disruption(self, request: Json) -> Json:
        """Let `kind` happen to running tasks of services: all that `cluster`, `service`, `availabilityZone` and `tasks`
        (IDs or ARNs) leave, or the oldest `count`, or a `share` of them, rounded up. The answer names them.

        Kinds: spot-interruption and termination-notice (tasks of FARGATE_SPOT, two minutes ahead), host-lost (with a
        container instance go all tasks on it), out-of-memory, and stuck-unhealthy: the tasks fail their health checks
        and `errorRatio` of their requests, and ECS leaves them until somebody stops them, as it does while it finds no
        place for a replacement, or does not hear from the agent.
        """
        if unknown := request.keys() - _MEMBERS:
            raise ValueError(f"unknown members: {', '.join(sorted(unknown))}")
        disrupt = self._kinds.get(request["kind"])
        if disrupt is None:
            raise ValueError(f"kind must be one of {', '.join(sorted(self._kinds))}")
        found = sorted(self._find(request), key=lambda pair: (pair[1].created_at, pair[1].id))
        count = request.get("count", len(found))
        if "share" in request:
            count = -int(-len(found) * float(request["share"]) // 1)
        return {"tasks": [task.arn for task in disrupt(found[:count], request)]}

    def _find(self, request: Json) -> Iterator[tuple[Service, Task]]:
        wanted = {reference.rsplit("/", 1)[-1] for reference in request.get("tasks", [])}
        spot_only = request["kind"] in ("spot-interruption", "termination-notice")
        for service in self._ecs.services.values():
            if request.get("cluster", service.cluster) != service.cluster:
                continue
            if request.get("service", service.name) != service.name:
                continue
            for task in service.running():
                if (
                    task.desired_status == "RUNNING"
                    and (not wanted or task.id in wanted)
                    and request.get("availabilityZone") in (None, task.availability_zone)
                    and (not spot_only or task.capacity_provider == "FARGATE_SPOT")
                ):
                    yield service, task

    def _interrupt(self, found: list[tuple[Service, Task]], stop_code: str) -> list[Task]:
        now = self._clock.now()
        for service, task in found:
            self._scheduler.tasks.request_stop(task, now, SPOT_REASON, stop_code, notice_seconds=SPOT_NOTICE_SECONDS)
            service.steady = False
            self._scheduler.touch(service)
        return [task for _, task in found]

    def _lose_hosts(self, found: list[tuple[Service, Task]]) -> list[Task]:
        now = self._clock.now()
        lost = {task.id: (service, task) for service, task in found}
        hosts = {(task.cluster, task.container_instance) for _, task in found if task.container_instance is not None}
        for service in self._ecs.services.values():
            beside = (t for t in service.tasks.values() if (t.cluster, t.container_instance) in hosts)
            lost |= {task.id: (service, task) for task in beside if task.last_status != "STOPPED"}
        for service, task in lost.values():
            instance = task.container_instance
            ec2 = f"Host EC2 (instance {compute_ec2_instance_id(instance or '')}) terminated."
            self._scheduler.tasks.lose(service, task, now, UNHEALTHY_HOST_REASON if instance is None else ec2)
            self._scheduler.touch(service)
        return [task for _, task in lost.values()]

    def _kill_for_memory(self, found: list[tuple[Service, Task]]) -> list[Task]:
        now = self._clock.now()
        for service, task in found:
            self._scheduler.tasks.kill_for_memory(service, task, now)
            self._scheduler.touch(service)
        return [task for _, task in found]

    def _get_stuck(self, found: list[tuple[Service, Task]], request: Json) -> list[Task]:
        now, ratio = self._clock.now(), float(request.get("errorRatio", DEFAULT_STUCK_ERROR_RATIO))
        if not 0 <= ratio <= 1:
            raise ValueError("errorRatio must be within 0 and 1")
        for service, task in found:
            self._scheduler.tasks.get_stuck(service, task, ratio, now)
            self._scheduler.touch(service)
        return [task for _, task in found]
