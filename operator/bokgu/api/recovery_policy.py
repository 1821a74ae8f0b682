"""RecoveryPolicy: what a namespace demands of its recoveries. One a namespace, named `default`."""

from typing import Annotated, ClassVar

from pydantic import Field

from bokgu.api.fields import ApiModel, Duration, Label, Line, ObjectName, PersonName, RoleName, Timestamp, Uid, Word
from bokgu.api.meta import Conditions, Resource
from bokgu.api.vocabulary import Action, Proof, RootCause, Severity

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


class RecoveryPolicySpec(ApiModel):
    """Who must approve, and what may start without approvals."""

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
    dry_run: bool = Field(
        default=False,
        description="As spec.dryRun of every ProtectedService of the namespace: plans run, and send nothing to AWS.",
    )


class AutoStart(ApiModel):
    """A plan that started without people."""

    plan: ObjectName = Field(description="Name of the RecoveryPlan.")
    uid: Uid = Field(description="Its uid.")
    at: Timestamp = Field(description="When it started.")


class RecoveryPolicyStatus(ApiModel):
    """What the policy comes to."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    auto_starts: Annotated[tuple[AutoStart, ...], Field(max_length=MOST_STARTS)] = Field(
        default=(),
        description="Plans that started without people, oldest first: those of the last hour and those that still run.",
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
