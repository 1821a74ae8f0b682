"""Opens incidents: every door ends here, so that the same trouble seen through several is one Incident."""

import structlog

from bokgu.api.incident import Incident
from bokgu.api.protected_service import ProtectedService
from bokgu.core.finding import Finding, build_incident
from bokgu.core.lifecycle import is_over
from bokgu.core.traces import trace_of
from bokgu.kube.client import KubeError
from bokgu.reconcile.context import Context
from bokgu.reconcile.counting import count_opened
from bokgu.reconcile.sharding import inherit_labels

log = structlog.get_logger()


async def open_incident(context: Context, finding: Finding) -> Incident:
    """The open incident of this trouble: the one there is, its severity raised if need be, or a new one.

    It is stored when this returns. Raises KubeError.
    """
    same = [
        incident
        for incident in context.find_related(Incident, finding.namespace, finding.service)
        if incident.spec.type is finding.type
    ]
    same.sort(key=lambda i: (i.metadata.creation_timestamp is not None, i.metadata.creation_timestamp))
    still_open = next((i for i in reversed(same) if not is_over(i)), None)
    if still_open is not None:
        return await _raise_severity(context, still_open, finding)
    incident = build_incident(finding, same[-1].metadata.uid if same else "")
    labels = inherit_labels(context, finding.namespace, finding.service)
    body = {
        "apiVersion": incident.api_version,
        "kind": incident.kind,
        "metadata": {"name": incident.metadata.name, "namespace": incident.metadata.namespace, **labels},
        "spec": incident.spec.to_dict(),
    }
    try:
        created = await context.kube.create(Incident.plural, body)
    except KubeError as error:
        if not error.exists:
            raise
        found = await context.fetch(Incident, incident.metadata.namespace, incident.metadata.name)
        if found is None:
            raise
        return found
    protected = context.find(ProtectedService, finding.namespace, finding.service)
    environment, uid = protected.spec.environment if protected else "", created["metadata"]["uid"]
    count_opened(context, finding, incident.metadata.name, uid, environment)
    log.info("incident opened", **_describe(finding, incident.metadata.name), trace_id=trace_of(uid))
    context.take_in(Incident.plural, created)
    return Incident.model_validate(created)


def _describe(finding: Finding, name: str) -> dict[str, str]:
    return {
        "namespace": finding.namespace,
        "incident": name,
        "service": finding.service,
        "type": str(finding.type),
        "severity": str(finding.severity),
        "source": str(finding.source.kind),
    }


async def _raise_severity(context: Context, incident: Incident, finding: Finding) -> Incident:
    raw = context.objects.get(incident.key)
    if raw is None or finding.severity.rank <= incident.spec.severity.rank:
        return incident
    raised = {**raw, "spec": {**raw["spec"], "severity": str(finding.severity)}}
    return Incident.model_validate(await context.replace(Incident.plural, raised))
