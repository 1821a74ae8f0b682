"""What IAM is asked to simulate: whether an identity may do what its policy would allow."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from bokgu.core.iam.identities import Identity
from bokgu.core.iam.permissions import Kind
from bokgu.core.iam.policy import Grant, find_grants

Context = tuple[tuple[str, str], ...]
"""(condition key, value), sorted."""


@dataclass(frozen=True)
class Simulation:
    """Actions that are simulated on each of the resources; `context` is what AWS would fill in at a call."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: Context


def list_simulations(identity: Identity) -> tuple[Simulation, ...]:
    """What an identity must be allowed, in as few questions as there are sets of resources and conditions. Values of a
    condition are alternatives of a policy, and each of them occurs in a call: each is asked about. Roles that are
    handed on are asked about where it is known which they are."""
    together: dict[tuple[tuple[str, ...], Context], list[str]] = defaultdict(list)
    for grant in find_grants(identity):
        resources = _known(grant)
        for context in _fill_in((key, values) for _, key, values in grant.conditions) if resources else ():
            together[resources, context].append(grant.action)
    return tuple(
        Simulation(tuple(sorted(actions)), resources, context) for (resources, context), actions in together.items()
    )


def _known(grant: Grant) -> tuple[str, ...]:
    return tuple(r for r in grant.resources if Kind.PASSED_ROLE not in grant.kinds or not r.endswith(":role/*"))


def _fill_in(conditions: Iterable[tuple[str, tuple[str, ...]]]) -> Iterable[Context]:
    return product(*([(key, value) for value in values] for key, values in conditions))
