"""Lines of the log: JSON, with what is bound, without secrets, from their level on."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from bokgu.config import BadSetting, Settings, read_settings
from bokgu.logs import JsonLine, find_secrets
from tests.unit.test_counting import ENVIRONMENT

SPEAK = """
import logging, sys, structlog
from bokgu.logs import configure_logs
configure_logs(sys.argv[1], ("s3cr3t/key+of=aws",))
log = structlog.get_logger("bokgu.test")
with structlog.contextvars.bound_contextvars(trace_id="ab", plan="plan-1"):
    log.debug("fine"); log.info("a decision", said="s3cr3t/key+of=aws"); log.warning("trouble")
log.info("outside")
for name in ("botocore.endpoint", "kubernetes.aio.client.rest", "apprise", "requests"):
    logging.getLogger(name).debug("request body"); logging.getLogger(name).info("request body")
logging.getLogger("botocore").warning("retrying %s", "s3cr3t/key+of=aws")
"""


def speak(level: str) -> list[dict[str, Any]]:
    ran = subprocess.run(
        [sys.executable, "-c", SPEAK, level], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert ran.stdout == ""
    return [json.loads(line) for line in ran.stderr.splitlines()]


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("debug", ["fine", "a decision", "trouble", "outside"]),
        ("info", ["a decision", "trouble", "outside"]),
        ("warning", ["trouble"]),
    ],
)
def test_lines_count_from_their_level_on_and_those_of_sdks_from_warning_on(level: str, events: list[str]) -> None:
    assert [line["event"] for line in speak(level)] == [*events, "retrying [secret]"]


def test_each_line_has_what_was_bound_at_the_start_of_its_pass() -> None:
    decision, trouble, outside, _ = speak("info")
    assert decision["trace_id"] == trouble["trace_id"] == "ab"
    assert decision["plan"] == "plan-1"
    assert "trace_id" not in outside
    assert decision["said"] == "[secret]"


def test_a_secret_is_taken_out_as_it_stands_in_json() -> None:
    line = JsonLine(['with "quotes" in it'])
    assert line(logging.getLogger(), "info", {"event": 'it is with "quotes" in it'}) == '{"event": "it is [secret]"}'


def test_values_that_are_secret_are_found_by_their_variables() -> None:
    environment = {"AWS_SECRET_ACCESS_KEY": "long enough", "AWS_SESSION_TOKEN": "short", "AWS_REGION": "eu-central-1"}
    assert find_secrets(environment) == ("long enough",)


# Settings


def test_the_level_is_that_of_the_environment() -> None:
    assert read_settings({}).log_level == "info"
    assert read_settings({"BOKGU_LOG_LEVEL": "WARNING"}).log_level == "warning"
    with pytest.raises(BadSetting, match="BOKGU_LOG_LEVEL=loud: must be one of debug, info"):
        read_settings({"BOKGU_LOG_LEVEL": "loud"})


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "http://collector:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/otlp/"}, "http://collector:4318/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://tempo/api"}, "https://tempo/api"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/v1/traces"},
            "http://b/v1/traces",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "True"}, None),
    ],
)
def test_traces_go_where_the_standard_variables_say(environment: dict[str, str], endpoint: str | None) -> None:
    assert read_settings(environment).traces_endpoint == endpoint


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_an_endpoint_that_is_no_url_is_told_without_it(name: str) -> None:
    with pytest.raises(BadSetting, match=r"must be a URL") as found:
        read_settings({name: "user:password@collector"})
    assert "password" not in str(found.value)
    assert "password" not in repr(Settings(traces_endpoint="https://user:password@collector/v1/traces"))


def test_opentelemetry_is_not_loaded_where_no_endpoint_is_configured() -> None:
    code = "import sys, bokgu.runtime.run; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert ran.stdout == "[]\n"
