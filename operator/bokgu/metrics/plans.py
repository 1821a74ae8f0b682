"""Plans and their steps: what began, what held them, and what came of them."""

from prometheus_client import Counter

from bokgu.api.vocabulary import PlanPhase
from bokgu.metrics.registry import REGISTRY

PLANS_CREATED = Counter("bokgu_plans_created", "Recovery plans created.", ["root_cause"], registry=REGISTRY)
AUTO_APPROVALS = Counter(
    "bokgu_auto_approvals", "Plans that a RecoveryPolicy let start without people.", registry=REGISTRY
)
EMERGENCY_OVERRIDES = Counter(
    "bokgu_emergency_overrides",
    "Plans that an emergency role approved alone, or let through closed change windows.",
    registry=REGISTRY,
)
PLANS_BLOCKED = Counter(
    "bokgu_plans_blocked",
    "How often a gate began to hold a plan, by the gate; of several that close each counts.",
    ["gate"],
    registry=REGISTRY,
)
PLANS_FINISHED = Counter(
    "bokgu_plans_finished", "Recovery plans that ended, by their last phase.", ["phase"], registry=REGISTRY
)
STEPS_FINISHED = Counter(
    "bokgu_steps_finished",
    "Steps that ended, undo of a step counted apart.",
    ["action", "kind", "phase"],
    registry=REGISTRY,
)

# A series that begins at 1 is no increase to Prometheus: the first failure after a start would go unseen.
for _phase in PlanPhase:
    if _phase.terminal:
        PLANS_FINISHED.labels(_phase)
