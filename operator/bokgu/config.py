"""Settings of the operator, read once from the environment."""

import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bokgu.api.fields import NAMESPACE, parse_duration
from bokgu.api.own_patterns import OwnPatterns, compile_patterns
from bokgu.api.quotas import DEFAULT_QUOTAS, Quota, parse_quotas
from bokgu.api.role_grants import AssumableRoles, RoleGrant, parse_assumable_roles, parse_role_arn
from bokgu.api.shards import DEFAULT_SHARD
from bokgu.api.vocabulary import Language, Role


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


def _request_rate(text: str) -> Quota:
    """Requests a second."""
    return Quota(_positive(text), 5 * _positive(text))


_DAYS = re.compile(r"([0-9]{1,5})d")


def parse_age(text: str) -> timedelta:
    """A positive length of time, also in days: `30d`."""
    if found := _DAYS.fullmatch(text):
        text = f"{int(found[1]) * 24}h"
    return _positive_duration(text)


def _retention(text: str) -> timedelta | None:
    return None if text == "never" else parse_age(text)


def _namespaces(text: str) -> frozenset[str]:
    names = frozenset(part.strip() for part in text.split(","))
    for name in names:
        if not NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a namespace: write names with commas between them")
    return names


def _service_accounts(text: str) -> frozenset[str]:
    """User names of service accounts (Kubernetes documentation, "Service account username")."""
    parts = [part.strip().removeprefix("system:serviceaccount:") for part in text.split(",")]
    for part in parts:
        namespace, colon, name = part.partition(":")
        if not colon or not NAMESPACE.fullmatch(namespace) or not name or ":" in name:
            raise ValueError(f"{part!r} is no service account: write it as NAMESPACE:NAME")
    return frozenset(f"system:serviceaccount:{part}" for part in parts)


_ROLE = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _role(text: str) -> str:
    if not _ROLE.fullmatch(text):
        raise ValueError("a role has small letters, digits and _ only, such as incident_commander")
    if text in set(Role):
        raise ValueError("the roles of the built-in minimum cannot stand in for themselves: name another one")
    return text


class HistoryBackend(StrEnum):
    """What keeps the history of incidents."""

    KUBERNETES = "kubernetes"
    DYNAMODB = "dynamodb"


def _history_backend(text: str) -> HistoryBackend:
    if text not in set(HistoryBackend):
        raise ValueError(f"must be one of {', '.join(HistoryBackend)}")
    return HistoryBackend(text)


def _language(text: str) -> Language:
    if text not in set(Language):
        raise ValueError(f"must be one of {', '.join(Language)}")
    return Language(text)


def _own_patterns(text: str) -> OwnPatterns:
    """Patterns, one a line."""
    return compile_patterns(line.strip() for line in text.splitlines() if line.strip())


LOG_LEVELS = ("debug", "info", "warning", "error")


def _log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text.lower()


_TABLE_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,128}")


def _table_prefix(text: str) -> str:
    if not _TABLE_PREFIX.fullmatch(text):
        raise ValueError("a table's name has letters, digits and _ . - only")
    return text


@dataclass(frozen=True)
class EventQueue:
    """An SQS queue of events, and the region whose API it is received from."""

    url: str
    region: str


_REGION_IN_URL = re.compile(r"^https?://(?:sqs\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.(?:queue\.)?amazonaws\.com")


def _event_queues(text: str) -> tuple[EventQueue, ...]:
    """URLs with commas between them; `REGION=URL` where the URL does not name the region (VPC endpoints)."""
    queues = []
    for part in text.split(","):
        before, equals, after = part.strip().partition("=http")
        region, url = (before, f"http{after}") if equals else ("", before)
        found = _REGION_IN_URL.match(url)
        region = region or (found[1] if found else "")
        if not url.startswith(("http://", "https://")) or not region:
            raise ValueError(f"{part.strip()!r} is no URL of an SQS queue with a region in it: write it as REGION=URL")
        queues.append(EventQueue(url, region))
    return tuple(queues)


