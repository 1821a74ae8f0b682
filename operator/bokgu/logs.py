"""Structured logs: one JSON object a line on standard error, our own and those of kopf and the SDKs."""

import json
import logging
import sys
from collections.abc import Iterable, Mapping

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "BOKGU_HEARTBEAT_URL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
)
"""Environment variables whose values no line may hold."""

SHORTEST_SECRET = 8
"""Characters of a value that is a secret: of a shorter one every word would be."""


def find_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values that no line of the log may hold."""
    values = (environment.get(name, "") for name in SECRET_VARIABLES)
    return tuple(value for value in values if len(value) >= SHORTEST_SECRET)


class JsonLine:
    """A line of JSON in which none of the secrets stands, wherever it came from, and nothing that cannot be seen: that
    is escaped as JSON escapes it, so that whoever reads the JSON gets what was said."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._render = structlog.processors.JSONRenderer(ensure_ascii=False)
        # As they stand in JSON, the longest first: one may be a part of another.
        self._secrets = sorted((json.dumps(s, ensure_ascii=False)[1:-1] for s in set(secrets)), key=len, reverse=True)

    def __call__(self, logger: WrappedLogger, name: str, event_dict: EventDict) -> str:
        """The line."""
        line = str(self._render(logger, name, event_dict))
        for secret in self._secrets:
            line = line.replace(secret, "[secret]")
        return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)


def configure_logs(level: str, secrets: Iterable[str] = ()) -> None:
    """Send everything of that level and above through structlog, without these secrets. Raises ValueError for an
    unknown level.

    Below WARNING only our own lines count: what SDKs say there holds requests and answers, with their credentials.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, JsonLine(secrets)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    own = root.level
    root.setLevel(max(own, logging.WARNING))
    logging.getLogger("bokgu").setLevel(own)
    logging.getLogger("kopf").setLevel(max(own, logging.INFO))
    for chatty in ("kopf.objects", "botocore", "urllib3", "aiohttp.access", "asyncio"):
        logging.getLogger(chatty).setLevel(max(own, logging.WARNING))
