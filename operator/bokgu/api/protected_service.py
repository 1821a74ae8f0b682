"""ProtectedService: one ECS service that the operator may touch, and how far."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bokgu.api.detector import PERIOD_RULE, SETTLE_RULE, Detection
from bokgu.api.fields import (
    NAMES_REVISION,
    ApiModel,
    Arn,
    DecimalString,
    Duration,
    Line,
    LogGroup,
    ObjectName,
    Region,
    StatusModel,
    Timestamp,
    Uid,
    Word,
)
from bokgu.api.meta import Conditions, OpenBreaker, Resource, Target, UidReference
from bokgu.api.vocabulary import Action, ApiType, Deed, IncidentType, Mode, PlanPhase, Preset, RootCause, Severity


class EcsReference(ApiModel):
    """The ECS service."""

    cluster: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="ECS cluster, by name or ARN."
    )
    service: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description="ECS service, by name."
    )


class ServiceLimits(ApiModel):
    """How far the allowed actions go."""

    max_desired_count: int | None = Field(
        default=None,
        ge=1,
        le=10000,
        description="Never ask for more tasks than this. Without it nothing is scaled out.",
    )
    scale_step_percent: int = Field(
        default=50, ge=1, le=1000, description="How many tasks one scale_out adds, in percent of the present number."
    )
    cooldown: Duration = Field(
        default="30m", description="How long after a recovery that completed none begins for another incident."
    )
    cooldown_after_failure: Duration = Field(default="2h", description="The same after one that failed.")
    max_recoveries_per_hour: int = Field(
        default=3, ge=0, le=32, description="How many recoveries may begin in any hour, those of one incident too."
    )


CodeDeployName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
"""A name in AWS CodeDeploy (API_CreateDeploymentGroup)."""


class CodeDeployGroup(ApiModel):
    """The deployment group of AWS CodeDeploy that deploys the service (API_DeploymentGroupInfo)."""

    application_name: CodeDeployName = Field(description="Name of the CodeDeploy application.")
    deployment_group_name: CodeDeployName = Field(description="Name of its deployment group.")


class RollbackLimits(ApiModel):
    """Which service revision is good enough to return to."""

    max_age: Duration = Field(default="72h", description="It served last at most this long ago.")
    min_served: Duration = Field(default="30m", description="It served at least this long with no open incident.")
    reregister: bool = Field(
        default=False,
        description="Whether a copy of its task definition may be registered where that is INACTIVE: ECS deploys no"
        " such one. Without it there is no way back to it.",
    )
    code_deploy: CodeDeployGroup | None = Field(
        default=None,
        description="Deployment group of a service with the deployment controller CODE_DEPLOY. Named, it lets Bokgu"
        " stop a deployment of the group in flight, with autoRollbackEnabled, where allowedActions has"
        " rollback_to_previous_version. The service's role needs codedeploy:ListDeployments, codedeploy:GetDeployment"
        " and codedeploy:StopDeployment.",
    )


class RunTaskLimits(ApiModel):
    """What run_task may start."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": f"!has(self.taskDefinitions) || self.taskDefinitions.all(d, {NAMES_REVISION.format('d')})",
            "message": "taskDefinitions: each must end in its revision, such as :7: ECS resolves one without when it is"
            " used",
        },
    )

    role_arn: Arn = Field(
        description="IAM role that starts the tasks, and no other: what a task may do is beyond what Bokgu may."
        " Operator configuration must let the namespace name it, as spec.roleArn."
    )
    task_definitions: Annotated[tuple[Arn, ...], Field(max_length=16)] = Field(
        default=(), description="ARNs, with revision, of the task definitions that may be started; none: none may."
    )


class AutomationLimits(ApiModel):
    """What ssm_automation may start."""

    role_arn: Arn = Field(
        description="IAM role that starts, follows and stops the executions, and no other. Operator configuration must"
        " let the namespace name it, as spec.roleArn."
    )
    documents: Annotated[tuple[Arn, ...], Field(max_length=16)] = Field(
        default=(), description="Names or ARNs of the Automation documents that may be started; none: none may."
    )


