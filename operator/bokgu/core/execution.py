"""Execution: the state machine of a recovery plan.

`decide` looks at the plan and the facts and returns the new status and at most one effect. A write to AWS takes two
passes: one stores the intent, the next sends it (S2). An intent that this process did not just store itself is never
sent blindly: its effect is looked for first (S3). The phases and what follows each are in core/transitions.py.
"""

from bokgu.api.fields import parse_duration
from bokgu.api.meta import ConditionStatus, find_condition, is_true, set_condition
from bokgu.api.recovery_plan import RecoveryPlan, RecoveryPlanStatus, StepStatus
from bokgu.api.vocabulary import PlanPhase, Verdict
from bokgu.core.approval.statement import approval_request
from bokgu.core.approval.tally import Tally
from bokgu.core.copies import NEXT, RESTORED, is_restored_plan
from bokgu.core.dry_run import DRY_RUN, describe_rehearsal, is_rehearsal
from bokgu.core.guards.chain import first_blocking
from bokgu.core.guards.people import APPROVED, SUSPENDED, list_holders
from bokgu.core.plan_facts import Claim, Outcome, PlanFacts, without_closed
from bokgu.core.proof import awaits_confirmation
from bokgu.core.start import await_start
from bokgu.core.steps import behind, end_where_it_is, run_steps
from bokgu.core.support import SERVICE_GONE, is_gone
from bokgu.core.transitions import check_moves
from bokgu.core.undo import roll_back


def decide(plan: RecoveryPlan, facts: PlanFacts) -> Outcome:
    """Take the plan one move further. A plan that is over stays as it is.

    Raises ForbiddenTransition where the move is none of the state machine: a defect, and nothing of it is written.
    """
    if plan.status.phase.terminal:
        return Outcome(plan.status)
    status = _take_note(plan, facts)
    if (end := _find_end(plan, status, facts)) is not None:
        ended = end_where_it_is(status, *end, facts)
        check_moves(plan.status, ended)
        return Outcome(_summarise(plan, ended, facts))
    protected = facts.protected_service
    if status.started_at and protected is not None and protected.status.active_plan is None:
        return Outcome(status, Claim(service=True))  # The lock went with the object that it stood on.
    if status.phase is PlanPhase.ROLLING_BACK:
        outcome = roll_back(plan, without_closed(status), facts)
    else:
        outcome = run_steps(plan, status, facts) if status.started_at else await_start(plan, status, facts)
    check_moves(plan.status, outcome.status)
    return Outcome(_summarise(plan, outcome.status, facts), outcome.effect, outcome.requeue_after)


