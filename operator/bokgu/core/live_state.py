"""What AWS says, at one moment, of all that a plan acts on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bokgu.api.observed import (
    AutomationExecution,
    AwsError,
    CodeDeployment,
    DescribedDeployment,
    EcsService,
    ScalableTarget,
    ServiceRevision,
    Task,
    TaskDefinition,
)


@dataclass(frozen=True)
class LiveState:
    """`service` as read just now; `deployment` the service deployment in flight, or the one that the plan stopped;
    `revisions` the service revisions that the plan may restore and the one in use, by ARN; `healthy_targets` how
    many targets are healthy, by ARN of the target group, None where that was not read or could not be;
    `scalable_target` is None where Application Auto Scaling does not own the count; `stack_status` is that of the
    CloudFormation stack that owns the service, an AwsError where it could not be read, None where it was not asked
    for; `tasks` the tasks of the service that should run and those that the plan stops, by ARN: one that is missing
    is gone; `task_definition` the one that the plan registered, or the latest one of the family while that is not
    known, and before that the one to copy. `runs` are the tasks that the plan started, by ARN, `executions` its
    executions of Automation documents, each by its id and by the key of its tag. What the plan has nothing to do
    with is not read. `code_deployments` are the CodeDeploy deployments that the plan stops, and
    their rollbacks, by id. `copies` are the task definitions that earlier steps of the plan registered, by the ARN of
    what they are copies of."""

    service: EcsService
    deployment: DescribedDeployment | None = None
    revisions: Mapping[str, ServiceRevision] = field(default_factory=dict)
    healthy_targets: Mapping[str, int] | None = None
    scalable_target: ScalableTarget | None = None
    stack_status: str | AwsError | None = None
    tasks: Mapping[str, Task] | None = None
    task_definition: TaskDefinition | None = None
    runs: Mapping[str, Task] = field(default_factory=dict)
    executions: Mapping[str, AutomationExecution] = field(default_factory=dict)
    code_deployments: Mapping[str, CodeDeployment] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)