class ApiGatewayReference(ApiModel):
    """The API Gateway API in front of the service, as its metrics name it (Amazon API Gateway Developer Guide)."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {"rule": "self.type != 'HTTP' || has(self.id)", "message": "an HTTP API is named by its id"},
        {
            "rule": "self.type != 'REST' || (has(self.name) && (self.name.matches('[!-~]') || has(self.id)))",
            "message": "a REST API is named by its name; one without ASCII characters by its id too, because CloudWatch"
            " drops all others",
        },
    )

    type: ApiType = Field(description="REST or HTTP.")
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="Name of the REST API."
    )
    id: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        default=None, description="Id of the API."
    )
    stage: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="Stage; default: all stages."
    )

    @property
    def dimensions(self) -> dict[str, str]:
        """Dimensions of the API's metrics.

        REST APIs are named by ApiName, of which CloudWatch keeps ASCII only, and by their id where nothing is left;
        HTTP APIs by ApiId ("Amazon API Gateway dimensions and metrics").
        """
        if self.type is ApiType.HTTP:
            named = {"ApiId": self.id or ""}
        else:
            kept = "".join(c for c in self.name or "" if c.isascii())
            named = {"ApiName": kept if kept.strip() else self.id or self.name or ""}
        return named | ({"Stage": self.stage} if self.stage else {})


class WorkQueue(ApiModel):
    """The SQS queue that the service works off."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] = Field(description="Name of the queue.")
    max_age: Duration = Field(description="A message older than this is trouble (medium; twice as old is high).")


class CorruptionSign(ApiModel):
    """What tells that data is corrupted."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "has(self.pattern) ? !has(self.namespace) && !has(self.metricName)"
            " : has(self.namespace) && has(self.metricName)",
            "message": "give either namespace and metricName of a metric filter, or pattern",
        },
    )

    namespace: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="CloudWatch namespace of a metric filter."
    )
    metric_name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="Metric of that filter; give it the default value 0."
    )
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None, description="CloudWatch Logs filter pattern, counted in spec.logGroup."
    )


class AlarmReference(ApiModel):
    """A CloudWatch alarm that opens incidents of this service."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(description="Name of the alarm.")
    type: IncidentType = Field(description="Type of the incident that it opens.")
    severity: Severity = Field(default=Severity.HIGH, description="Severity of that incident.")


