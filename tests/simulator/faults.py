"""Faults to order: which calls go wrong, how, and how often."""

import threading
from dataclasses import asdict, dataclass
from typing import Literal

from .aws_json import Json

Effect = Literal["before", "after"]


@dataclass
class Fault:
    """Something that happens to the next `count` calls it fits.

    It fits a call of `operation` (`*`: any), of `service` (botocore's name) if given, whose parameters, as JSON,
    contain `resource` if given. `delay_seconds` are wall seconds, as client time-outs are.

    ========  ======  =====  ====================================================================
    effect    code    delay  what the client sees
    ========  ======  =====  ====================================================================
    before    given   any    the error answer, after the delay; nothing was done
    before    none    > 0    a slow but good answer; done after the delay
    before    none    0      the connection closes without an answer; nothing was done
    after     given   any    done, then the error answer after the delay
    after     none    any    done, then, after the delay, the connection closes without an answer
    ========  ======  =====  ====================================================================
    """

    id: int
    operation: str
    count: int
    service: str | None = None
    resource: str | None = None
    code: str | None = None
    status: int = 400
    message: str = "Injected by the simulator."
    delay_seconds: float = 0.0
    effect: Effect = "before"

    @property
    def only_slows(self) -> bool:
        """Whether the call ends well."""
        return self.effect == "before" and self.code is None and self.delay_seconds > 0

    def fits(self, service: str, operation: str, parameters: str) -> bool:
        """Whether it applies to this call; `parameters` as JSON text."""
        return (
            self.count > 0
            and self.operation in ("*", operation)
            and self.service in (None, service)
            and (self.resource is None or self.resource in parameters)
        )

    def to_json(self) -> Json:
        """As the control API shows it."""
        return asdict(self)


class Faults:
    """The faults in force. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next = 1

    def add(self, order: Json) -> Fault:
        """Put a fault in force, given the members of Fault but `id`; TypeError or ValueError for wrong ones."""
        if order.get("effect", "before") not in ("before", "after"):
            raise ValueError("effect must be before or after")
        with self._lock:
            fault = Fault(id=self._next, **order)
            self._next += 1
            self._faults.append(fault)
            return fault

    def take(self, service: str, operation: str, parameters: str) -> Fault | None:
        """The oldest fault that fits this call, `parameters` as JSON text, used up by one; None: nothing happens."""
        with self._lock:
            fault = next((fault for fault in self._faults if fault.fits(service, operation, parameters)), None)
            if fault is not None:
                fault.count -= 1
            return fault

    def find(self) -> list[Fault]:
        """The faults that can still happen, oldest first."""
        with self._lock:
            return [fault for fault in self._faults if fault.count > 0]

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults.clear()
