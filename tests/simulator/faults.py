"""Faults to order: which calls go wrong, how, how often or for how long."""

import threading
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from .aws_protocol import Json
from .clock import Clock

Effect = Literal["before", "after"]
Kind = Literal[
    "throttling",
    "server-error",
    "access-denied",
    "expired-token",
    "timeout",
    "connection-reset",
    "slow",
    "lost-answer",
]


@dataclass(frozen=True)
class Attempt:
    """What a fault looks at in a call. `service` is botocore's name, `parameters` are JSON text."""

    service: str
    operation: str
    parameters: str
    account: str
    region: str


@dataclass
class Fault:
    """Something that happens to the calls it fits: the next `count`, or all until `until`, or both bounds at once.

    It fits a call of `operation` (`*`: any), of `service`, `account` and `region` if given, whose parameters, as JSON,
    contain `resource` if given. `until` is in wall seconds since the epoch; `delay_seconds` are wall seconds, as client
    time-outs are.

    ================  ==============================================================================================
    kind              what the client sees
    ================  ==============================================================================================
    throttling        the service's throttling error, "Rate exceeded"; nothing was done
    server-error      the service's own HTTP 500; nothing was done
    access-denied     the service's error for a missing permission; nothing was done
    expired-token     the service's error for a session that is over; nothing was done
    timeout           nothing, until it gives up (at most two minutes); nothing was done
    connection-reset  the connection is reset; nothing was done
    slow              a good answer, after `delay_seconds`; done after the delay
    lost-answer       done; then, after the delay, the connection closes without an answer
    ================  ==============================================================================================

    Without a kind, `code` (with `status` and `message`), `delay_seconds` and `effect` say it:

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
    count: int | None = None
    until: float | None = None
    service: str | None = None
    account: str | None = None
    region: str | None = None
    resource: str | None = None
    kind: Kind | None = None
    code: str | None = None
    status: int = 400
    message: str = "Injected by the simulator."
    delay_seconds: float = 0.0
    effect: Effect = "before"

    @property
    def only_slows(self) -> bool:
        """Whether the call ends well."""
        quiet = self.kind is None and self.effect == "before" and self.code is None and self.delay_seconds > 0
        return quiet or self.kind == "slow"

    @property
    def comes_after(self) -> bool:
        """Whether the call is carried out before it goes wrong."""
        return self.kind == "lost-answer" or (self.kind is None and self.effect == "after")

    def is_over(self, now: float) -> bool:
        """Whether it can happen no more."""
        return self.count == 0 or (self.until is not None and now >= self.until)

    def fits(self, attempt: Attempt) -> bool:
        """Whether it applies to this call."""
        return (
            self.operation in ("*", attempt.operation)
            and self.service in (None, attempt.service)
            and self.account in (None, attempt.account)
            and self.region in (None, attempt.region)
            and (self.resource is None or self.resource in attempt.parameters)
        )

    def to_json(self) -> Json:
        """As the control API shows it."""
        return asdict(self)


class Faults:
    """The faults in force. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._next = 1

    def add(self, order: Json) -> Fault:
        """Put a fault in force, given members of Fault, and `seconds`: for how long, in simulated seconds.

        Without `count` and `seconds` it hits one call. TypeError or ValueError for wrong members.
        """
        members = dict(order)
        seconds, count = members.pop("seconds", None), members.get("count")
        if members.get("effect", "before") not in get_args(Effect):
            raise ValueError(f"effect must be one of {', '.join(get_args(Effect))}")
        if members.get("kind") not in (None, *get_args(Kind)):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}")
        if count is not None and count < 1:
            raise ValueError("count must be above 0")
        if seconds is not None:
            if seconds <= 0:
                raise ValueError("seconds must be above 0")
            members["until"] = self._clock.now() + self._clock.wall(seconds)
        elif count is None:
            members["count"] = 1
        with self._lock:
            fault = Fault(id=self._next, **members)
            self._next += 1
            self._faults.append(fault)
            return fault

    def take(self, attempt: Attempt) -> Fault | None:
        """The oldest fault that fits this call, used up by one; None: nothing happens."""
        with self._lock:
            now = self._clock.now()
            self._faults = [fault for fault in self._faults if not fault.is_over(now)]
            fault = next((fault for fault in self._faults if fault.fits(attempt)), None)
            if fault is not None and fault.count is not None:
                fault.count -= 1
            return fault

    def find(self) -> list[Fault]:
        """The faults that can still happen, oldest first."""
        with self._lock:
            now = self._clock.now()
            return [fault for fault in self._faults if not fault.is_over(now)]

    def clear(self) -> None:
        """End all faults."""
        with self._lock:
            self._faults.clear()

    def remove(self, id_: int) -> None:
        """End one fault; LookupError when it is not in force."""
        with self._lock:
            kept = [fault for fault in self._faults if fault.id != id_]
            if len(kept) == len(self._faults):
                raise LookupError(f"no fault {id_}")
            self._faults = kept
