"""RecoveryPolicy: what a namespace demands of its recoveries. One a namespace, named `default`."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bokgu.api.fields import (
    ApiModel,
    Duration,
    Label,
    Line,
    ObjectName,
    PersonName,
    RoleName,
    StatusModel,
    Timestamp,
    Uid,
    Word,
)
from bokgu.api.meta import Conditions, OpenBreaker, Resource
from bokgu.api.outbox import Outbox
from bokgu.api.vocabulary import Action, AlertKind, Language, Proof, RootCause, Severity, WindowKind

POLICY_NAME = "default"
"""Name of a namespace's only RecoveryPolicy: two of them could contradict each other."""

MOST_STARTS = 64
"""Entries of `status.autoStarts`: an hour's budget, and a few that run longer."""


class RoleDemand(ApiModel):
    """How many people must approve as a role, and who."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "!has(self.identities) || size(self.identities) == 0 || size(self.identities) >= self.people",
            "message": "identities: fewer names than people are asked for",
        },
    )

    name: RoleName = Field(description="The role, such as service_owner or one of your own.")
    people: int = Field(default=1, ge=1, le=8, description="How many different people.")
    identities: Annotated[
        tuple[PersonName, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = Field(
        default=(),
        description="The only people whose approvals count for the role; default: everybody who holds it.",
    )


class ApprovalRule(ApiModel):
    """What the approvals of some plans must be. Rules add to the built-in minimum and to each other, they never lower
    it."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "(!has(self.severities) || size(self.severities) > 0)"
            " && (!has(self.actions) || size(self.actions) > 0)"
            " && (!has(self.environments) || size(self.environments) > 0)",
            "message": "an empty selector selects nothing: leave it out to mean all",
        },
        {
            "rule": "(has(self.roles) && size(self.roles) > 0) || (has(self.proofs) && size(self.proofs) > 0)"
            " || has(self.expiresAfter)",
            "message": "a rule demands something: give roles, proofs or expiresAfter",
        },
        {
            "rule": "!has(self.proofs) || self.proofs.all(p, p != 'Auto')",
            "message": "proofs: Signed, Cluster or Delegated; spec.auto is what lets plans run without people",
        },
        {
            "rule": "!has(self.expiresAfter) || duration(self.expiresAfter) > duration('0s')",
            "message": "expiresAfter must be longer than 0s",
        },
    )

    name: Label = Field(description="Name of the rule, which status and messages show.")
    severities: Annotated[tuple[Severity, ...], Field(max_length=4)] = Field(
        default=(),
        description="Plans whose worst of severity and classified impact is one of these; default: all.",
    )
    actions: Annotated[tuple[Action, ...], Field(max_length=16)] = Field(
        default=(), description="Plans with a step of one of these actions; default: all."
    )
    environments: Annotated[tuple[Word, ...], Field(max_length=16)] = Field(
        default=(), description="Plans for ProtectedServices of these environments; default: all."
    )
    roles: Annotated[
        tuple[RoleDemand, ...],
        Field(
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default=(), description="Roles that must approve, besides the built-in minimum and the plan's own.")
    proofs: Annotated[tuple[Proof, ...], Field(max_length=3)] = Field(
        default=(), description="What must vouch for an approver: Signed, Cluster or Delegated; default: any of them."
    )
    expires_after: Duration | None = Field(
        default=None,
        description="Approvals count at most this long after the plan was made, whatever their validUntil says.",
    )


class AutoApproval(ApiModel):
    """An action that may run without people, against one root cause on one service."""

    service: ObjectName = Field(description="Name of the ProtectedService, whose mode must be Auto.")
    action: Action = Field(description="The action.")
    root_cause: RootCause = Field(description="The root cause that the operator diagnosed.")


class Allowance(ApiModel):
    """How much may be recovered at a time."""

    max_concurrent: int = Field(default=1, ge=0, le=1000, description="How many recoveries may run at a time.")
    max_unavailable_percent: int = Field(
        default=10,
        ge=0,
        le=100,
        description="While a recovery runs, no other begins that would make more than this percentage of the"
        " ProtectedServices, rounded up, unavailable: those that lack half of their tasks or more or of which nothing"
        " is known, those that are being recovered, and that one.",
    )


class EnvironmentAllowance(Allowance):
    """The same for the ProtectedServices of one environment, besides that of the namespace."""

    environment: Word = Field(description="spec.environment of the ProtectedServices.")


class Budget(Allowance):
    """How much may be recovered at a time in the namespace, and in each environment of it."""

    environments: Annotated[
        tuple[EnvironmentAllowance, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["environment"]},
        ),
    ] = Field(default=(), description="What holds for single environments besides.")


