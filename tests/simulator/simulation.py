"""The simulated world: the engines of every account and region behind one lock, and the thread that lets time pass."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .account_region import AccountRegion
from .accounts import DEFAULT_ACCOUNT, Accounts, Caller
from .aws_json import Json
from .clock import Clock
from .errors import AwsError
from .iam import Iam
from .observability import Observability
from .sts import Sts

GlobalOperation = Callable[[Json, Caller, str], Json]
"""An operation that is told who calls it, and in which region."""
_CLEAN_UP_SECONDS = 60.0


class Simulation:
    """Accounts and regions, each made on its first use. Thread-safe: methods hold the lock for as long as they compute.

    All share one clock, one lock and one thread.
    """

    def __init__(self, *, speed: float = 1.0, seed: int = 1, region: str = "us-east-1") -> None:
        """`speed`: simulated seconds per wall second. `seed`: of ids and jitter. `region`: where none is named."""
        self.clock = Clock(speed)
        self.default_region = region
        self._seed = seed
        self._consistency_delay = 0.0
        self.accounts = Accounts(self.clock, seed)
        self.global_operations: dict[str, dict[str, GlobalOperation]] = {
            "sts": Sts(self.accounts).operations,
            "iam": Iam(self.accounts).operations,
        }
        """Of services that look beyond one account and region; thread-safe on their own."""
        self._wake = threading.Condition(threading.RLock())
        self._places: dict[tuple[str, str], AccountRegion] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="simulation", daemon=True)

    def start(self) -> None:
        """Let time pass."""
        self._thread.start()

    def stop(self) -> None:
        """Stop time, and wait for the thread to end."""
        with self._wake:
            self._stopping = True
            for place in self._places.values():
                place.observability.close()
            self._wake.notify()
        self._thread.join()

    def perform(
        self, service: str, operation: str, parameters: Json, *, caller: Caller | None = None, region: str | None = None
    ) -> Json:
        """The answer of an AWS operation; AwsError when it fails or is not simulated.

        `caller` decides the account, and is a user of the default one when None.
        """
        who = caller or self.accounts.identify(None)
        if (answer := self.global_operations.get(service, {}).get(operation)) is not None:
            return answer(parameters, who, region or self.default_region)
        with self.visit(who.account, region) as place:
            waiting = place.unlocked_operations.get(service, {}).get(operation)
            if waiting is None:
                if (signed := place.signed_operations.get(service, {}).get(operation)) is not None:
                    return signed(parameters, who)
                perform = place.operations.get(service, {}).get(operation)
                if perform is None:
                    raise AwsError("UnknownOperationException", f"The simulator does not know {service} {operation}.")
                return perform(parameters)
        return waiting(parameters)

    def simulates(self, service: str) -> bool:
        """Whether `service`, by botocore's name, is answered here rather than by moto."""
        with self.visit() as place:
            tables = (
                self.global_operations,
                place.operations,
                place.signed_operations,
                place.unlocked_operations,
            )
            return any(service in known for known in tables)

    @contextmanager
    def visit(self, account: str | None = None, region: str | None = None) -> Iterator[AccountRegion]:
        """The engines of an account and region, locked; what falls due by then is done right after."""
        key = (account or DEFAULT_ACCOUNT, region or self.default_region)
        with self._wake:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = AccountRegion(*key, self._seed, self.clock)
                place.observability.find_elsewhere = self._find_observability
                place.set_consistency_delay(self._consistency_delay)
            try:
                yield place
            finally:
                self._wake.notify()

    def _find_observability(self, account: str, region: str) -> Observability | None:
        place = self._places.get((account, region))
        return None if place is None else place.observability

    def set_consistency_delay(self, simulated_seconds: float) -> None:
        """From now on reads of ECS services everywhere show the state this long ago; 0: no delay."""
        if simulated_seconds < 0:
            raise ValueError("the consistency delay cannot be negative")
        with self._wake:
            self._consistency_delay = simulated_seconds
            for place in self._places.values():
                place.set_consistency_delay(simulated_seconds)

    # Time

    def _run(self) -> None:
        period = self.clock.metric_period
        publish_at = (math.floor(self.clock.now() / period) + 1) * period
        clean_up_at = self.clock.now() + _CLEAN_UP_SECONDS
        with self._wake:
            while not self._stopping:
                now = self.clock.now()
                places = list(self._places.values())
                for place in places:
                    place.run_due(now)
                if now >= publish_at:
                    # A late publication skips periods instead of inventing points for a past it did not see.
                    ended = math.floor(now / period) * period
                    for place in places:
                        place.publish(ended - period)
                    publish_at = ended + period
                if now >= clean_up_at:
                    for place in places:
                        place.clean_up(now)
                    clean_up_at = now + _CLEAN_UP_SECONDS
                due = min(publish_at, clean_up_at, *(place.next_due() for place in places))
                self._wake.wait(max(0.0, due - self.clock.now()))
