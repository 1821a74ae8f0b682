"""By when each phase of a step, or of an undo, ends: after a deadline nothing is waited for any more.

Deadlines are moments that follow from the status, so that a restart loses none. core/transitions.py says the same in
words.
"""

from datetime import datetime, timedelta

from bokgu.api.fields import parse_duration
from bokgu.api.recovery_plan import Intent, OperationStatus, RecoveryPlanStatus, Step, Validation
from bokgu.api.vocabulary import OperationPhase
from bokgu.core.plan_facts import PlanFacts


def begins_by(step: Step, status: RecoveryPlanStatus, index: int) -> datetime:
    """Until when a step may wait to begin: its timeout after it, or the step before it, let it wait."""
    operation = status.steps[index]
    earlier = (status.started_at, *(s.finished_at for s in status.steps[:index]))
    return (operation.started_at or max(t for t in earlier if t)) + parse_duration(step.timeout)


def effect_by(operation: OperationStatus, timeout: timedelta, grace: timedelta, now: datetime) -> datetime:
    """Until when AWS must have done what was asked, completely; an effect that was complete and fell back, within
    `grace` more."""
    end = (operation.started_at or now) + timeout
    return end + grace if operation.phase is OperationPhase.VERIFYING else end


def settled_by(intent: Intent, facts: PlanFacts) -> datetime:
    """Until when the effect of an intent without an answer may still show (S3): a process that did not store it counts
    from when it first saw it, and gives the one that did the time to send it (S5)."""
    return max(intent.written_at, facts.known_since) + max(facts.timing.consistency_delay, facts.timing.hand_over)


def verified_by(step: Step, operation: OperationStatus, facts: PlanFacts, *, thin: bool) -> datetime:
    """Until when a step must be verified: within the timeout of its validation from when its effect was complete, and
    never later than if that had been at the last moment. `thin`: there is too little traffic to tell, and an hour is
    waited for more of it."""
    wait = _wait(step.validation, facts, thin=thin) if step.validation else timedelta()
    begun = operation.started_at or facts.now
    return min((operation.effective_at or facts.now) + wait, begun + parse_duration(step.timeout) + wait)


def validation_timeout(step: Step, facts: PlanFacts) -> timedelta:
    """How long the validation of a step may take: zero where it has none, and longer while traffic is too thin."""
    if step.validation is None:
        return timedelta()
    return _wait(step.validation, facts, thin=facts.measurement is not None and facts.measurement.thin)


def _wait(validation: Validation, facts: PlanFacts, *, thin: bool) -> timedelta:
    usual = parse_duration(validation.timeout)
    return max(usual, facts.timing.hour) if thin else usual
