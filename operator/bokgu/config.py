"""Settings of the operator, read once from the environment."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from bokgu.api.fields import parse_duration


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def _positive_duration(text: str) -> timedelta:
    length = parse_duration(text)
    if not length:
        raise ValueError("must be longer than 0s")
    return length


@dataclass(frozen=True)
class Settings:
    """Every field is set by the environment variable named in its metadata."""

    namespace: str = field(default="bokgu-system", metadata={"env": "BOKGU_NAMESPACE"})
    """Namespace of the operator itself: its trust roots are there."""

    signers_config_map: str = field(default="bokgu-signers", metadata={"env": "BOKGU_SIGNERS_CONFIGMAP"})
    """ConfigMap in that namespace with the keys `allowed_signers` and `revoked`."""

    aws_endpoint_url: str | None = field(default=None, metadata={"env": "BOKGU_AWS_ENDPOINT_URL"})
    """Endpoint of all AWS APIs; default: AWS itself."""

    listen_host: str = field(default="127.0.0.1", metadata={"env": "BOKGU_LISTEN_HOST"})
    """Address of `/healthz`, `/readyz` and `/metrics`."""

    listen_port: int = field(default=8080, metadata={"env": "BOKGU_LISTEN_PORT", "parse": int})
    """Port of the same."""

    workers: int = field(default=8, metadata={"env": "BOKGU_WORKERS", "parse": _positive})
    """Objects reconciled at the same time."""

    aws_threads: int = field(default=16, metadata={"env": "BOKGU_AWS_THREADS", "parse": _positive})
    """AWS calls under way at the same time."""

    service_poll: timedelta = field(
        default=timedelta(minutes=1), metadata={"env": "BOKGU_SERVICE_POLL", "parse": _positive_duration}
    )
    """How often a protected service is described while nothing happens."""

    step_poll: timedelta = field(
        default=timedelta(seconds=5), metadata={"env": "BOKGU_STEP_POLL", "parse": _positive_duration}
    )
    """How often a service is looked at while a step runs on it."""

    consistency_delay: timedelta = field(
        default=timedelta(minutes=5), metadata={"env": "BOKGU_CONSISTENCY_DELAY", "parse": _positive_duration}
    )
    """How long an effect may stay invisible in ECS after a write (RunTask, Amazon ECS API reference)."""

    policy_settle: timedelta = field(
        default=timedelta(minutes=1), metadata={"env": "BOKGU_POLICY_SETTLE", "parse": _positive_duration}
    )
    """How long after a change of the admission policy unsigned approvals do not count: API servers enforce a new policy
    only after a moment, each in its own time."""

    resync: timedelta = field(
        default=timedelta(minutes=5), metadata={"env": "BOKGU_RESYNC", "parse": _positive_duration}
    )
    """How often the store is compared with a full list, against lost deletions."""

    holder: str = field(default_factory=lambda: f"{socket.gethostname()[:40]}-{os.getpid()}")
    """Name of this process in intents."""


class BadSetting(ValueError):
    """An environment variable cannot be read; the text names it."""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables; unset ones keep their defaults. Raises BadSetting."""
    values: dict[str, Any] = {}
    for setting in fields(Settings):
        name = setting.metadata.get("env")
        if name is None or not environment.get(name):
            continue
        parse: Callable[[str], Any] = setting.metadata.get("parse", str)
        try:
            values[setting.name] = parse(environment[name])
        except ValueError as error:
            raise BadSetting(f"{name}={environment[name]}: {error}") from error
    return Settings(**values)
