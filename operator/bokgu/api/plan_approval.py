"""PlanApproval: one person's yes or no, as one role, to one plan digest."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bokgu.api.fields import (
    ApiModel,
    Digest,
    Label,
    Line,
    PersonName,
    RoleName,
    StatusModel,
    Timestamp,
    Word,
)
from bokgu.api.meta import Conditions, NameReference, Resource
from bokgu.api.vocabulary import Decision, Proof


class PlanApprovalSpec(ApiModel):
    """What is said. Immutable: say something else in another object."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {"rule": "self == oldSelf", "message": "a PlanApproval is immutable: create another one"},
        {
            "rule": "!(has(self.signature) && has(self.carriedBy))",
            "message": "spec: a signed approval needs nobody to carry it: leave out carriedBy",
        },
        {
            "rule": "!has(self.carriedBy) || !has(self.approverGroups) || size(self.approverGroups) == 0",
            "message": "spec: nobody checks the groups of an approver who does not apply the object: leave out"
            " approverGroups",
        },
    )

    plan_ref: NameReference = Field(description="The plan.")
    plan_digest: Digest = Field(description="status.digest of the plan. Another plan of the same name has another one.")
    role: RoleName = Field(description="The role that the approver speaks for.")
    decision: Decision = Field(
        description="Approve, or Reject: before the start it ends the plan, after the start it stops and undoes it."
    )
    step: Label | None = Field(
        default=None,
        description="The step that an Approve confirms, while it waits for a person; then it approves nothing else. A"
        " Reject stops the plan whatever step it names.",
    )
    approver: PersonName = Field(
        description="Who speaks: the signer's principal, or the user name at the API server for an unsigned approval."
    )
    approver_groups: Annotated[tuple[Word, ...], Field(max_length=64)] = Field(
        default=(), description="Groups of the approver that give the right; only for unsigned approvals."
    )
    valid_until: Timestamp = Field(description="After this moment the approval counts for nothing new.")
    reason: Line | None = Field(default=None, description="Why. An approval as the emergency role must say it.")
    signature: Annotated[str, StringConstraints(max_length=8192)] | None = Field(
        default=None,
        description="An SSH signature (`ssh-keygen -Y sign -n bokgu.dev/approval`) over the statement that digest,"
        " role, decision, step and validUntil make. It holds whoever applies the object.",
    )
    carried_by: PersonName | None = Field(
        default=None,
        description="The account that applies the object for the approver, such as"
        " system:serviceaccount:flux-system:kustomize-controller. It counts only where the operator's configuration"
        " (BOKGU_DELEGATES) names that account: then the review in Git is all that vouches for the approver.",
    )


class PlanApprovalStatus(StatusModel):
    """Whether it counts."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last looked at.")
    proof: Proof | None = Field(
        default=None,
        description="What vouches for the approver; absent: it does not count.",
    )
    admission_policy: Annotated[str, StringConstraints(max_length=253)] | None = Field(
        default=None, description="uids and generations of the admission policy and its binding that let it in."
    )
    conditions: Conditions = ()


class PlanApproval(Resource):
    """One person's approval or rejection of one recovery plan, usually committed to Git."""

    kind_name = "PlanApproval"
    plural = "planapprovals"
    short_names = ("pa",)
    printer_columns = (
        {"name": "Plan", "type": "string", "jsonPath": ".spec.planRef.name"},
        {"name": "Role", "type": "string", "jsonPath": ".spec.role"},
        {"name": "Decision", "type": "string", "jsonPath": ".spec.decision"},
        {"name": "Approver", "type": "string", "jsonPath": ".spec.approver"},
        {"name": "Step", "type": "string", "jsonPath": ".spec.step", "priority": 1},
        {"name": "Accepted", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Accepted')].status"},
        {"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Accepted')].reason"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    )
    selectable_fields = ("spec.planRef.name",)
    rules = (
        {
            "rule": "self.metadata.name.contains(self.spec.planDigest.substring(7, 19))",
            "message": "metadata.name must contain the first 12 digits of spec.planDigest, so that an approval of"
            " another plan never reuses the name of an immutable object",
        },
    )

    spec: PlanApprovalSpec
    status: PlanApprovalStatus = Field(default_factory=PlanApprovalStatus)
