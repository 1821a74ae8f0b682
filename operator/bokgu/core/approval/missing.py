"""Which roles of a plan nobody has filled yet, read from its status: for those who look at it from outside."""

from bokgu.api.plan_approval import PlanApproval
from bokgu.api.recovery_plan import ApprovalStatus, RecoveryPlan
from bokgu.core.approval.judgement import Judgement
from bokgu.core.approval.requirement import Requirement
from bokgu.core.approval.tally import tally_approvals


def find_missing(plan: RecoveryPlan) -> tuple[str, ...]:
    """The roles that nobody has filled yet, one entry for every person, counted as the operator counts."""
    judgements = [_judgement(plan, entry) for entry in plan.status.approvals]
    return tally_approvals(Requirement(plan.status.required_approvals), judgements).missing


def _judgement(plan: RecoveryPlan, entry: ApprovalStatus) -> Judgement:
    """The operator's verdict on an approval, as the plan's status tells it."""
    approval = PlanApproval.model_validate(
        {
            "metadata": {"name": entry.ref, "uid": entry.uid, "creationTimestamp": entry.at},
            "spec": {
                "planRef": {"name": plan.metadata.name},
                "planDigest": plan.status.digest,
                "role": entry.role,
                "decision": entry.decision,
                "step": entry.step,
                "approver": entry.approver,
                "validUntil": entry.at,
            },
        }
    )
    return Judgement(approval, entry.reason, "", entry.verified_by)