class DetectionSettings(ApiModel):
    """What is detected without a Detector of its own."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        PERIOD_RULE,
        SETTLE_RULE,
        {
            "rule": "duration(self.interval) >= duration('1s') && duration(self.interval) <= duration('24h')",
            "message": "interval must be at least 1s and at most 24h",
        },
        {
            "rule": "!has(self.presets) || !self.presets.exists(p, p == 'sqs-age') || has(self.queue)",
            "message": "preset sqs-age needs detection.queue",
        },
        {
            "rule": "!has(self.presets) || !self.presets.exists(p, p == 'alb-latency') || has(self.latencyLimit)",
            "message": "preset alb-latency needs detection.latencyLimit",
        },
        {
            "rule": "!has(self.presets) || !self.presets.exists(p, p == 'log-corruption') || has(self.corruption)",
            "message": "preset log-corruption needs detection.corruption",
        },
    )

    presets: Annotated[tuple[Preset, ...], Field(max_length=16)] = Field(
        default=(), description="Ready-made detections; docs/detection.md lists them."
    )
    interval: Duration = Field(default="1m", description="How often to look, from 1s to 24h.")
    settle: Duration = Field(
        default="2m", description="Leave out datapoints younger than this, at most 24h: CloudWatch delivers late."
    )
    period: Duration = Field(
        default="1m",
        description="Length of a datapoint of the presets on metrics, at most 24h. Their windows count datapoints.",
    )
    latency_limit: DecimalString | None = Field(
        default=None, description="Preset alb-latency: the 99th percentile of seconds that is too slow."
    )
    queue: WorkQueue | None = Field(default=None, description="Preset sqs-age: the queue that is worked off.")
    corruption: CorruptionSign | None = Field(
        default=None, description="Preset log-corruption: what tells that data is corrupted."
    )
    alarms: Annotated[tuple[AlarmReference, ...], Field(max_length=16)] = Field(
        default=(),
        description="Alarms, by name, that open incidents. Alarms on the metrics of the presets need no entry: their"
        " dimensions name the service.",
    )
    relapse_watch: Duration = Field(
        default="30m", description="How long the trouble must stay away until an incident counts as resolved."
    )


class ProtectedServiceSpec(ApiModel):
    """What to watch over and what is allowed. It starts closed: Observe, no actions."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "!has(self.detection) || !has(self.detection.presets)"
            " || !self.detection.presets.exists(p, p == 'apigw-rest')"
            " || (has(self.apiGateway) && self.apiGateway.type == 'REST')",
            "message": "preset apigw-rest needs spec.apiGateway of type REST",
        },
        {
            "rule": "!has(self.detection) || !has(self.detection.presets)"
            " || !self.detection.presets.exists(p, p == 'apigw-http')"
            " || (has(self.apiGateway) && self.apiGateway.type == 'HTTP')",
            "message": "preset apigw-http needs spec.apiGateway of type HTTP",
        },
        {
            "rule": "!has(self.detection) || !has(self.detection.corruption) || !has(self.detection.corruption.pattern)"
            " || has(self.logGroup)",
            "message": "detection.corruption.pattern needs spec.logGroup",
        },
    )

    environment: Word = Field(default="production", description="Environment, such as production or staging.")
    region: Region = Field(description="AWS region, such as eu-central-1.")
    role_arn: Arn | None = Field(
        default=None,
        description="IAM role that the operator assumes for this service; default: its own identity. Operator"
        " configuration (BOKGU_ASSUMABLE_ROLES) must let the namespace name it, else Ready is RoleNotAllowed."
        " It is assumed with the external id CLUSTER/NAMESPACE, where CLUSTER is the uid of the namespace kube-system:"
        " let the role's trust policy demand it.",
    )
    ecs: EcsReference = Field(description="The ECS service.")
    mode: Mode = Field(
        default=Mode.OBSERVE,
        description="Observe: say what is wrong. Propose: also write the plan, never run it. Approve: run it when the"
        " required people have approved. Auto: run what spec.auto of the RecoveryPolicy names at once, and all else as"
        " in Approve.",
    )
    allowed_actions: Annotated[tuple[Action, ...], Field(max_length=16)] = Field(
        default=(), description="Actions that may run. health_check, wait and manual need no permission."
    )
    limits: ServiceLimits = Field(default=ServiceLimits(), description="How far the allowed actions go.")
    rollback: RollbackLimits = Field(
        default=RollbackLimits(), description="Which service revision is good enough to return to."
    )
    run_task: RunTaskLimits | None = Field(
        default=None, description="What run_task may start; absent: nothing. allowedActions must name run_task too."
    )
    automation: AutomationLimits | None = Field(
        default=None,
        description="What ssm_automation may start; absent: nothing. allowedActions must name ssm_automation too.",
    )
    runbooks: Annotated[tuple[ObjectName, ...], Field(max_length=8)] = Field(
        default=(),
        description="Runbooks that come before all others where they fit, the first one first: Runbooks of the"
        " namespace, or built-in ones such as classic-service-down. docs/runbooks.md lists them.",
    )
    api_gateway: ApiGatewayReference | None = Field(
        default=None, description="The API Gateway API in front of the service, if any."
    )
    log_group: LogGroup | None = Field(default=None, description="CloudWatch Logs group that the service writes to.")
    depends_on: Annotated[tuple[ObjectName, ...], Field(max_length=32)] = Field(
        default=(),
        description="What the service needs to work: names of other ProtectedServices of the namespace, or any name for"
        " what is not one, such as orders-database. Incidents with a common cause are told as one, and plans do not"
        " begin while one of these ProtectedServices has an open incident.",
    )
    detection: DetectionSettings = Field(
        default=DetectionSettings(), description="What is detected without a Detector of its own."
    )
    reset_breaker_at: Timestamp | None = Field(
        default=None,
        description="Recoveries that failed until then are no reason any more to try no others: somebody has looked.",
    )
    suspend: bool = Field(
        default=False, description="Touch nothing for now. The tag bokgu:suspend on the ECS service does the same."
    )
    dry_run: bool = Field(
        default=False,
        description="Run plans, and send nothing to AWS: each write is skipped and says what would have been sent. What"
        " has begun is finished, or undone.",
    )

    @property
    def target(self) -> Target:
        """Where the service lives."""
        return Target(region=self.region, role_arn=self.role_arn, cluster=self.ecs.cluster, service=self.ecs.service)


class TargetGroup(ApiModel):
    """A load balancer target group of the service, as metrics name it."""

    arn: Arn = Field(description="ARN of the target group.")
    load_balancer: Line = Field(default="", description="LoadBalancer dimension of its metrics, such as app/web/1a2b.")
    pair: Arn | None = Field(default=None, description="The other target group of a blue/green pair.")
    shared: bool = Field(
        default=False,
        description="Whether the load balancer serves other services too, so that its errors prove little.",
    )


