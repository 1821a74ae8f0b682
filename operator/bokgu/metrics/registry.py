"""Where everything that is measured is collected."""

from prometheus_client import CollectorRegistry, Info, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

# Nobody asks when a counter was made, and it would be as many series again.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus-client leaves it untyped

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

BUILD = Info("bokgu_build", "Version of the operator.", registry=REGISTRY)

MOST_CHARACTERS = 128
"""Characters that names and values of an exemplar's labels have together (OpenMetrics 1.0, "Exemplars")."""

MINUTES = (1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
"""Buckets of what takes from a second to a day, in seconds."""


def exemplar_of(namespace: str, incident: str, trace_id: str) -> dict[str, str]:
    """What leads from a measured value to the incident behind it and to its trace; to the trace alone where the name of
    the incident is too long for both."""
    labels = {"incident": f"{namespace}/{incident}", "trace_id": trace_id}
    fits = sum(len(name) + len(value) for name, value in labels.items()) <= MOST_CHARACTERS
    return labels if fits else {"trace_id": trace_id}