def _http_url(text: str) -> str:
    """A URL of http or https with a host. Raises ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL of http or https")
    return text


_LIFE = secrets.token_hex(3)
"""Tells this process from one of the same name before it."""

_LEASE_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?")


def _lease_name(text: str) -> str | None:
    if not _LEASE_NAME.fullmatch(text):
        raise ValueError("must be the name of an object, such as bokgu, or none")
    return None if text == "none" else text


def _shard(text: str) -> str:
    if not NAMESPACE.fullmatch(text):
        raise ValueError("a shard has small letters, digits and - only, and at most 63 of them")
    return text


@dataclass(frozen=True)
class Settings:
    """Every field is set by the environment variable named in its metadata."""

    namespace: str = field(default="bokgu-system", metadata={"env": "BOKGU_NAMESPACE"})
    """Namespace of the operator itself: its trust roots are there."""

    signers_config_map: str = field(default="bokgu-signers", metadata={"env": "BOKGU_SIGNERS_CONFIGMAP"})
    """ConfigMap in that namespace with the keys `allowed_signers` and `revoked`."""

    assumable_roles: AssumableRoles = field(
        default_factory=dict, metadata={"env": "BOKGU_ASSUMABLE_ROLES", "parse": parse_assumable_roles}
    )
    """IAM roles that the ProtectedServices of a namespace may name; none: no namespace may name a role. A role of the
    namespace `*` may be named in every namespace, by anybody who may write a ProtectedService."""

    aws_endpoint_url: str | None = field(default=None, metadata={"env": "BOKGU_AWS_ENDPOINT_URL"})
    """Endpoint of all AWS APIs; default: AWS itself."""

    listen_host: str = field(default="127.0.0.1", metadata={"env": "BOKGU_LISTEN_HOST"})
    """Address of `/healthz`, `/readyz` and `/metrics`."""

    listen_port: int = field(default=8080, metadata={"env": "BOKGU_LISTEN_PORT", "parse": int})
    """Port of the same."""

    log_level: str = field(default="info", metadata={"env": "BOKGU_LOG_LEVEL", "parse": _log_level})
    """From which level on the log has lines: `debug`, `info`, `warning` or `error`."""

    traces_endpoint: str | None = field(
        default=None,
        metadata={"env": "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "parse": _http_url, "secret": True},
        repr=False,
    )
    """Full URL that traces are POSTed to; default: what `find_traces_endpoint` makes of OTEL_EXPORTER_OTLP_ENDPOINT.
    None: no traces, and nothing of OpenTelemetry is loaded."""

    lease_name: str | None = field(default="bokgu", metadata={"env": "BOKGU_LEASE_NAME", "parse": _lease_name})
    """Lease in the operator's namespace that one process of a shard holds at a time; that of a shard other than the
    default one has the shard's name after it. None: there is no election, and this process acts whatever others do."""

    lease_duration: timedelta = field(
        default=timedelta(seconds=15), metadata={"env": "BOKGU_LEASE_DURATION", "parse": _positive_duration}
    )
    """How long others wait for a sign of life of the leader until one of them takes over (the default of Kubernetes'
    own components, as are the two below)."""

    lease_renew_deadline: timedelta = field(
        default=timedelta(seconds=10), metadata={"env": "BOKGU_LEASE_RENEW_DEADLINE", "parse": _positive_duration}
    )
    """After how long without a renewal the leader ends."""

    lease_retry: timedelta = field(
        default=timedelta(seconds=2), metadata={"env": "BOKGU_LEASE_RETRY", "parse": _positive_duration}
    )
    """How often the leader renews its lease, and others look at it."""

    shard: str = field(default=DEFAULT_SHARD, metadata={"env": "BOKGU_SHARD", "parse": _shard})
    """The services that this process acts for: those whose label `bokgu.dev/shard` has this value. Those without the
    label are the default shard's."""

    workers: int = field(default=8, metadata={"env": "BOKGU_WORKERS", "parse": _positive})
    """Objects of one kind reconciled at the same time."""

    aws_threads: int = field(default=16, metadata={"env": "BOKGU_AWS_THREADS", "parse": _positive})
    """AWS calls under way at the same time, for each API in each region; bulk reads are counted apart."""

    aws_quotas: Mapping[str, Quota] = field(
        default_factory=lambda: DEFAULT_QUOTAS, metadata={"env": "BOKGU_AWS_QUOTAS", "parse": parse_quotas}
    )
    """Calls a second that AWS is asked at most, per account and region, such as `GetMetricData=25,ecs=10`."""

    minute: timedelta = field(
        default=timedelta(minutes=1), metadata={"env": "BOKGU_MINUTE", "parse": _positive_duration}
    )
    """How long a minute is in windows that no object sets. Only worlds that run faster than ours need another one."""

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

    event_queues: tuple[EventQueue, ...] = field(
        default=(), metadata={"env": "BOKGU_EVENT_QUEUES", "parse": _event_queues}
    )
    """SQS queues with events of CloudWatch alarms and ECS; none: that door is closed."""

    webhook_token_file: Path | None = field(default=None, metadata={"env": "BOKGU_WEBHOOK_TOKEN_FILE", "parse": Path})
    """File with the bearer token that Alertmanager must show; none: that door is closed."""

    webhook_certificate_file: Path | None = field(
        default=None, metadata={"env": "BOKGU_WEBHOOK_CERTIFICATE_FILE", "parse": Path}
    )
    """PEM file with the webhook's certificate and its chain; none: the webhook does not speak TLS."""

    webhook_key_file: Path | None = field(default=None, metadata={"env": "BOKGU_WEBHOOK_KEY_FILE", "parse": Path})
    """PEM file with the key of that certificate."""

    webhook_port: int = field(default=8081, metadata={"env": "BOKGU_WEBHOOK_PORT", "parse": int})
    """Port of Alertmanager's webhook, on `listen_host`."""

    webhook_max_body: int = field(default=1024 * 1024, metadata={"env": "BOKGU_WEBHOOK_MAX_BODY", "parse": _positive})
    """Bytes of one request to the webhook, at most."""

    webhook_rate: Quota = field(default=Quota(20, 100), metadata={"env": "BOKGU_WEBHOOK_RATE", "parse": _request_rate})
    """Requests a second that one address may send to the webhook; five seconds' worth of them at once."""

    webhook_patience: timedelta = field(
        default=timedelta(seconds=15), metadata={"env": "BOKGU_WEBHOOK_PATIENCE", "parse": _positive_duration}
    )
    """How long a sender may take for the TLS handshake, for the headers, for the body, and until its next request."""

    webhook_connections: int = field(default=256, metadata={"env": "BOKGU_WEBHOOK_CONNECTIONS", "parse": _positive})
    """Connections to the webhook at one time, at most."""

    heartbeat_url: str | None = field(
        default=None, metadata={"env": "BOKGU_HEARTBEAT_URL", "parse": _http_url, "secret": True}, repr=False
    )
    """Where a sign of life is POSTed every minute while the operator is ready: a receiver outside the cluster that
    calls people when it stops, such as a dead man's switch. None: nobody is told that the operator is down."""

    alerts_secret: str = field(default="bokgu-alerts", metadata={"env": "BOKGU_ALERTS_SECRET"})
    """Secret in the operator's namespace with the receivers of alerts: by name an Apprise URL or the ARN of an SNS
    topic."""

    alert_templates_config_map: str = field(
        default="bokgu-alert-templates", metadata={"env": "BOKGU_ALERT_TEMPLATES_CONFIGMAP"}
    )
    """ConfigMap in that namespace with texts that replace the built-in ones, by `<language>.<kind>`."""

    language: Language = field(default=Language.EN, metadata={"env": "BOKGU_LANGUAGE", "parse": _language})
    """Language of alerts whose route names none: `en` or `ko`."""

    own_patterns: OwnPatterns = field(
        default=OwnPatterns(),
        metadata={"env": "BOKGU_REDACTION_PATTERNS", "parse": _own_patterns, "secret": True},
        repr=False,
    )
    """Regular expressions, one a line, whose matches are hidden beside what is always hidden: in the texts of AWS,
    alarms, alerts and Incidents, before anything is made of them."""

    delegates: frozenset[str] = field(
        default=frozenset(), metadata={"env": "BOKGU_DELEGATES", "parse": _service_accounts}
    )
    """Service accounts whose unsigned approvals count in the name of others, as `NAMESPACE:NAME`: the review in Git is
    all that vouches for those; none by default."""

    auto_namespaces: frozenset[str] = field(
        default=frozenset(), metadata={"env": "BOKGU_AUTO_NAMESPACES", "parse": _namespaces}
    )
    """Namespaces whose RecoveryPolicy may let plans start without people; none by default."""

    emergency_role: str | None = field(default=None, metadata={"env": "BOKGU_EMERGENCY_ROLE", "parse": _role})
    """Role whose one approval stands in for all others, loudly; none by default."""

    history: HistoryBackend = field(
        default=HistoryBackend.KUBERNETES, metadata={"env": "BOKGU_HISTORY", "parse": _history_backend}
    )
    """What keeps the history: ConfigMaps of the cluster, or tables in DynamoDB."""

    history_table_prefix: str = field(
        default="bokgu", metadata={"env": "BOKGU_HISTORY_TABLE_PREFIX", "parse": _table_prefix}
    )
    """Tables are `<prefix>-<environment>-incidents` and so on; the environment is the ProtectedService's."""

    history_region: str = field(default="", metadata={"env": "BOKGU_HISTORY_REGION"})
    """Region of the tables; default: that of AWS_REGION."""

    history_role_arn: str | None = field(
        default=None, metadata={"env": "BOKGU_HISTORY_ROLE_ARN", "parse": parse_role_arn}
    )
    """IAM role for the tables; default: the operator's own identity."""

    history_lifetime: timedelta = field(
        default=timedelta(days=365), metadata={"env": "BOKGU_HISTORY_LIFETIME", "parse": parse_age}
    )
    """How long DynamoDB keeps an incident after it was over."""

    retention: timedelta | None = field(
        default=timedelta(days=30), metadata={"env": "BOKGU_RETENTION", "parse": _retention}
    )
    """How long a resolved Incident, once its history is stored, stays in the cluster; None: for ever."""

    @property
    def hour(self) -> timedelta:
        """How long an hour is, as `minute`."""
        return 60 * self.minute

    holder: str = field(default_factory=lambda: f"{socket.gethostname()[:40]}-{os.getpid()}-{_LIFE}")
    """Name of this process in intents and leases. A container that is started again has host name and process id of the
    one before, and is another process."""

    @property
    def lease(self) -> str | None:
        """Name of the Lease of this shard; None without election."""
        if self.lease_name is None or self.shard == DEFAULT_SHARD:
            return self.lease_name
        return f"{self.lease_name}-{self.shard}"

    @property
    def own_grant(self) -> RoleGrant:
        """The one role that the operator assumes for itself. No namespace chooses it, so it needs no external id."""
        return RoleGrant((self.history_role_arn,) if self.history_role_arn else ())


