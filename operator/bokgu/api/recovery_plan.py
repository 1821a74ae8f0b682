"""RecoveryPlan: the ordered steps that end an incident, what they risk, and how their execution stands.

The spec has no defaults and no floats: the digest that people approve is computed from what a GET returns, and a
later default or a rewritten number would change it silently.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bokgu.api.fields import (
    NAMES_REVISION,
    ApiModel,
    ApprovedLine,
    ApprovedText,
    Arn,
    DecimalString,
    Digest,
    Duration,
    Label,
    Line,
    LogGroup,
    ObjectName,
    PersonName,
    RoleName,
    StatusModel,
    Text,
    Timestamp,
    Uid,
    Word,
)
from bokgu.api.meta import Conditions, Gate, NameReference, Resource, Target, UidReference
from bokgu.api.vocabulary import (
    Action,
    Confidence,
    Decision,
    IncidentType,
    Level,
    OnFailure,
    OperationPhase,
    PlanPhase,
    Proof,
    RootCause,
    Severity,
    ValidationType,
    Verdict,
)

LOG_MATCHES = "log_matches"
"""What the expression of a log validation compares."""

METRIC_EXPRESSION = "^ *[a-z][a-z0-9_]* *(<|<=|>|>=) *-?[0-9]+([.][0-9]+)? *$"
"""What core/verification.py reads as a comparison."""

LOG_EXPRESSION = f"^ *{LOG_MATCHES} *(<|<=|>|>=) *[0-9]+([.][0-9]+)? *$"

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""A number of tasks: an Integer of the AWS APIs (API_Service, API_ScalableTarget). RFC 8785, which the digest is made
by, has none above 2^53."""

FINALIZER = "bokgu.dev/execution"
"""Stands on a plan from its creation, so that a deletion in the middle is undone before the plan goes."""

MOST_ROLES = 8
"""Roles that a plan names itself."""

MOST_PEOPLE = 16
"""People whom a plan may need together."""

MOST_APPROVALS = 32
"""Approvals that the status of a plan lists. Junk hides none that counts."""

MOST_STEPS = 16
"""Steps of a plan."""


WAIT_BOUNDS = "duration({0}) >= duration('1s') && duration({0}) <= duration('24h')"
"""Rule for how long a step may wait; a plan that waits holds its service."""


class StepParameters(ApiModel):
    """What a step needs to know. Which fields count depends on the action."""

    desired_count: int | None = Field(
        default=None, ge=1, le=10000, description="scale_out, scale_in: the number of tasks to run, absolute."
    )
    min_capacity: int | None = Field(
        default=None,
        ge=0,
        le=10000,
        description="scale_out, scale_in: the minimum to set in Application Auto Scaling, where that owns the count.",
    )
    max_capacity: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="scale_out: the maximum to set there; absent: it stays as it is.",
    )
    duration: Duration | None = Field(default=None, description="wait: how long.")
    calm: bool | None = Field(
        default=None,
        description="wait: the trouble of the incident must stay away for that long. If it comes back, the step fails.",
    )
    service_revision_arn: Arn | None = Field(
        default=None, description="rollback_to_previous_version: the service revision to restore."
    )
    code_deploy_deployment_id: Word | None = Field(
        default=None,
        description="rollback_to_previous_version, of a CODE_DEPLOY service: the CodeDeploy deployment in flight to"
        " stop instead, such as d-ABCDEF123. CodeDeploy goes back by itself, and nothing takes that back.",
    )
    task_definition: Arn | None = Field(
        default=None,
        description="rollback_to_previous_version: task definition of that revision, or that CodeDeploy goes back to;"
        " another one is not restored."
        " register_task_definition: the task definition to register a copy of. run_task: the one to start.",
    )
    task: Arn | None = Field(default=None, description="stop_unhealthy_tasks: the task to stop.")
    container: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="run_task: the container whose command is replaced."
    )
    command: (
        Annotated[tuple[Annotated[str, StringConstraints(max_length=512)], ...], Field(min_length=1, max_length=16)]
        | None
    ) = Field(default=None, description="run_task: the command of that container instead of its own.")
    document_name: Arn | None = Field(
        default=None, description="ssm_automation: name or ARN of the Automation document to start."
    )
    document_version: Word | None = Field(default=None, description="ssm_automation: its version, a number.")
    role_arn: Arn | None = Field(
        default=None,
        description="run_task, ssm_automation: the IAM role that makes the calls, as the ProtectedService names it.",
    )
    document_parameters: (
        Annotated[
            dict[str, Annotated[tuple[Annotated[str, StringConstraints(max_length=512)], ...], Field(max_length=16)]],
            Field(max_length=16),
        ]
        | None
    ) = Field(default=None, description="ssm_automation: what the document is told, lists of strings by name.")