class ObservedService(StatusModel):
    """What ECS says of the service."""

    desired_count: int = Field(ge=0, description="Tasks wanted.")
    running_count: int = Field(ge=0, description="Tasks running.")
    pending_count: int = Field(ge=0, description="Tasks starting.")
    task_definition: Arn = Field(description="Task definition in use.")
    service_revision_arn: Arn | None = Field(default=None, description="Service revision in use.")
    rollout_state: Word | None = Field(default=None, description="COMPLETED, IN_PROGRESS or FAILED.")
    target_groups: Annotated[tuple[TargetGroup, ...], Field(max_length=10)] = Field(
        default=(), description="Its load balancer target groups, both of a blue/green pair."
    )


class KnownRevision(StatusModel):
    """A service revision that was deployed successfully and served cleanly."""

    service_revision_arn: Arn = Field(description="The service revision.")
    task_definition: Arn = Field(description="Its task definition.")
    served_from: Timestamp = Field(description="When its deployment succeeded.")
    served_until: Timestamp | None = Field(default=None, description="When it was replaced; absent while it serves.")


class TaintedRevision(StatusModel):
    """Trouble while a service revision served: then it was not good. It is kept here because incidents are deleted."""

    service_revision_arn: Arn = Field(description="The service revision.")
    incident_uid: Uid = Field(description="uid of the Incident that told of the trouble.")
    since: Timestamp | None = Field(
        default=None, description="From when on; absent: always, since a plan found that the revision is at fault."
    )
    until: Timestamp | None = Field(default=None, description="When that was over; absent: the incident is open still.")


class BegunRecovery(StatusModel):
    """When a runbook began to change the service. It is kept here because plans go with their incidents."""

    runbook: ObjectName = Field(description="Name of the Runbook.")
    at: Timestamp = Field(description="When its last plan began.")


MOST_RECOVERIES = 64
"""Entries of `status.recoveries`: as many of the latest, and of those that failed, as a policy can ask about."""


class Recovery(StatusModel):
    """A plan that began. It is kept here because plans go with their incidents."""

    plan: ObjectName = Field(description="Name of the RecoveryPlan.")
    uid: Uid = Field(description="Its uid.")
    incident_uid: Uid = Field(description="uid of the Incident that it was made against.")
    started_at: Timestamp = Field(description="When it began.")
    finished_at: Timestamp | None = Field(default=None, description="When it was over; absent: it is not.")
    outcome: PlanPhase | None = Field(default=None, description="Its last phase; absent: it is not over.")
    reason: Word | None = Field(default=None, description="Why it ended so.")
    ineffective: bool = Field(default=False, description="It completed, and the trouble was back, or still there.")


MOST_PROPOSALS = 64
"""Entries of `status.proposals`."""


class Proposal(StatusModel):
    """A plan that was not to run, beside what was done instead."""

    incident: ObjectName = Field(description="Name of the Incident.")
    incident_uid: Uid = Field(description="Its uid.")
    at: Timestamp = Field(description="When it was resolved.")
    root_cause: RootCause = Field(description="Root cause that the plan was against.")
    action: Action = Field(description="What the plan would have done first.")
    deed: Deed = Field(description="What was seen to be done: Nothing, where it went away by itself.")
    matched: bool = Field(description="Whether that is the same.")


class ProposalScore(StatusModel):
    """How often an action against a root cause was what was done."""

    action: Action = Field(description="The action.")
    root_cause: RootCause = Field(description="The root cause.")
    cases: int = Field(ge=0, description="How often it was proposed.")
    matched: int = Field(ge=0, description="How often it was what was done.")
    earned: bool = Field(
        description="Whether it may be trusted to run by itself: 10 cases or more, of which 90 % were what was done."
    )


class RecentStop(StatusModel):
    """How a task ended that was not meant to: ECS forgets it after about an hour (API_DescribeTasks)."""

    task: Arn = Field(description="The task.")
    version: int | None = Field(
        default=None, ge=0, description="Version of the task in the event that told of it; absent: ECS was asked."
    )
    at: Timestamp = Field(description="When it stopped.")
    started_at: Timestamp | None = Field(default=None, description="When it began to run; absent: it never did.")
    stop_code: Word | None = Field(default=None, description="ECS's code for it, such as EssentialContainerExited.")
    reason: Line = Field(default="", description="Why, in the words of ECS.")
    container: Annotated[str, StringConstraints(max_length=255)] = Field(
        default="", description="The container that failed, or the first one."
    )
    container_reason: Line = Field(default="", description="What ECS says of that container.")
    exit_code: int | None = Field(default=None, description="Its exit code; absent: it never ran.")
    deployment_id: Word | None = Field(default=None, description="The deployment that started the task.")
    task_definition: Arn | None = Field(default=None, description="Its task definition.")
    zone: Word | None = Field(default=None, description="Its Availability Zone.")