class StormLimit(ApiModel):
    """When so many incidents are new at once that something bigger is wrong."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "(!has(self.window) || duration(self.window) > duration('0s'))",
            "message": "storm.window must be longer than 0s",
        },
    )

    threshold: int = Field(
        default=5, ge=2, le=10000, description="So many new incidents are a storm: nothing new is planned or begun."
    )
    window: Duration = Field(default="10m", description="How long an incident is new.")
    cooldown: Duration = Field(
        default="10m", description="It is over when at most half as many have been new for so long."
    )


class BreakerLimit(ApiModel):
    """After how many failures nothing new is tried until a person says so."""

    failures: int = Field(default=2, ge=1, le=32, description="Recoveries of one service that failed.")
    namespace_failures: int = Field(default=5, ge=1, le=32, description="Recoveries of the namespace that failed.")
    within: Duration = Field(default="24h", description="How far apart the first and the last of them are at most.")


class ChangeWindow(ApiModel):
    """A time that comes again and again, in which work may start, or may not."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "duration(self.duration) > duration('0s') && duration(self.duration) <= duration('168h')",
            "message": "duration: longer than 0s, at most 168h",
        },
        {
            "rule": r"self.schedule.matches('^\\S+( +\\S+){4}$')",
            "message": "schedule: the five fields of cron (minute, hour, day of month, month, day of week),"
            " such as '0 8 * * 1-5'",
        },
    )

    name: Label = Field(description="Name of the window, which status and messages show.")
    kind: WindowKind = Field(
        description="Allow: with one or more of these, work starts only inside one of them."
        " Deny: no work starts inside it, whatever else allows it."
    )
    schedule: Annotated[str, StringConstraints(min_length=9, max_length=100)] = Field(
        description="When the window opens, as cron writes it: minute, hour, day of month, month, day of week,"
        " such as '0 8 * * 1-5'."
    )
    duration: Duration = Field(
        description="How long it then stays open, at most 168h. It is counted in real time: a change of the clock makes"
        " it neither longer nor shorter."
    )
    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        default="UTC", description="Time zone of the schedule, a name of the IANA database such as Europe/Berlin."
    )