class Undo(ApiModel):
    """What takes a step back. It restores what the step found, which its status records as `before`."""

    action: Action = Field(description="The action that takes the step back.")


class Validation(ApiModel):
    """What proves that a step worked. ECS itself must agree: all tasks running, on the intended revision, and healthy
    behind the service's load balancers."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": f"self.type != 'metric' || !has(self.expression) || self.expression.matches('{METRIC_EXPRESSION}')",
            "message": "validation: the expression of a metric is NAME < NUMBER, such as error_rate < 0.05",
        },
        {
            "rule": "self.type == 'manual' ? !has(self.expression) && !has(self.__for__)"
            " : has(self.expression) && has(self.__for__)",
            "message": "validation: give expression and for, but for type manual",
        },
        {
            "rule": "(self.type == 'log') == has(self.pattern)",
            "message": "validation: pattern is for type log, which needs it",
        },
        {
            "rule": "(self.type == 'log') == has(self.logGroup)",
            "message": "validation: logGroup is for type log, which needs it",
        },
        {
            "rule": f"self.type != 'log' || self.expression.matches('{LOG_EXPRESSION}')",
            "message": f"validation: the expression of a log compares {LOG_MATCHES}, such as {LOG_MATCHES} <= 0",
        },
    )

    type: ValidationType = Field(
        description="metric: a measured value compared with a number. log: the number of matching log events compared"
        " with one. manual: a person says so, with a PlanApproval that names the step."
    )
    criteria: Word = Field(description="What is checked, in one word, such as error_rate_decrease.")
    expression: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None,
        description="The comparison, such as `error_rate < 0.05`. The name is a condition of a Detector of the service,"
        f" or {LOG_MATCHES}: how many events of the log group match the pattern within `for`.",
    )
    log_group: LogGroup | None = Field(default=None, description="log: the CloudWatch Logs log group.")
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None, description="log: filter pattern in CloudWatch Logs syntax."
    )
    for_: Duration | None = Field(
        default=None, alias="for", description="How long the comparison must hold without a break."
    )
    timeout: Duration = Field(
        description="How long to wait for that. Where it holds on too little traffic to tell, an hour is waited."
    )


class Step(ApiModel):
    """One step of a plan."""

    name: Label = Field(description="Name of the step, unique in the plan.")
    action: Action = Field(description="What the step does.")
    description: ApprovedText | None = Field(
        default=None, description="The same for people, with the numbers of this service."
    )
    parameters: StepParameters | None = Field(default=None, description="What the action needs to know.")
    estimated_duration: Duration | None = Field(default=None, description="How long it usually takes.")
    timeout: Duration = Field(description="When to give up.")
    required_resources: Annotated[tuple[Word, ...], Field(max_length=8)] = Field(
        default=(), description="What the step uses, such as ecs_service."
    )
    on_failure: OnFailure = Field(description="What follows when the step fails.")
    rollback: Undo | None = Field(default=None, description="What takes the step back; absent: nothing does.")
    validation: Validation | None = Field(default=None, description="What proves that the step worked.")


class Risk(ApiModel):
    """What may go wrong."""

    description: ApprovedLine = Field(description="What may go wrong.")
    probability: Level = Field(description="How probable it is.")
    impact: Level = Field(description="How bad it would be.")
    mitigation: ApprovedLine = Field(description="What softens it.")


class ScalableRange(ApiModel):
    """What Application Auto Scaling keeps the desired count of a service within."""

    min_capacity: Count = Field(description="The minimum.")
    max_capacity: Count = Field(description="The maximum.")
    suspended: Annotated[tuple[Word, ...], Field(max_length=3)] = Field(
        default=(),
        description="What it does not do for now: DynamicScalingIn, DynamicScalingOut, ScheduledScaling.",
    )


class Preconditions(ApiModel):
    """The world that the plan was made for. If it has changed when the plan starts, the plan is cancelled."""

    target: Target | None = Field(
        default=None,
        description="Where the service lives, and the role that it is reached with. While the ProtectedService names"
        " another place, the plan is blocked.",
    )
    service_revision_arn: Arn | None = Field(default=None, description="Service revision that was running.")
    service_deployment_arn: Arn | None = Field(default=None, description="Service deployment that brought it.")
    task_definition: Arn | None = Field(default=None, description="Task definition that was in use.")
    desired_count: Count = Field(description="Desired count of the service.")
    scalable_target: ScalableRange | None = Field(
        default=None,
        description="What Application Auto Scaling kept the count within; absent: it was not asked, or none.",
    )
    root_cause: RootCause = Field(description="Root cause that the plan answers.")


class ClassificationSnapshot(ApiModel):
    """What was known when the plan was made."""

    root_cause: RootCause = Field(description="The mechanism behind the incident.")
    new_revision_at_fault: bool | None = Field(
        default=None, description="Whether a newly deployed revision causes it; absent: it cannot be told."
    )
    confidence: Confidence = Field(description="How sure the diagnosis was.")
    impact_level: Severity = Field(description="What it did to users.")
    incident_type: IncidentType = Field(description="Type of the incident.")


_FROZEN = (
    "incidentRef",
    "serviceRef",
    "runbookRef",
    "chosenBecause",
    "trackRecord",
    "classification",
    "preconditions",
    "steps",
    "estimatedTotalDuration",
    "requiredApprovals",
    "risks",
    "ifNothingIsDone",
    "expiresAt",
)


class RecoveryPlanSpec(ApiModel):
    """The plan. Everything but `suspend` is immutable, and its digest is what people approve."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        *(
            {
                "rule": f"has(self.{field}) == has(oldSelf.{field})"
                f" && (!has(self.{field}) || self.{field} == oldSelf.{field})",
                "message": f"spec.{field} is immutable: approvals name the plan's digest. Make a new plan instead",
            }
            for field in _FROZEN
        ),
        {
            "rule": "self.steps.all(s, self.steps.exists_one(t, t.name == s.name))",
            "message": "spec.steps: every name must be unique",
        },
        {
            "rule": "self.steps.all(s, s.action != 'scale_out'"
            " || (has(s.parameters) && has(s.parameters.desiredCount)))",
            "message": "spec.steps: scale_out needs parameters.desiredCount",
        },
        {
            "rule": "self.steps.all(s, s.action != 'scale_out' || !has(s.parameters) || !has(s.parameters.minCapacity)"
            " || (has(s.parameters.desiredCount) && s.parameters.minCapacity == s.parameters.desiredCount))",
            "message": "spec.steps: minCapacity of a scale_out must be its desiredCount",
        },
        {
            "rule": "self.steps.all(s, !has(s.parameters) || !has(s.parameters.maxCapacity) || (s.action == 'scale_out'"
            " && has(s.parameters.minCapacity) && s.parameters.maxCapacity >= s.parameters.minCapacity))",
            "message": "spec.steps: maxCapacity is for a scale_out with minCapacity, and not below that",
        },
        {
            "rule": "self.steps.all(s, s.action != 'scale_in' || (has(s.parameters)"
            " && has(s.parameters.desiredCount) != has(s.parameters.minCapacity)))",
            "message": "spec.steps: scale_in needs parameters.desiredCount, or minCapacity to give a minimum back",
        },
        {
            "rule": "self.steps.all(s, !has(s.parameters) || s.action in ['scale_out', 'scale_in']"
            " || !has(s.parameters.desiredCount) && !has(s.parameters.minCapacity))",
            "message": "spec.steps: desiredCount and minCapacity are for scale_out and scale_in",
        },
        {
            "rule": "self.steps.all(s, s.action != 'wait' || (has(s.parameters) && has(s.parameters.duration)"
            f" && {WAIT_BOUNDS.format('s.parameters.duration')}"
            " && duration(s.timeout) >= duration(s.parameters.duration)))",
            "message": "spec.steps: wait needs parameters.duration, from 1s to 24h, and a timeout that is not shorter",
        },
        {
            "rule": "self.steps.all(s, s.action == 'wait' ? !has(s.validation)"
            " : !has(s.parameters) || !has(s.parameters.duration) && !has(s.parameters.calm))",
            "message": "spec.steps: duration and calm are for wait, which has no validation: calm is its proof",
        },
        {
            "rule": "self.steps.all(s, s.action != 'rollback_to_previous_version' || (has(s.parameters)"
            " && has(s.parameters.serviceRevisionArn) != has(s.parameters.codeDeployDeploymentId)))",
            "message": "spec.steps: rollback_to_previous_version needs parameters.serviceRevisionArn, or"
            " codeDeployDeploymentId to stop a CodeDeploy deployment in flight: exactly one of them",
        },
        {
            "rule": "self.steps.all(s, !has(s.parameters) || !has(s.parameters.codeDeployDeploymentId)"
            " || (s.action == 'rollback_to_previous_version' && has(s.parameters.taskDefinition)"
            " && !has(s.rollback)))",
            "message": "spec.steps: codeDeployDeploymentId is for a rollback_to_previous_version with"
            " parameters.taskDefinition, which CodeDeploy goes back to, and without a rollback of its own: nothing"
            " takes that back",
        },
        {
            "rule": "self.steps.all(s, s.action != 'manual' || (has(s.description) && !has(s.validation)))",
            "message": "spec.steps: a manual step is what a person confirms: its description says what, and it has no"
            " validation",
        },
        {
            "rule": "self.steps.all(s, s.action != 'stop_unhealthy_tasks'"
            " || (has(s.parameters) && has(s.parameters.task)))",
            "message": "spec.steps: stop_unhealthy_tasks needs parameters.task, the ARN of one task: a step stops one",
        },
        {
            "rule": "self.steps.all(s, !(s.action in ['register_task_definition', 'run_task'])"
            " || (has(s.parameters) && has(s.parameters.taskDefinition)"
            f" && {NAMES_REVISION.format('s.parameters.taskDefinition')}))",
            "message": "spec.steps: register_task_definition and run_task need parameters.taskDefinition, an ARN that"
            " ends in its revision, such as :7: ECS resolves one without when it is used",
        },
        {
            "rule": "self.steps.all(s, !has(s.parameters) || !has(s.parameters.command)"
            " || (s.action == 'run_task' && has(s.parameters.container)))",
            "message": "spec.steps: parameters.command is for run_task, and needs parameters.container",
        },
        {
            "rule": "self.steps.all(s, s.action != 'ssm_automation'"
            " || (has(s.parameters) && has(s.parameters.documentName) && has(s.parameters.documentVersion)"
            " && s.parameters.documentVersion.matches('^[0-9]+$')))",
            "message": "spec.steps: ssm_automation needs parameters.documentName and documentVersion, a number: Systems"
            " Manager resolves $DEFAULT and $LATEST when the document is started",
        },
        {
            "rule": "self.steps.all(s, (s.action in ['run_task', 'ssm_automation'])"
            " == (has(s.parameters) && has(s.parameters.roleArn)))",
            "message": "spec.steps: run_task and ssm_automation need parameters.roleArn, the role of spec.runTask or"
            " spec.automation of the ProtectedService: people approve with which one it is done",
        },
        {
            "rule": "self.steps.all(s, !has(s.rollback) || (s.rollback.action == s.action"
            " && s.action in ['rollback_to_previous_version', 'run_task', 'ssm_automation']))",
            "message": "spec.steps: only rollback_to_previous_version has a rollback, and run_task and ssm_automation,"
            " which it stops while they run; it is of the same action",
        },
    )

    incident_ref: UidReference = Field(description="The incident that the plan ends.")
    service_ref: NameReference = Field(description="The ProtectedService that the plan acts on.")
    runbook_ref: NameReference | None = Field(default=None, description="The runbook that the plan was made from.")
    chosen_because: Text | None = Field(default=None, description="Why that runbook, and which gave way to it.")
    track_record: Line | None = Field(
        default=None, description="How often the runbook helped against this root cause on this service."
    )
    classification: ClassificationSnapshot | None = Field(default=None, description="What was known then.")
    preconditions: Preconditions = Field(description="The world that the plan was made for.")
    steps: Annotated[
        tuple[Step, ...],
        Field(min_length=1, max_length=MOST_STEPS, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(description="What is done, in order.")
    estimated_total_duration: Duration | None = Field(default=None, description="Sum of the steps' estimates.")
    required_approvals: Annotated[tuple[RoleName, ...], Field(max_length=MOST_ROLES)] = Field(
        default=(), description="Roles that must approve. The built-in minimum is added in any case."
    )
    risks: Annotated[tuple[Risk, ...], Field(max_length=16)] = Field(default=(), description="What may go wrong.")
    if_nothing_is_done: ApprovedText | None = Field(default=None, description="What happens if nobody approves.")
    expires_at: Timestamp = Field(description="After this moment the plan no longer starts.")
    suspend: bool | None = Field(default=None, description="Hold the plan before its next step.")


class AwsRequest(StatusModel):
    """An AWS call with its exact arguments."""

    service: Word = Field(description="AWS service, such as ecs.")
    operation: Word = Field(description="API operation, such as UpdateService.")
    arguments: Annotated[str, StringConstraints(max_length=16384)] = Field(
        description="The arguments as canonical JSON. Of RegisterTaskDefinition only copyOf and the tags that are"
        " added: what a task definition holds never changes, and may be secret."
    )


class Before(StatusModel):
    """The service as it was found just before a write."""

    desired_count: int = Field(ge=0, description="Desired count.")
    service_revision_arn: Arn | None = Field(default=None, description="Service revision that was running.")
    task_definition: Arn = Field(description="Task definition of the service.")
    deployment_ids: Annotated[tuple[Arn, ...], Field(max_length=16)] = Field(
        default=(), description="Ids of its deployments."
    )
    scalable_target: ScalableRange | None = Field(
        default=None,
        description="What Application Auto Scaling kept the count within; absent: it was not asked, or none.",
    )


class CountedApproval(StatusModel):
    """An approval that an intent rests on."""

    uid: Uid = Field(description="uid of the PlanApproval; of the RecoveryPolicy for proof Auto.")
    approver: PersonName = Field(description="Who approved; RecoveryPolicy/NAME for proof Auto.")
    role: RoleName = Field(description="As which role.")
    proof: Proof = Field(description="What vouched for the approver.")


class Intent(StatusModel):
    """What is about to be sent to AWS. It is stored before the call, so that a crash cannot hide it."""

    token: Word = Field(description="Name of this attempt, unique.")
    attempt: int = Field(ge=1, description="1 for the first try.")
    plan_uid: Uid = Field(alias="planUID", description="uid of the plan.")
    digest: Digest = Field(description="Digest of the plan.")
    approvals: Annotated[tuple[CountedApproval, ...], Field(max_length=16)] = Field(
        default=(), description="The approvals that it rests on. They also authorise its undo."
    )
    request: AwsRequest = Field(description="The call.")
    role_arn: Arn | None = Field(default=None, description="IAM role that makes the call; absent: that of the service.")
    restores: Arn | None = Field(
        default=None,
        description="Service revision that must be running afterwards, where that is known before; of a CodeDeploy"
        " deployment that is stopped, the task definition.",
    )
    before: Before = Field(description="The service just before the call.")
    holder: Word = Field(description="The operator process that sends it.")
    lease_transitions: int | None = Field(
        default=None,
        ge=0,
        description="leaseTransitions of the Lease that it held; absent where there is no election of a leader.",
    )
    written_at: Timestamp = Field(description="When it was stored.")


class Answer(StatusModel):
    """What became of an intent."""

    at: Timestamp = Field(description="When the answer was known.")
    result: Annotated[str, StringConstraints(pattern="^(Accepted|Adopted|Refused|NotSent|Unknown)$", max_length=16)] = (
        Field(
            description="Accepted: AWS took it. Adopted: the effect was found after a crash or a lost answer."
            " Refused: AWS said no. NotSent: the world changed before the call. Unknown: it may have happened or not."
        )
    )
    deployment_id: Arn | None = Field(default=None, description="Deployment that the call started.")
    service_revision_arn: Arn | None = Field(default=None, description="Service revision that it started.")
    made: Annotated[tuple[Arn, ...], Field(max_length=16)] = Field(
        default=(), description="What else it made, by ARN or id, such as a task definition."
    )
    message: Line = Field(default="", description="AWS's words.")


class OperationStatus(StatusModel):
    """A step, or the undo of a step, as it stands."""

    phase: OperationPhase = Field(default=OperationPhase.PENDING, description="Where it stands.")
    reason: Word | None = Field(default=None, description="Why it stands there, in one word.")
    attempt: int = Field(default=0, ge=0, description="How often it was tried.")
    started_at: Timestamp | None = Field(default=None, description="When it began.")
    effective_at: Timestamp | None = Field(
        default=None, description="When ECS ran what was intended, completely; verification counts from here."
    )
    finished_at: Timestamp | None = Field(default=None, description="When it ended.")
    intent: Intent | None = Field(default=None, description="What was sent to AWS, stored before it was sent.")
    answer: Answer | None = Field(default=None, description="What became of it.")
    output: Text | None = Field(default=None, description="What was found, for people.")
    verdict: Verdict | None = Field(default=None, description="What the verification says.")


class StepStatus(OperationStatus):
    """One step as it stands."""

    name: Word = Field(description="Name of the step.")
    confirmation: CountedApproval | None = Field(
        default=None, description="Who confirmed it, where a person had to: the PlanApproval that names the step."
    )
    rollback: OperationStatus | None = Field(default=None, description="Its undo, once that began.")


class ApprovalStatus(StatusModel):
    """One PlanApproval that names this plan, and whether it counts."""

    role: RoleName = Field(description="As which role.")
    approver: PersonName = Field(description="Who.")
    decision: Decision = Field(description="What they said.")
    step: Label | None = Field(default=None, description="The step that it is about; absent: the whole plan.")
    at: Timestamp = Field(description="When it was created.")
    ref: ObjectName = Field(description="Name of the PlanApproval.")
    uid: Uid = Field(description="Its uid.")
    verified_by: Proof | None = Field(
        default=None, description="What vouches for the approver; absent: it does not count."
    )
    reason: Word = Field(description="Accepted, or why it does not count.")


class MetricReading(StatusModel):
    """One measured value before and after."""

    name: Word = Field(description="Name of the metric.")
    before: DecimalString | None = Field(default=None, description="When the plan started.")
    after: DecimalString | None = Field(default=None, description="At the last verification.")


class RecoveryPlanStatus(StatusModel):
    """The execution of the plan."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    uid: Uid | None = Field(
        default=None, description="uid of the plan that this is the status of: a restored plan has another one."
    )
    phase: PlanPhase = Field(default=PlanPhase.PENDING, description="Summary of the conditions.")
    reason: Word | None = Field(default=None, description="Why it stands there, in one word.")
    digest: Digest | None = Field(default=None, description="What approvals must name.")
    cluster_id: Uid | None = Field(
        default=None, alias="clusterID", description="uid of the kube-system namespace, which the digest binds."
    )
    required_approvals: Annotated[tuple[RoleName, ...], Field(max_length=MOST_PEOPLE)] = Field(
        default=(),
        description="Who must approve: the built-in minimum, the plan's own roles and the RecoveryPolicy's. A role that"
        " needs two people stands twice.",
    )
    approvals: Annotated[tuple[ApprovalStatus, ...], Field(max_length=MOST_APPROVALS)] = Field(
        default=(), description="The approvals that name this plan: those that count first, then the oldest."
    )
    approval_count: Word | None = Field(
        default=None,
        description="People who have approved of people required, such as 1/2; auto or override where the"
        " RecoveryPolicy or the emergency role stands in for them.",
    )
    approval_request: Text | None = Field(
        default=None,
        description="The PlanApproval to commit, while the plan waits for one, or a step of it for a confirmation."
        " `bokgu approve` completes it.",
    )
    gates: Annotated[tuple[Gate, ...], Field(max_length=40)] = Field(
        default=(), description="The guards that were asked before the next write."
    )
    target: Target | None = Field(
        default=None, description="Where the service lives, kept so that an undo works when everything else is gone."
    )
    started_at: Timestamp | None = Field(default=None, description="When the execution began.")
    finished_at: Timestamp | None = Field(default=None, description="When it ended.")
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=MOST_STEPS)] = Field(default=(), description="The steps.")
    metrics: Annotated[tuple[MetricReading, ...], Field(max_length=16)] = Field(
        default=(), description="What was measured before and after."
    )
    progress: Word | None = Field(default=None, description="Steps finished of steps planned, such as 2/4.")
    conditions: Conditions = ()


class RecoveryPlan(Resource):
    """A recovery plan: ordered steps with their risks, the approvals they need, and their execution."""

    kind_name = "RecoveryPlan"
    plural = "recoveryplans"
    short_names = ("rp",)
    printer_columns = (
        {"name": "Incident", "type": "string", "jsonPath": ".spec.incidentRef.name"},
        {"name": "Step", "type": "string", "jsonPath": ".status.progress"},
        {"name": "Approvals", "type": "string", "jsonPath": ".status.approvalCount"},
        {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
        {"name": "Reason", "type": "string", "jsonPath": ".status.reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Runbook", "type": "string", "jsonPath": ".spec.runbookRef.name", "priority": 1},
        {"name": "Digest", "type": "string", "jsonPath": ".status.digest", "priority": 1},
    )

    selectable_fields = ("status.phase", "spec.incidentRef.name", "spec.serviceRef.name")

    spec: RecoveryPlanSpec
    status: RecoveryPlanStatus = Field(default_factory=RecoveryPlanStatus)
