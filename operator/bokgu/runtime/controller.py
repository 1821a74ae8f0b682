"""The workers: take a key, make a pass over its object, say when the next one is needed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from bokgu.api.history import HistoryError
from bokgu.api.observed import AwsError
from bokgu.api.unchecked import Unreadable
from bokgu.kube.client import KubeError
from bokgu.metrics.passes import RECONCILE_ERRORS, RECONCILE_SECONDS
from bokgu.reconcile import (
    detector,
    event_look,
    history,
    incident,
    plan_approval,
    protected_service,
    recovery_plan,
    recovery_policy,
    runbook,
    scope,
)
from bokgu.reconcile.announcing import announce_unreadable
from bokgu.reconcile.context import Context
from bokgu.reconcile.decisions import name_pass
from bokgu.reconcile.role_grants import act_for
from bokgu.reconcile.sharding import carry_shard, is_ours
from bokgu.runtime.queue import Key, Queue

Reconcile = Callable[[Context, Key], Awaitable[timedelta | None]]

PASSES: dict[str, Reconcile] = {
    "incidents": incident.reconcile,
    "recoveryplans": recovery_plan.reconcile,
    "recoverypolicies": recovery_policy.reconcile,
    "planapprovals": plan_approval.reconcile,
    "protectedservices": protected_service.reconcile,
    "detectors": detector.reconcile,
    "runbooks": runbook.reconcile,
    scope.PLURAL: scope.reconcile,
    event_look.PLURAL: event_look.reconcile,
    history.PLURAL: history.reconcile,
}

for _plural in PASSES:
    RECONCILE_ERRORS.labels(_plural)  # From zero on: Prometheus sees no increase in a first 1.

log = structlog.get_logger()


async def work(context: Context, queue: Queue) -> None:
    """Make passes until the queue is closed. A pass that fails is tried again later; it never stops the others.

    Passes over scopes wait for AWS nearly all the time, a minute or more where it hangs: they keep no worker from the
    objects.
    """
    scopes: set[asyncio.Task[None]] = set()
    try:
        while (key := await queue.take()) is not None:
            if key[0] == scope.PLURAL:
                task = asyncio.create_task(_pass(context, queue, key))
                scopes.add(task)
                task.add_done_callback(scopes.discard)
            else:
                await _pass(context, queue, key)
                await asyncio.sleep(0)  # A pass may have waited for nothing: let the others in.
    finally:
        for task in scopes:
            task.cancel()  # A scope only reads: nothing is lost.
        await asyncio.gather(*scopes, return_exceptions=True)


async def _pass(context: Context, queue: Queue, key: Key) -> None:
    with structlog.contextvars.bound_contextvars(**name_pass(context.objects, key)):
        await _guarded_pass(context, queue, key)


async def _guarded_pass(context: Context, queue: Queue, key: Key) -> None:
    plural, namespace, name = key
    begun = time.monotonic()
    if not is_ours(context, key):
        context.forget(key)
        queue.done(key, None)
        return
    if plural != scope.PLURAL and context.objects.get(key) is None:
        context.forget(key)
    try:
        await carry_shard(context, key)
        requeue_after = await PASSES[plural](act_for(context, key), key)
    except Unreadable as error:
        RECONCILE_ERRORS.labels(plural).inc()
        if error.key == key:  # Nothing but another version of it helps, which comes with an event.
            await announce_unreadable(context, error)
            queue.done(key, None)
        else:
            delay = queue.failed(key, conflict=False)
            log.warning("pass failed", kind=plural, namespace=namespace, name=name, error=str(error), retry_in=delay)
    except KubeError as error:
        delay = queue.failed(key, conflict=error.conflict)
        if not error.conflict:
            RECONCILE_ERRORS.labels(plural).inc()
            log.warning("pass failed", kind=plural, namespace=namespace, name=name, error=str(error), retry_in=delay)
    except Exception as error:  # The one place where a defect in one pass is kept from stopping all the others.
        RECONCILE_ERRORS.labels(plural).inc()
        delay = queue.failed(key, conflict=False)
        expected = isinstance(error, AwsError | HistoryError)
        log.error(
            "pass failed",
            kind=plural,
            namespace=namespace,
            name=name,
            error=repr(error),
            retry_in=delay,
            exc_info=not expected,
        )
    else:
        queue.done(key, requeue_after)
    finally:
        RECONCILE_SECONDS.labels(plural).observe(time.monotonic() - begun)
