"""The journal of AWS calls: what was asked, by whom, and what became of it."""

import json
import threading
from collections import deque
from dataclasses import asdict, dataclass

from .accounts import Caller
from .aws_protocol import Json

MAX_CALLS = 100_000
MAX_PARAMETERS_LENGTH = 64 * 1024 * 1024
"""Characters of parameters kept over all calls: a GetMetricData call of 500 queries has 100,000."""


@dataclass
class Call:
    """One AWS call. `time` is wall seconds since the epoch; `parameters` is JSON text.

    `account` and `role_session_name` follow from the key that signed it, `region` from the signature.
    `result` is `OK`, the code of the error answered, or `NoAnswer` when the connection was closed instead.
    `effect` says whether the operation was carried out; `fault` is the id of the fault that hit it, if any.
    """

    sequence: int
    time: float
    account: str
    region: str
    service: str
    operation: str
    parameters: str
    access_key_id: str | None
    role_session_name: str | None
    result: str = "OK"
    effect: bool = False
    fault: int | None = None

    def to_json(self) -> Json:
        """As the control API shows it."""
        return {**asdict(self), "parameters": json.loads(self.parameters)}


class Journal:
    """Thread-safe; keeps the newest calls, within MAX_CALLS and MAX_PARAMETERS_LENGTH."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque()
        self._parameters_length = 0
        self._next = 1

    def open(
        self,
        time: float,
        caller: Caller,
        *,
        region: str,
        service: str,
        operation: str,
        parameters: Json,
        access_key_id: str | None,
    ) -> Call:
        """Enter a call as it arrives; the caller completes it."""
        text = json.dumps(parameters)
        with self._lock:
            call = Call(
                sequence=self._next,
                time=time,
                account=caller.account,
                region=region,
                service=service,
                operation=operation,
                parameters=text,
                access_key_id=access_key_id,
                role_session_name=caller.role_session_name,
            )
            self._next += 1
            self._calls.append(call)
            self._parameters_length += len(text)
            while len(self._calls) > MAX_CALLS or self._parameters_length > MAX_PARAMETERS_LENGTH:
                self._parameters_length -= len(self._calls.popleft().parameters)
            return call

    def find(
        self,
        *,
        operation: str | None = None,
        service: str | None = None,
        account: str | None = None,
        region: str | None = None,
        since: int = 0,
    ) -> list[Call]:
        """Calls with a sequence number above `since`, oldest first, narrowed by what is given."""
        with self._lock:
            return [
                call
                for call in self._calls
                if call.sequence > since
                and operation in (None, call.operation)
                and service in (None, call.service)
                and account in (None, call.account)
                and region in (None, call.region)
            ]