class Reversal(StatusModel):
    """Somebody has set back what a completed plan had set."""

    plan: UidReference = Field(description="The plan.")
    at: Timestamp = Field(description="When that was first seen.")
    message: Line = Field(description="What was set back, and who may have done it.")


class ProtectedServiceStatus(StatusModel):
    """What is known of the service."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    service: ObservedService | None = Field(default=None, description="What ECS said last.")
    last_known_good: KnownRevision | None = Field(
        default=None, description="The service revision that a rollback returns to."
    )
    tainted_revisions: Annotated[tuple[TaintedRevision, ...], Field(max_length=32)] = Field(
        default=(),
        description="When the service revisions that could be returned to were in trouble; kept beyond the incidents.",
    )
    begun_recoveries: Annotated[tuple[BegunRecovery, ...], Field(max_length=16)] = Field(
        default=(),
        description="When each runbook last began here, the latest first: some wait before they begin again.",
    )
    recoveries: Annotated[tuple[Recovery, ...], Field(max_length=MOST_RECOVERIES)] = Field(
        default=(),
        description="Plans that began here, the latest first: cooldowns, rates and the breaker count them. Of older"
        " ones those that failed are kept the longest.",
    )
    proposals: Annotated[tuple[Proposal, ...], Field(max_length=MOST_PROPOSALS)] = Field(
        default=(), description="Plans of mode Propose and what was done instead, the latest first."
    )
    proposal_scores: Annotated[tuple[ProposalScore, ...], Field(max_length=MOST_PROPOSALS)] = Field(
        default=(), description="What these come to, by action and root cause."
    )
    breaker: OpenBreaker | None = Field(
        default=None,
        description="Set while too many recoveries have failed: none begins until spec.resetBreakerAt is later.",
    )
    breaker_reset_at: Timestamp | None = Field(
        default=None, description="The last reset; what was reset once stays so, also where the spec names it no more."
    )
    active_plan: UidReference | None = Field(
        default=None,
        description="The one plan that may change the service now. Freed when that plan is over, never by time.",
    )
    reversal: Reversal | None = Field(
        default=None,
        description="What is set back of the last plan that completed, while its incident is open; absent: nothing.",
    )
    detections: Annotated[tuple[Detection, ...], Field(max_length=128)] = Field(
        default=(), description="What the presets say; written when it changes."
    )
    recent_stops: Annotated[tuple[RecentStop, ...], Field(max_length=16)] = Field(
        default=(),
        description="Tasks that ended and were not meant to, within a day, the latest first; kept because ECS forgets"
        " them after about an hour.",
    )
    summary: Line | None = Field(default=None, description="Tasks running of tasks wanted, such as 3/3.")
    conditions: Conditions = ()


class ProtectedService(Resource):
    """An ECS service that the operator watches over, and what it may do to it. Nothing is touched that has none."""

    kind_name = "ProtectedService"
    plural = "protectedservices"
    short_names = ("psvc",)
    printer_columns = (
        {"name": "Cluster", "type": "string", "jsonPath": ".spec.ecs.cluster"},
        {"name": "Service", "type": "string", "jsonPath": ".spec.ecs.service"},
        {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        {"name": "Tasks", "type": "string", "jsonPath": ".status.summary"},
        {"name": "Plan", "type": "string", "jsonPath": ".status.activePlan.name"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Region", "type": "string", "jsonPath": ".spec.region", "priority": 1},
        {"name": "Dry-Run", "type": "boolean", "jsonPath": ".spec.dryRun", "priority": 1},
        {"name": "Breaker-Open", "type": "date", "jsonPath": ".status.breaker.openedAt", "priority": 1},
        {
            "name": "Reason",
            "type": "string",
            "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
            "priority": 1,
        },
    )

    spec: ProtectedServiceSpec
    status: ProtectedServiceStatus = Field(default_factory=ProtectedServiceStatus)
