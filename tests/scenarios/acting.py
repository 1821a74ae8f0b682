"""Does what the steps of a story say."""

import hashlib
import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.scenarios import steps
from tests.scenarios.checks import Scene
from tests.scenarios.kube_admin import KubeAdmin
from tests.scenarios.model import Json
from tests.scenarios.observer import Observer
from tests.scenarios.placed_service import PlacedService
from tests.scenarios.stage import Stage
from tests.scenarios.writes import count_writes
from tests.world.world import SPEED

ROLES = (("alice", "system_admin"), ("bob", "service_owner"))


class NotYet(Exception):
    """The step cannot be done before something else has happened; the text says what."""


class Actor:
    """Performs steps on a stage. Used by one thread."""

    def __init__(self, stage: Stage, kube: KubeAdmin, observer: Observer) -> None:
        self._stage, self._kube, self._observer = stage, kube, observer
        self._approved: set[str] = set()
        self._alerts: dict[tuple[str, str], datetime] = {}
        self._number = stage.scenario.number
        self._do: dict[type, Callable[[Any, Scene], None]] = {
            steps.Deploy: self._deploy,
            steps.Redeploy: self._redeploy,
            steps.Update: self._update,
            steps.Deregister: self._deregister,
            steps.StopTasks: self._stop_tasks,
            steps.DeleteService: self._delete_service,
            steps.Tag: self._tag,
            steps.Load: self._load,
            steps.LoadGap: self._load_gap,
            steps.Dependency: self._dependency,
            steps.ServiceErrors: self._service_errors,
            steps.Account: lambda step, _: self._ignore(stage.aws.set_conditions(**stage.fill(step.set))),
            steps.Metrics: self._metrics,
            steps.MetricsWell: lambda _, __: stage.aws.clear_metric_conditions(),
            steps.CallFault: self._call_fault,
            steps.OtherCalls: lambda step, _: stage.aws.call_from_elsewhere(step.call, step.per_second, step.lasting),
            steps.Disrupt: self._disrupt,
            steps.FillDisks: self._fill_disks,
            steps.CodeDeploy: self._code_deploy,
            steps.Automation: lambda step, _: stage.aws.declare_automation(
                step.document, seconds=step.takes, result=step.ends, message=step.message
            ),
            steps.Stack: lambda step, _: stage.aws.set_stack(step.name, step.becomes),
            steps.Autoscaling: self._autoscaling,
            steps.Alarm: self._alarm,
            steps.Alert: self._alert,
            steps.EventDisorder: self._event_disorder,
            steps.FileIncident: self._file_incident,
            steps.FilePlan: self._file_plan,
            steps.Approve: self._approve,
            steps.Apply: lambda step, _: self._ignore(kube.put(stage.manifest(step.object))),
            steps.Operator: self._operator,
            steps.ReadLag: lambda step, _: stage.aws.set_consistency_delay(step.by),
            steps.WaitFor: self._wait_for,
            steps.Nothing: lambda _, __: None,
        }

    def perform(self, step: Any, scene: Scene) -> None:
        """Do it now. Raises NotYet, and what AWS and Kubernetes raise."""
        self._do[type(step)](step, scene)

    def approve_all(self, scene: Scene) -> list[str]:
        """Let alice and bob approve every plan that awaits approval; the names of those that are new."""
        waiting = [
            plan
            for plan in scene.sight.of("recoveryplans", scene.namespace)
            if plan.get("status", {}).get("phase") == "AwaitingApproval"
            and plan["metadata"]["uid"] not in self._approved
        ]
        for plan in waiting:
            self._approve_plan(plan)
        return [plan["metadata"]["name"] for plan in waiting]

    def _approve_plan(self, plan: Json) -> None:
        self._approved.add(plan["metadata"]["uid"])
        people = {"alice": self._stage.world.alice, "bob": self._stage.world.bob}
        for who, role in ROLES:
            self._kube.put(people[who].approve(plan, role))

    @staticmethod
    def _ignore(_answer: object) -> None:
        """What was answered does not matter."""

    def _each(self, role: str) -> list[PlacedService]:
        return self._stage.find(role)

    def _names(self, service: PlacedService) -> Json:
        return {"cluster": service.cluster, "service": service.name}

    # What people do in AWS

    def _deploy(self, step: steps.Deploy, _: Scene) -> None:
        for service in self._each(step.service):
            arn = self._stage.register(service, step.revision, step.task, step.container, step.definition)
            changes = self._stage.fill(step.ecs)
            self._stage.ecs.update_service(**self._names(service), taskDefinition=arn, **changes)

    def _code_deploy(self, step: steps.CodeDeploy, _: Scene) -> None:
        for service in self._each(step.service):
            arn = self._stage.register(service, step.revision, step.task, step.container, step.definition)
            deployed = self._stage.aws.deploy_with_code_deploy(
                service.cluster, service.name, arn, termination_wait_seconds=step.keeps
            )
            service.code_deployments.append(deployed)

    def _redeploy(self, step: steps.Redeploy, _: Scene) -> None:
        for service in self._each(step.service):
            arn = service.revisions[step.revision]
            self._stage.ecs.update_service(**self._names(service), taskDefinition=arn)

    def _update(self, step: steps.Update, _: Scene) -> None:
        for service in self._each(step.service):
            self._stage.ecs.update_service(**self._names(service), **self._stage.fill(step.ecs))

    def _deregister(self, step: steps.Deregister, _: Scene) -> None:
        for service in self._each(step.service):
            self._stage.ecs.deregister_task_definition(taskDefinition=service.revisions[step.revision])

    def _stop_tasks(self, step: steps.StopTasks, _: Scene) -> None:
        for service in self._each(step.service):
            truth = self._stage.truth(service) or {"tasks": []}
            running = [t["taskArn"] for t in truth["tasks"] if t["lastStatus"] == "RUNNING"]
            for arn in running[: step.count]:
                self._stage.ecs.stop_task(cluster=service.cluster, task=arn, reason=step.reason)

    def _delete_service(self, step: steps.DeleteService, _: Scene) -> None:
        for service in self._each(step.service):
            self._stage.ecs.delete_service(**self._names(service), force=True)

    def _tag(self, step: steps.Tag, _: Scene) -> None:
        for service in self._each(step.service):
            truth = self._stage.truth(service)
            if truth is None:
                raise NotYet(f"there is no service {service.name}")
            tags = [{"key": key, "value": value} for key, value in step.tags.items()]
            self._stage.ecs.tag_resource(resourceArn=truth["service"]["serviceArn"], tags=tags)

    def _autoscaling(self, step: steps.Autoscaling, _: Scene) -> None:
        scaling = self._stage.client("application-autoscaling")
        for service in self._each(step.service):
            names = self._stage.scaling_names(service)
            scaling.register_scalable_target(**names, MinCapacity=step.min, MaxCapacity=step.max)

    def _alarm(self, step: steps.Alarm, _: Scene) -> None:
        cloudwatch = self._stage.client("cloudwatch")
        name = self._stage.fill(step.name)
        if step.members is not None:
            self._stage.put_alarm({"AlarmName": name, **step.members})
        if step.state is not None:
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=step.state, StateReason="set by hand")

    # What happens

    def _load(self, step: steps.Load, _: Scene) -> None:
        for service in self._each(step.service):
            self._stage.aws.set_load(service.cluster, service.name, step.rps)

    def _load_gap(self, step: steps.LoadGap, _: Scene) -> None:
        for service in self._each(step.service):
            self._stage.aws.pause_load(service.cluster, service.name, step.lasting)

    def _dependency(self, step: steps.Dependency, _: Scene) -> None:
        aws, name = self._stage.aws, f"s{self._number}-{step.name}"
        if step.becomes == "well":
            aws.heal_dependency(name)
        elif step.becomes == "slow":
            aws.slow_dependency(name, step.latency_seconds, cpu_percent=step.cpu_percent)
        else:
            aws.break_dependency(
                name,
                error_ratio=step.error_ratio,
                latency_seconds=step.latency_seconds,
                cpu_percent=step.cpu_percent,
            )

    def _service_errors(self, step: steps.ServiceErrors, _: Scene) -> None:
        for service in self._each(step.service):
            self._stage.aws.set_dependency_errors(service.cluster, service.name, step.ratio)

    def _metrics(self, step: steps.Metrics, _: Scene) -> None:
        aws = self._stage.aws
        selection = {
            "namespace": step.namespace,
            "metric_name": step.metric,
            "dimension": self._stage.fill(step.dimension),
            "seconds": step.lasting,
        }
        given = {name: value for name, value in selection.items() if value is not None}
        match step.become:
            case "lost":
                aws.lose_metrics(**given)
            case "late":
                aws.delay_metrics(step.by or 0.0, **given)
            case _:
                aws.refuse_metrics(step.become, **given)

    def _call_fault(self, step: steps.CallFault, _: Scene) -> None:
        self._stage.aws.add_fault(step.call, kind=step.kind, count=step.times, seconds=step.lasting)

    def _disrupt(self, step: steps.Disrupt, _: Scene) -> None:
        selection = {
            "count": step.count,
            "share": step.share,
            "availabilityZone": step.zone,
            "errorRatio": step.error_ratio,
        }
        given = {name: value for name, value in selection.items() if value is not None}
        for service in self._each(step.service):
            self._stage.aws.disrupt(step.kind, **self._names(service), **given)

    def _fill_disks(self, step: steps.FillDisks, _: Scene) -> None:
        for service in self._each(step.service):
            truth = self._stage.truth(service) or {"tasks": []}
            running = [t["taskArn"] for t in truth["tasks"] if t["lastStatus"] == "RUNNING"]
            self._stage.aws.set_conditions(fullDisks=running[: step.count])

    def _alert(self, step: steps.Alert, _: Scene) -> None:
        """As Alertmanager posts it: version 4 of its webhook."""
        now = datetime.now(UTC)
        begun = self._alerts.setdefault((step.service, step.name), now)
        resolved = step.becomes == "resolved"
        alert = {
            "status": step.becomes,
            "labels": {
                "alertname": step.name,
                "namespace": self._stage.namespace,
                "bokgu_service": step.service,
                "bokgu_type": step.type,
                "severity": step.severity,
            },
            "annotations": {"summary": f"{step.name} of {step.service}"},
            "startsAt": begun.isoformat(),
            "endsAt": (now if resolved else datetime(1, 1, 1, tzinfo=UTC)).isoformat(),
            "fingerprint": hashlib.sha256(f"{step.service}/{step.name}".encode()).hexdigest()[:16],
        }
        body = {"version": "4", "status": step.becomes, "receiver": "bokgu", "alerts": [alert], "truncatedAlerts": 0}
        world = self._stage.world
        headers = {
            "Authorization": f"Bearer {world.webhook_token.read_text().strip()}",
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(world.webhook_url, data=json.dumps(body).encode(), headers=headers)
        urllib.request.urlopen(request, timeout=20).close()

    def _event_disorder(self, step: steps.EventDisorder, _: Scene) -> None:
        self._stage.aws.disorder_events(step.duplicate_share, step.late_by)

    # What people do in Kubernetes

    def _file_incident(self, step: steps.FileIncident, _: Scene) -> None:
        spec = {
            "type": step.type,
            "severity": step.severity,
            "serviceRef": {"name": step.service},
            "description": step.description,
        }
        self._kube.put(self._object("Incident", f"{step.service}-by-hand", spec))

    def _file_plan(self, step: steps.FilePlan, scene: Scene) -> None:
        incidents = scene.incidents(step.service)
        if not incidents:
            raise NotYet("there is no incident to plan for")
        metadata = incidents[-1]["metadata"]
        truth = self._stage.truth(self._stage.services[step.service])
        desired = truth["service"]["desiredCount"] if truth else 0
        moves = [
            {"name": f"step-{n}", "action": m.action, "timeout": "30s", "onFailure": "Stop"}
            | ({"parameters": m.parameters} if m.parameters else {})
            for n, m in enumerate(step.moves, start=1)
        ]
        spec = {
            "incidentRef": {"name": metadata["name"], "uid": metadata["uid"]},
            "serviceRef": {"name": step.service},
            "preconditions": {"desiredCount": desired, "rootCause": "Unknown"},
            "steps": moves,
            "expiresAt": (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self._kube.put(self._object("RecoveryPlan", f"{step.service}-by-hand", spec))

    def _object(self, kind: str, name: str, spec: Json) -> Json:
        metadata = {"name": name, "namespace": self._stage.namespace}
        return {"apiVersion": "bokgu.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}

    def _approve(self, step: steps.Approve, scene: Scene) -> None:
        plans = [scene.plan(i) for i in scene.incidents(step.service)]
        waiting = [p for p in plans if p and p.get("status", {}).get("phase") == "AwaitingApproval"]
        if not waiting:
            raise NotYet("no plan awaits approval")
        self._approve_plan(waiting[-1])

    # The operator itself, and ECS as a whole

    def _operator(self, step: steps.Operator, _: Scene) -> None:
        world = self._stage.world
        match step.becomes:
            case "stopped":
                world.stop_operator()
            case "killed":
                world.kill_operator()
            case "started":
                world.start_operator()

    # Waiting

    def _wait_for(self, step: steps.WaitFor, scene: Scene) -> None:
        for service in self._each(step.service):
            found = self._find_state(step, service, scene)
            wanted = step.incident or step.plan or step.deployment or step.call or step.alarm or str(step.running)
            if found != wanted:
                raise NotYet(f"{service.role}: {found or 'nothing'} instead of {wanted}")

    def _find_state(self, step: steps.WaitFor, service: PlacedService, scene: Scene) -> str | None:
        incident = scene.leading(service.role)
        if step.incident is not None:
            return incident.get("status", {}).get("phase") if incident else None
        if step.plan is not None:
            plan = scene.plan(incident) if incident else None
            return plan.get("status", {}).get("phase") if plan else None
        if step.call is not None:
            wrote = count_writes(self._observer.writes(), [service])
            return step.call if wrote[service.role, step.call] else None
        if step.alarm is not None:
            prefix = self._stage.fill(step.alarm)
            found = self._stage.client("cloudwatch").describe_alarms(AlarmNamePrefix=prefix, StateValue="ALARM")
            return step.alarm if found["MetricAlarms"] else None
        truth = self._stage.truth(service)
        if truth is None:
            return None
        if step.running is not None:
            return str(truth["service"]["runningCount"])
        primary = next((d for d in truth["service"]["deployments"] if d["status"] == "PRIMARY"), None)
        return primary["rolloutState"] if primary else None


def wall(simulated_seconds: float) -> float:
    """Wall seconds of so many simulated ones."""
    return simulated_seconds / SPEED
