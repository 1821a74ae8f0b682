"""The words that users see in specs and status.

Words that also stand in DynamoDB items are snake_case and fixed; all that Kubernetes has a style for is CamelCase.
"""

from enum import StrEnum


class IncidentType(StrEnum):
    """What kind of trouble an incident is."""

    SERVICE_DOWN = "service_down"
    HIGH_ERROR_RATE = "high_error_rate"
    RESOURCE_EXHAUSTION = "resource_exhaustion"
    DATA_CORRUPTION = "data_corruption"


class Severity(StrEnum):
    """How bad it is; also used for impact. Ordered by `rank`."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for low to 3 for critical."""
        return list(Severity).index(self)


class Level(StrEnum):
    """A coarse probability or impact of a risk."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Action(StrEnum):
    """What a step does."""

    HEALTH_CHECK = "health_check"
    SERVICE_RESTART = "service_restart"
    SCALE_OUT = "scale_out"
    SCALE_IN = "scale_in"
    ROLLBACK = "rollback_to_previous_version"
    WAIT = "wait"
    STOP_UNHEALTHY_TASKS = "stop_unhealthy_tasks"
    REGISTER = "register_task_definition"
    RUN_TASK = "run_task"
    AUTOMATION = "ssm_automation"
    MANUAL = "manual"

    @property
    def writes(self) -> bool:
        """Whether the action changes something in AWS."""
        return self not in {Action.HEALTH_CHECK, Action.WAIT, Action.MANUAL}

    @property
    def runs(self) -> bool:
        """Whether the action starts something that runs by itself and then ends."""
        return self in {Action.RUN_TASK, Action.AUTOMATION}


class Role(StrEnum):
    """The roles of the built-in approval minimum. Plans and approvals may name others."""

    SYSTEM_ADMIN = "system_admin"
    SERVICE_OWNER = "service_owner"


class ValidationType(StrEnum):
    """What proves that a step worked."""

    METRIC = "metric"
    LOG = "log"
    MANUAL = "manual"


class OnFailure(StrEnum):
    """What follows a failed step."""

    ROLL_BACK = "RollBack"
    STOP = "Stop"
    CONTINUE = "Continue"


class SourceKind(StrEnum):
    """Where an incident came from."""

    DETECTOR = "Detector"
    PRESET = "Preset"
    ALARM = "Alarm"
    ECS_EVENT = "EcsEvent"
    ALERTMANAGER = "Alertmanager"
    MANUAL = "Manual"


class WindowKind(StrEnum):
    """What a change window does: work starts only inside one, or never."""

    ALLOW = "Allow"
    DENY = "Deny"


class AlertKind(StrEnum):
    """What an alert tells."""

    INCIDENT_DETECTED = "IncidentDetected"
    APPROVAL_NEEDED = "ApprovalNeeded"
    OVERRIDE = "Override"
    RECOVERY_STARTED = "RecoveryStarted"
    STEP_FAILED = "StepFailed"
    ROLLED_BACK = "RolledBack"
    RECOVERY_COMPLETED = "RecoveryCompleted"
    ESCALATED = "Escalated"
    INCIDENT_RESOLVED = "IncidentResolved"
    BREAKER = "Breaker"
    STORM = "Storm"


class Language(StrEnum):
    """Languages of alerts (ISO 639-1)."""

    EN = "en"
    KO = "ko"


class Mode(StrEnum):
    """How far the operator may go with a service."""

    OBSERVE = "Observe"
    PROPOSE = "Propose"
    APPROVE = "Approve"
    AUTO = "Auto"

    @property
    def runs(self) -> bool:
        """Whether plans are carried out at all."""
        return self in {Mode.APPROVE, Mode.AUTO}


class Decision(StrEnum):
    """What an approver says."""

    APPROVE = "Approve"
    REJECT = "Reject"


class Proof(StrEnum):
    """What makes an approval believable."""

    SIGNED = "Signed"
    CLUSTER = "Cluster"
    DELEGATED = "Delegated"
    AUTO = "Auto"


PEOPLES_PROOFS = frozenset({Proof.SIGNED, Proof.CLUSTER, Proof.DELEGATED})
"""What makes a person's approval believable; `Auto` is the policy's own word."""


class RootCause(StrEnum):
    """The mechanism behind an incident: the most specific one that the evidence shows."""

    BAD_DEPLOYMENT = "BadDeployment"
    IMAGE_PULL_FAILURE = "ImagePullFailure"
    OUT_OF_MEMORY = "OutOfMemory"
    APPLICATION_CRASH = "ApplicationCrash"
    HEALTH_CHECK_FAILURE = "HealthCheckFailure"
    CAPACITY_UNAVAILABLE = "CapacityUnavailable"
    SECRET_OR_CONFIG_FAILURE = "SecretOrConfigFailure"  # noqa: S105 - a word, no secret
    NETWORK_FAILURE = "NetworkFailure"
    PERMISSION_DENIED = "PermissionDenied"
    CPU_SATURATION = "CpuSaturation"
    MEMORY_SATURATION = "MemorySaturation"
    TRAFFIC_SURGE = "TrafficSurge"
    DEPENDENCY_FAILURE = "DependencyFailure"
    THROTTLED = "Throttled"
    DISK_EXHAUSTED = "DiskExhausted"
    HOST_OR_SPOT_INTERRUPTION = "HostOrSpotInterruption"
    HUMAN_ACTION = "HumanAction"
    DATA_CORRUPTION = "DataCorruption"
    UNKNOWN = "Unknown"


class Trait(StrEnum):
    """What else the evidence shows, where it decides whether an action helps."""

    LOAD_DRIVEN = "LoadDriven"
    """The load grew with the trouble: more tasks share it."""

    LEAKING = "Leaking"
    """Memory grows with the uptime of the tasks, whatever the load."""

    ROLLED_BACK_BY_ECS = "RolledBackByEcs"
    """ECS has already gone back to the revision before, or is about to."""

    SLOW_START = "SlowStart"
    """Tasks are killed before they are ready: the grace period ends before their start does."""

    START_FAILS = "StartFails"
    """No task of a revision that served well starts any more: those that run cannot be replaced."""

    ZONAL = "Zonal"
    """Only tasks of one Availability Zone fail."""


class Confidence(StrEnum):
    """How sure the diagnosis is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class IncidentPhase(StrEnum):
    """Summary of an incident's conditions, for columns."""

    DETECTED = "Detected"
    CLASSIFIED = "Classified"
    PLANNED = "Planned"
    AWAITING_APPROVAL = "AwaitingApproval"
    RECOVERING = "Recovering"
    VERIFYING = "Verifying"
    RESOLVED = "Resolved"
    ESCALATED = "Escalated"
    SUPPRESSED = "Suppressed"


