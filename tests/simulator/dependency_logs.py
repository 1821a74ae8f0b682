"""What containers write to their logs about a dependency that is not well."""

from .container_logs import ContainerLogs
from .ecs import Ecs
from .traffic import Dependency, Traffic


def write_dependency_lines(ecs: Ecs, logs: ContainerLogs, traffic: Traffic) -> None:
    """One line of each running task of each service whose dependency is down or slow; called once a metric period."""
    for dependency in traffic.dependencies():
        line = describe_trouble(dependency)
        if line is None:
            continue
        for key in sorted(dependency.dependents):
            service = ecs.services.get(key)
            for task in service.running() if service is not None else []:
                logs.write(task, line)


def describe_trouble(dependency: Dependency) -> str | None:
    """What a caller logs; None while the dependency is well. It costs CPU where callers give up and try again."""
    seconds = f"{dependency.latency_seconds:g} s"
    if dependency.error_ratio > 0:
        return f"ERROR request to {dependency.name} failed: connection timed out after {seconds}"
    if dependency.latency_seconds > 0 and dependency.cpu_percent > 0:
        return f"WARN request to {dependency.name}: connection timed out after {seconds}, trying again"
    if dependency.latency_seconds > 0:
        return f"WARN request to {dependency.name} took {seconds}"
    return None