def _find_end(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> tuple[str, str] | None:
    """(reason, message) of what ends the plan wherever it is. A service that was deleted: who does that means it, and
    an undo would bring nothing back (S4)."""
    if is_restored_plan(plan, facts.cluster_id):
        return RESTORED, NEXT[RESTORED]
    gone = is_gone(facts.service, facts.problem) if status.started_at else None
    return None if gone is None else (SERVICE_GONE, gone)


def _take_note(plan: RecoveryPlan, facts: PlanFacts) -> RecoveryPlanStatus:
    """What every pass writes down: digest, approvals, where the service lives, the list of steps."""
    status = plan.status
    target = status.target or (facts.protected_service.spec.target if facts.protected_service else None)
    return status.model_copy(
        update={
            "observed_generation": plan.metadata.generation,
            "uid": plan.metadata.uid,
            "cluster_id": facts.cluster_id,
            "digest": facts.digest,
            "required_approvals": facts.tally.required,
            "approvals": facts.tally.approvals,
            "approval_count": facts.tally.count,
            "target": target,
            "steps": status.steps or tuple(StepStatus(name=step.name) for step in plan.spec.steps),
        }
    )


def _summarise(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> RecoveryPlanStatus:
    """Progress and conditions, derived from the rest."""
    done = sum(behind(s) for s in status.steps)
    closed = tuple(g for g in status.gates if g.name != APPROVED) if not status.phase.terminal else ()
    blocking = first_blocking(closed)
    phase = status.phase
    undone = phase in {PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED}
    verdict = next((s.verdict for s in reversed(status.steps) if s.verdict), None)
    tally = facts.tally
    # What has begun rests on what it began with. Approvals that end in the moment in which their plan does were there.
    stood = status.started_at is not None or (phase is PlanPhase.EXPIRED and is_true(plan.status.conditions, APPROVED))
    approved = tally.approved or (stood and not tally.rejected_by)
    holders = [] if phase.terminal else list_holders(plan, facts.protected_service, facts.policies)
    over = ": ".join(filter(None, (phase, status.reason, NEXT.get(status.reason or ""))))
    rehearsal = is_rehearsal(status)
    rows: tuple[tuple[str, bool | None, str, str], ...] = (
        ("Approved", approved, *_approved_how(plan, tally, approved)),
        (
            "Blocked",
            blocking is not None,
            (blocking.reason or blocking.name) if blocking else "GatesOpen",
            (blocking.message if blocking else None) or "",
        ),
        (
            SUSPENDED,
            bool(holders),
            "Held" if holders else "NotHeld",
            f"held by {', '.join(holders)}" if holders else "",
        ),
        (
            "Executed",
            done == len(status.steps) and not rehearsal,
            DRY_RUN if rehearsal else "AllSteps" if done == len(status.steps) else "StepsLeft",
            f"{done} steps done",
        ),
        (
            "Verified",
            None if verdict in {None, Verdict.INCONCLUSIVE} else verdict is Verdict.PASSED,
            str(verdict or "NotYet"),
            "",
        ),
        ("RolledBack", phase is PlanPhase.ROLLED_BACK, str(phase) if undone else "NotRolledBack", ""),
        (
            "Succeeded",
            phase is PlanPhase.COMPLETED if phase.terminal else None,
            status.reason or str(phase) if phase.terminal else "Running",
            over if phase.terminal else "",
        ),
    )
    conditions = status.conditions
    if facts.dry_run or rehearsal or find_condition(conditions, DRY_RUN):
        rows = (*rows, _dry_run(status, facts))
    for type_, value, reason, message in rows:
        conditions = set_condition(
            conditions, type_, value, reason, message, now=facts.now, generation=plan.metadata.generation
        )
    return status.model_copy(
        update={
            "progress": f"{done}/{len(status.steps)}",
            "conditions": conditions,
            "approval_request": _request(plan, status, tally),
        }
    )


def _dry_run(status: RecoveryPlanStatus, facts: PlanFacts) -> tuple[str, bool, str, str]:
    """Whether nothing will be sent, or what was not."""
    if is_rehearsal(status):
        return DRY_RUN, True, "NotSent", describe_rehearsal(status)
    if facts.dry_run and not status.phase.terminal:
        return DRY_RUN, True, "Asked", f"{facts.dry_run}: nothing more will be sent to AWS, only said"
    return DRY_RUN, False, "NotAsked", ""


def _approved_how(plan: RecoveryPlan, tally: Tally, approved: bool) -> tuple[str, str]:
    """(reason, message) of the condition Approved: once the plan has started, what it started on; once it has expired,
    what it waited with."""
    said = find_condition(plan.status.conditions, "Approved")
    kept = plan.status.started_at is not None or not tally.approved
    if kept and approved and said and said.status is ConditionStatus.TRUE:
        return said.reason, said.message
    return tally.reason, tally.message


def _request(plan: RecoveryPlan, status: RecoveryPlanStatus, tally: Tally) -> str | None:
    """What a person must commit, while the plan waits for one, or a step of it for a confirmation."""
    if (asked := _confirmation_request(plan, status, tally)) is not None:
        return asked
    if status.phase is not PlanPhase.AWAITING_APPROVAL or not tally.missing or status.digest is None:
        return None
    namespace, name = plan.metadata.namespace, plan.metadata.name
    return approval_request(name, namespace, status.digest, tally.missing, plan.spec.expires_at)


def _confirmation_request(plan: RecoveryPlan, status: RecoveryPlanStatus, tally: Tally) -> str | None:
    waiting = next((i for i, s in enumerate(status.steps) if awaits_confirmation(s)), None)
    if waiting is None or status.digest is None or status.phase.terminal or not tally.required:
        return None
    step, namespace, name = plan.spec.steps[waiting], plan.metadata.namespace, plan.metadata.name
    begun = status.steps[waiting].effective_at or status.steps[waiting].started_at
    length = step.validation.timeout if step.validation else step.timeout
    until = (begun or plan.spec.expires_at) + parse_duration(length)
    return approval_request(name, namespace, status.digest, tally.required, until, step=step.name)