class Deed(StrEnum):
    """What is seen to have been done to a service, whoever did it."""

    NOTHING = "Nothing"
    RESTARTED = "Restarted"
    SCALED_OUT = "ScaledOut"
    SCALED_IN = "ScaledIn"
    ROLLED_BACK = "RolledBack"
    DEPLOYED = "Deployed"


class PlanPhase(StrEnum):
    """Summary of a plan's conditions, for columns."""

    PENDING = "Pending"
    AWAITING_APPROVAL = "AwaitingApproval"
    APPROVED = "Approved"
    IN_PROGRESS = "InProgress"
    VERIFYING = "Verifying"
    COMPLETED = "Completed"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    FAILED = "Failed"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_FAILED = "RollbackFailed"
    CANCELLED = "Cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the plan is over: nothing of it will ever run again."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        PlanPhase.COMPLETED,
        PlanPhase.REJECTED,
        PlanPhase.EXPIRED,
        PlanPhase.FAILED,
        PlanPhase.ROLLED_BACK,
        PlanPhase.ROLLBACK_FAILED,
        PlanPhase.CANCELLED,
    }
)


class OperationPhase(StrEnum):
    """Where a step, or the undo of a step, stands."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    VERIFYING = "Verifying"
    COMPLETED = "Completed"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class Verdict(StrEnum):
    """What a verification says. Inconclusive is neither success nor failure."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"


class Comparison(StrEnum):
    """How a measured value is compared with a threshold (CloudWatch's own words)."""

    GREATER_THAN = "GreaterThanThreshold"
    GREATER_THAN_OR_EQUAL = "GreaterThanOrEqualToThreshold"
    LESS_THAN = "LessThanThreshold"
    LESS_THAN_OR_EQUAL = "LessThanOrEqualToThreshold"


class MissingData(StrEnum):
    """What a period without a datapoint means (CloudWatch's own words)."""

    MISSING = "missing"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


class Preset(StrEnum):
    """Ready-made detections of a ProtectedService."""

    ALB_TARGET_5XX = "alb-target-5xx"
    ALB_ELB_5XX = "alb-elb-5xx"
    ALB_NO_TARGET = "alb-no-target"
    ALB_UNHEALTHY = "alb-unhealthy"
    ALB_LATENCY = "alb-latency"
    APIGW_REST = "apigw-rest"
    APIGW_HTTP = "apigw-http"
    ECS_RUNNING = "ecs-running"
    ECS_DEPLOYMENT = "ecs-deployment"
    ECS_CRASH_LOOP = "ecs-crash-loop"
    ECS_RESTART_IN_PLACE = "ecs-restart-in-place"
    ECS_CPU = "ecs-cpu"
    ECS_MEMORY = "ecs-memory"
    ECS_DISK = "ecs-disk"
    SQS_AGE = "sqs-age"
    LOG_CORRUPTION = "log-corruption"


class ApiType(StrEnum):
    """Kinds of Amazon API Gateway APIs; each publishes metrics of its own."""

    REST = "REST"
    HTTP = "HTTP"


class DetectionState(StrEnum):
    """What a detector's condition says now."""

    FIRING = "Firing"
    CLEAR = "Clear"
    UNKNOWN = "Unknown"
