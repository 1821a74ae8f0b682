"""Takes the Lease of the shard, renews it, and says when it is lost. What is decided is in core/lease.py."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bokgu.config import Settings
from bokgu.core.lease import Action, Lease, LeaseTiming, Own, Seen, build_spec, decide, read_lease, see
from bokgu.kube.client import KubeClient, KubeError, Raw
from bokgu.metrics.leadership import LEASE_TRANSITIONS

log = structlog.get_logger()


class LeaseLost(Exception):
    """Others may lead now, or do; the text says why."""


class Leadership:
    """One process's part in the election for a Lease. All times are monotonic."""

    def __init__(self, kube: KubeClient, settings: Settings, name: str) -> None:
        """`name` is that of the Lease, in the operator's namespace."""
        self._kube, self._me = kube, settings.holder
        self._namespace, self._name = settings.namespace, name
        self._timing = LeaseTiming(
            duration=settings.lease_duration.total_seconds(),
            renew_deadline=settings.lease_renew_deadline.total_seconds(),
            retry=settings.lease_retry.total_seconds(),
        )
        self._own, self._seen, self._body = Own(), Seen(None, time.monotonic()), dict[str, object]()
        self._last_holder = ""
        self._transitions = LEASE_TRANSITIONS.labels(settings.shard)
        self._problem: KubeError | None = None

    @property
    def leads(self) -> bool:
        """Whether this process has the lease; `send_by` says how long that is good for."""
        return self._own.renewed is not None

    @property
    def leader(self) -> str:
        """Who holds the lease as it was last seen; "" where nobody does."""
        return self._seen.lease.holder if self._seen.lease else ""

    @property
    def transitions(self) -> int | None:
        """How often the lease has changed hands, as its `leaseTransitions` says."""
        return self._seen.lease.transitions if self._seen.lease else None

    @property
    def problem(self) -> str | None:
        """Why this process cannot take part in the election at all; None where the API server is only away."""
        if self._problem is None or self._problem.away or self._problem.conflict or self._problem.exists:
            return None
        return f"Lease {self._namespace}/{self._name}: {self._problem}"

    def send_by(self) -> float:
        """Until when this process may send something to AWS (S5)."""
        return self._own.send_by(self._timing)

    async def acquire(self) -> None:
        """Stand by until this process has the lease."""
        told = None
        while True:
            looked = await self._look(self._timing.renew_deadline / 2)
            decision = decide(self._me, self._seen, self._own, self._timing, time.monotonic())
            if looked and decision.action is Action.ACQUIRE and await self._store(self._timing.renew_deadline / 2):
                return
            if looked and self.leader != told:
                told = self.leader
                log.info("stands by", lease=self._name, leader=told or None)
            await asyncio.sleep(decision.wait if looked and decision.wait else self._timing.retry)

    async def keep(self) -> None:
        """Renew the lease for ever. Raises LeaseLost."""
        while True:
            now = time.monotonic()
            decision = decide(self._me, self._seen, self._own, self._timing, now)
            if decision.action is Action.LOST or self._own.renewed is None:
                raise LeaseLost(self._describe_loss(now))
            if decision.action is Action.RENEW:
                over = self._own.renewed + self._timing.renew_deadline
                if not await self._store(min(over - now, self._timing.renew_deadline / 2)):
                    left = over - time.monotonic()
                    if left > 0:  # Else it is lost, and nothing is awaited before that is said.
                        await self._look(min(left, self._timing.renew_deadline / 2))
            else:
                await asyncio.sleep(decision.wait)

    async def release(self) -> None:
        """Give the lease back, so that others need not wait for its end. Nothing may be under way any more."""
        patience = self._timing.renew_deadline / 2
        self._own = Own()
        # A renewal that was cut off may have been stored.
        if await self._look(patience) and self.leader == self._me and await self._put("", patience):
            log.info("lease given back", lease=self._name)

    async def _look(self, patience: float) -> bool:
        """Read the lease; False where it could not be read."""
        body = await self._ask(self._kube.lease(self._namespace, self._name), patience, "read")
        if isinstance(body, KubeError):
            return False
        self._take(body)
        return True

    async def _store(self, patience: float) -> bool:
        """Be the holder from before this call on; False where that could not be stored."""
        begun = time.monotonic()
        self._own = replace(self._own, tried=begun)
        stored = await self._put(self._me, patience)
        if stored:
            self._own = Own(renewed=begun, tried=begun)
        return stored

    async def _put(self, holder: str, patience: float) -> bool:
        there = self._seen.lease if self._seen.lease and not self._seen.lease.gone else None
        old = self._body.get("spec") or {}
        spec = build_spec(holder, there, old if isinstance(old, dict) else {}, self._timing, datetime.now(UTC))
        body: Raw = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            **self._body,
            "spec": spec,
        }
        answer = await self._ask(self._kube.put_lease(body), patience, "stored")
        if isinstance(answer, KubeError):
            return False
        self._take(answer)
        return True

    def _take(self, body: Raw | None) -> None:
        lease: Lease | None = read_lease(body) if body else None
        self._seen, self._body = see(self._seen, lease, time.monotonic()), body or {}
        if lease is not None and lease.holder and lease.holder != self._last_holder:
            if self._last_holder or lease.holder == self._me:
                self._transitions.inc()
            self._last_holder = lease.holder

    async def _ask(self, call: Awaitable[Raw | None], patience: float, what: str) -> Raw | KubeError | None:
        """The answer, or what went wrong. Told once, not at each of many tries."""
        try:
            async with asyncio.timeout(max(patience, 0.001)):
                answer = await call
        except TimeoutError:
            problem = KubeError(0, "Unreachable", f"no answer within {patience:.1f} s")
        except KubeError as error:
            problem = error
        else:
            self._problem = None
            return answer
        if not problem.conflict and (self._problem is None or str(self._problem) != str(problem)):
            log.warning(f"lease not {what}", lease=self._name, error=str(problem))
        self._problem = problem
        return problem

    def _describe_loss(self, now: float) -> str:
        lease = self._seen.lease
        if lease is None or lease.gone:
            return "it was deleted"
        if lease.holder != self._me:
            return f"{lease.holder or 'nobody'} holds it"
        return f"it was not renewed for {now - (self._own.renewed or now):.1f} s"
