"""Which AWS calls of the journal the operator made, and which of them changed something."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.scenarios.placed_service import PlacedService
from tests.simulator.control import RecordedCall

OPERATOR_KEY = "operator"
OPERATOR_SESSIONS = "bokgu-"
"""How sessions are named that the operator assumes roles in."""

READS = (
    "Describe",
    "List",
    "Get",
    "Filter",
    "Lookup",
    "Receive",
    "AssumeRole",
    "DeleteMessage",
    "ChangeMessageVisibility",
)
"""Operations, by their beginnings, that change nothing that anybody else would miss."""


@dataclass(frozen=True)
class OperatorCall:
    """A call of the operator; `parameters` are JSON text."""

    sequence: int
    time: float
    account: str
    service: str
    operation: str
    parameters: str
    result: str
    effect: bool

    @property
    def writes(self) -> bool:
        """Whether it is made to change something."""
        return not self.operation.startswith(READS)

    @property
    def wrote(self) -> bool:
        """Whether it did."""
        return self.writes and self.effect


def read_call(call: RecordedCall) -> OperatorCall | None:
    """The call, if the operator made it."""
    assumed = (call.role_session_name or "").startswith(OPERATOR_SESSIONS)
    if call.access_key_id != OPERATOR_KEY and not assumed:
        return None
    return OperatorCall(
        sequence=call.sequence,
        time=call.time,
        account=call.account,
        service=call.service,
        operation=call.operation,
        parameters=json.dumps(call.parameters),
        result=call.result,
        effect=call.effect,
    )


def find_owner(call: OperatorCall, services: Iterable[PlacedService]) -> PlacedService | None:
    """The service that a write is about. StopTask names a task only: then the cluster must be the service's own."""
    mine = [s for s in services if s.account == call.account]
    named = next((s for s in mine if s.concerns(call.parameters)), None)
    return named or next((s for s in mine if s.owns_cluster and s.names_cluster(call.parameters)), None)


def count_writes(calls: Iterable[OperatorCall], services: Iterable[PlacedService]) -> Counter[tuple[str, str]]:
    """The writes with an effect on these services, by name in the scenario and operation."""
    listed = list(services)
    owned = ((find_owner(call, listed), call.operation) for call in calls if call.wrote)
    return Counter((owner.role, operation) for owner, operation in owned if owner is not None)
