"""A pass over a Runbook: say whether it can be used. And the runbooks of a namespace, for those that choose one."""

from datetime import timedelta

from bokgu.api.fields import bounded
from bokgu.api.meta import set_condition
from bokgu.api.runbook import Runbook
from bokgu.core.runbooks import find_problem, merge_runbooks
from bokgu.reconcile.context import Context, Key
from bokgu.runbooks import load_builtin_runbooks


async def reconcile(context: Context, key: Key) -> timedelta | None:
    """Write the condition `Ready`."""
    raw = context.objects.get(key)
    if raw is None:
        return None
    runbook = context.parse(Runbook, raw)
    problem = find_problem(runbook, find_runbooks(context, runbook.metadata.namespace))
    replaces = any(r.metadata.name == runbook.metadata.name for r in load_builtin_runbooks())
    reason, message = "Usable", ""
    if problem:
        reason, message = problem.reason, problem.message
    elif replaces:
        reason, message = "ReplacesBuiltIn", "it stands in the place of the built-in runbook of this name"
    conditions = set_condition(
        runbook.status.conditions,
        "Ready",
        problem is None,
        reason,
        message,
        now=context.clock(),
        generation=runbook.metadata.generation,
    )
    status = runbook.status.model_copy(
        update={
            "observed_generation": runbook.metadata.generation,
            "summary": bounded(", ".join(step.action for step in runbook.spec.steps) or "advice"),
            "conditions": conditions,
        }
    )
    await context.write_status(Runbook, raw, status)
    return None


def find_runbooks(context: Context, namespace: str) -> tuple[Runbook, ...]:
    """The built-in runbooks and those of the namespace, which replace built-in ones of the same name. One that cannot
    be read leaves nothing in its place."""
    bodies = context.objects.all(Runbook.plural, namespace)
    replaced = {body["metadata"]["name"] for body in bodies}
    builtin = (r for r in load_builtin_runbooks() if r.metadata.name not in replaced)
    return merge_runbooks(builtin, context.readable(Runbook, bodies))