class AlertRoute(ApiModel):
    """Who is told of what. Every route that matches an alert adds its receivers."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "(!has(self.severities) || size(self.severities) > 0)"
            " && (!has(self.environments) || size(self.environments) > 0)"
            " && (!has(self.services) || size(self.services) > 0)"
            " && (!has(self.kinds) || size(self.kinds) > 0)",
            "message": "an empty selector selects nothing: leave it out to mean all",
        },
    )

    name: Label = Field(description="Name of the route.")
    severities: Annotated[tuple[Severity, ...], Field(max_length=4)] = Field(
        default=(),
        description="Incidents whose worst of severity and classified impact is one of these; default: all. A storm"
        " and the breaker of a namespace are of every severity, environment and service.",
    )
    environments: Annotated[tuple[Word, ...], Field(max_length=16)] = Field(
        default=(), description="Incidents of ProtectedServices of these environments; default: all."
    )
    services: Annotated[tuple[ObjectName, ...], Field(max_length=64)] = Field(
        default=(), description="Incidents of these ProtectedServices; default: all."
    )
    kinds: Annotated[tuple[AlertKind, ...], Field(max_length=16)] = Field(
        default=(), description="Kinds of alerts, such as ApprovalNeeded or Escalated; default: all."
    )
    receivers: Annotated[
        tuple[Label, ...],
        Field(min_length=1, max_length=4, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(
        description="Who is told: names of receivers, each a key of the Secret bokgu-alerts in the operator's"
        " namespace, whose value is an Apprise URL or the ARN of an SNS topic."
    )
    language: Language | None = Field(
        default=None,
        description="Language of the texts, en or ko; default: that of the operator (BOKGU_LANGUAGE). A receiver that"
        " several routes name gets one text, in the language of the first of them.",
    )


class RecoveryPolicySpec(ApiModel):
    """Who must approve, what may start without approvals, how much is done at a time, when nothing starts, and who is
    told."""

    approvals: Annotated[
        tuple[ApprovalRule, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(default=(), description="Rules for approvals. All that match a plan apply, besides the built-in minimum.")
    auto: Annotated[tuple[AutoApproval, ...], Field(max_length=64)] = Field(
        default=(),
        description="What runs without people. It counts only where the operator's configuration"
        " (BOKGU_AUTO_NAMESPACES) names the namespace.",
    )
    max_auto_per_hour: int = Field(
        default=1, ge=0, le=60, description="How many plans may start without people in any hour."
    )
    budget: Budget = Field(default=Budget(), description="How much may be recovered at a time.")
    storm: StormLimit = Field(default=StormLimit(), description="When so much is wrong that people must look first.")
    breaker: BreakerLimit = Field(
        default=BreakerLimit(), description="After how many failures nothing new is tried until a person says so."
    )
    reset_breaker_at: Timestamp | None = Field(
        default=None,
        description="Recoveries of the namespace that failed until then are no reason any more to try no others.",
    )
    windows: Annotated[
        tuple[ChangeWindow, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(
        default=(),
        description="Change windows: when steps that change something may start. None: at any time. A Deny window wins"
        " over all others, and one that cannot be read blocks. No window holds an undo.",
    )
    alerts: Annotated[
        tuple[AlertRoute, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = Field(
        default=(),
        description="Who is told of what. None: incidents that are high or critical, storms and breakers are told to"
        " the receiver named default, where the Secret has one.",
    )
    pause: bool = Field(
        default=False,
        description="Nothing new starts in the namespace: no plan is made and no step begins; what is under way ends."
        " The policy of the operator's own namespace pauses all namespaces.",
    )
    dry_run: bool = Field(
        default=False,
        description="As spec.dryRun of every ProtectedService of the namespace: plans run, and send nothing to AWS.",
    )


class AutoStart(StatusModel):
    """A plan that started without people."""

    plan: ObjectName = Field(description="Name of the RecoveryPlan.")
    uid: Uid = Field(description="Its uid.")
    at: Timestamp = Field(description="When it started.")


class RecoveryPolicyStatus(StatusModel):
    """What the policy comes to."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    auto_starts: Annotated[tuple[AutoStart, ...], Field(max_length=MOST_STARTS)] = Field(
        default=(),
        description="Plans that started without people, oldest first: those of the last hour and those that still run.",
    )
    budget_left: int | None = Field(
        default=None,
        ge=0,
        description="How many more recoveries may begin now, by spec.budget.maxConcurrent; 0 in a pause or a storm,"
        " outside of change windows, and while the breaker is open.",
    )
    storm_since: Timestamp | None = Field(
        default=None, description="Since when there is a storm; absent: there is none."
    )
    breaker: OpenBreaker | None = Field(
        default=None,
        description="Set while too many recoveries of the namespace have failed: none begins until"
        " spec.resetBreakerAt is later.",
    )
    breaker_reset_at: Timestamp | None = Field(
        default=None, description="The last reset; what was reset once stays so, also where the spec names it no more."
    )
    outbox: Outbox | None = Field(
        default=None, description="Alerts about storms and the namespace's breaker; absent: nobody is to be told."
    )
    summary: Line | None = Field(default=None, description="What it says, in a few words.")
    conditions: Conditions = ()


class RecoveryPolicy(Resource):
    """What a namespace demands of its recoveries: who must approve, and what needs nobody. Its name is `default`."""

    kind_name = "RecoveryPolicy"
    plural = "recoverypolicies"
    short_names = ("rpol",)
    printer_columns = (
        {"name": "Summary", "type": "string", "jsonPath": ".status.summary"},
        {"name": "Paused", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Paused')].status"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )
    rules = (
        {
            "rule": f"self.metadata.name == '{POLICY_NAME}'",
            "message": f"a namespace has one RecoveryPolicy: name it {POLICY_NAME}",
        },
    )

    spec: RecoveryPolicySpec
    status: RecoveryPolicyStatus = Field(default_factory=RecoveryPolicyStatus)