SHORTEST_RETENTION = timedelta(hours=24)
"""Resolved incidents are there for people and for correlation, too. Worlds that run faster than ours may be shorter."""


TRACES_PATH = "v1/traces"
"""Path beneath the base URL (OpenTelemetry Protocol Exporter, "Endpoint URLs for OTLP/HTTP")."""


def find_traces_endpoint(environment: Mapping[str, str]) -> str | None:
    """Where traces go by the standard variable for all signals. Raises BadSetting."""
    base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not base:
        return None
    try:
        return f"{_http_url(base).rstrip('/')}/{TRACES_PATH}"
    except ValueError as error:
        raise BadSetting(f"OTEL_EXPORTER_OTLP_ENDPOINT=...: {error}") from error


class BadSetting(ValueError):
    """An environment variable cannot be read; the text names it."""


def _check_lease(settings: Settings) -> None:
    """A leader must know that it has lost its lease before others take it, and have several tries to renew it. Raises
    BadSetting."""
    duration, deadline, retry = settings.lease_duration, settings.lease_renew_deadline, settings.lease_retry
    if 3 * deadline > 2 * duration:
        raise BadSetting(
            f"BOKGU_LEASE_RENEW_DEADLINE={deadline.total_seconds():g}s: must be at most two thirds of"
            f" BOKGU_LEASE_DURATION ({duration.total_seconds():g}s)"
        )
    if 2 * retry > deadline:
        raise BadSetting(
            f"BOKGU_LEASE_RETRY={retry.total_seconds():g}s: must be at most half of"
            f" BOKGU_LEASE_RENEW_DEADLINE ({deadline.total_seconds():g}s)"
        )


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
            shown = "..." if setting.metadata.get("secret") else environment[name]
            raise BadSetting(f"{name}={shown}: {error}") from error
    values.setdefault("history_region", environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "")
    values.setdefault("traces_endpoint", find_traces_endpoint(environment))
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        values["traces_endpoint"] = None
    settings = Settings(**values)
    if (settings.webhook_certificate_file is None) != (settings.webhook_key_file is None):
        raise BadSetting("set both of BOKGU_WEBHOOK_CERTIFICATE_FILE and BOKGU_WEBHOOK_KEY_FILE, or none")
    if settings.history is HistoryBackend.DYNAMODB and not settings.history_region:
        raise BadSetting("BOKGU_HISTORY=dynamodb: set BOKGU_HISTORY_REGION or AWS_REGION")
    _check_lease(settings)
    as_fast_as_ours = settings.minute >= timedelta(minutes=1)
    if as_fast_as_ours and settings.retention is not None and settings.retention < SHORTEST_RETENTION:
        raise BadSetting(f"BOKGU_RETENTION={environment['BOKGU_RETENTION']}: must be at least 24h, or never")
    return settings
