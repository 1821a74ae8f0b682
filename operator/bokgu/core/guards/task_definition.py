"""A copy of a task definition: registered only where a rollback needs it."""

from bokgu.api.meta import Gate
from bokgu.api.vocabulary import Action
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate


def check_copy_needed(facts: GuardFacts) -> Gate:
    """A copy of a task definition is for a rollback of the same plan, which ECS would refuse without it."""
    if facts.step.action is not Action.REGISTER:
        return build_gate("CopyNeeded", "CopyNotNeeded", True)
    copied = facts.step.parameters.task_definition if facts.step.parameters else None
    position = next((i for i, s in enumerate(facts.plan.spec.steps) if s.name == facts.step.name), 0)
    later = [s.parameters for s in facts.plan.spec.steps[position + 1 :] if s.action is Action.ROLLBACK]
    known = facts.live.revisions if facts.live else {}
    restored = [known.get(p.service_revision_arn or "") for p in later if p]
    definition, message = facts.live.task_definition if facts.live else None, None
    if not any(revision and revision.task_definition == copied for revision in restored):
        message = f"no later rollback of the plan restores a service revision with {copied}: nothing needs a copy of it"
    elif definition is None or definition.arn != copied:
        message = f"ECS does not describe {copied}: whether it is INACTIVE is not known"
    elif definition.active:
        message = f"{copied} is ACTIVE: ECS deploys it as it is"
    return build_gate("CopyNeeded", "CopyNotNeeded", message is None, value=copied or "", message=message or "")
