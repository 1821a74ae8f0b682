from datetime import timedelta

import pytest

from bokgu.api.quotas import DEFAULT_QUOTAS, Quota
from bokgu.config import BadSetting, Settings, read_settings


def test_nothing_set_means_the_defaults() -> None:
    settings = read_settings({})
    assert settings == read_settings({"BOKGU_NAMESPACE": "", "PATH": "/bin"})
    assert (settings.namespace, settings.listen_host, settings.workers) == ("bokgu-system", "127.0.0.1", 8)
    assert settings.consistency_delay == timedelta(minutes=5)


def test_every_setting_has_its_variable() -> None:
    settings = read_settings(
        {
            "BOKGU_NAMESPACE": "ops",
            "BOKGU_SIGNERS_CONFIGMAP": "signers",
            "BOKGU_AWS_ENDPOINT_URL": "http://localhost:1",
            "BOKGU_LISTEN_HOST": "0.0.0.0",
            "BOKGU_LISTEN_PORT": "1",
            "BOKGU_WORKERS": "2",
            "BOKGU_AWS_THREADS": "3",
            "BOKGU_AWS_QUOTAS": "ecs=7",
            "BOKGU_SERVICE_POLL": "4s",
            "BOKGU_STEP_POLL": "5s",
            "BOKGU_CONSISTENCY_DELAY": "6m",
            "BOKGU_RESYNC": "7h",
        }
    )
    assert settings == Settings(
        namespace="ops",
        signers_config_map="signers",
        aws_endpoint_url="http://localhost:1",
        listen_host="0.0.0.0",
        listen_port=1,
        workers=2,
        aws_threads=3,
        aws_quotas={**DEFAULT_QUOTAS, "ecs": Quota(7, 7)},
        service_poll=timedelta(seconds=4),
        step_poll=timedelta(seconds=5),
        consistency_delay=timedelta(minutes=6),
        resync=timedelta(hours=7),
        holder=settings.holder,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOKGU_LISTEN_PORT", "http"),
        ("BOKGU_WORKERS", "many"),
        ("BOKGU_WORKERS", "0"),
        ("BOKGU_AWS_THREADS", "-1"),
        ("BOKGU_SERVICE_POLL", "60"),
        ("BOKGU_STEP_POLL", "0s"),
        ("BOKGU_STEP_POLL", "99999999999999999999h"),
        ("BOKGU_CONSISTENCY_DELAY", "soon"),
    ],
)
def test_s12_a_bad_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"{name}={value}"):
        read_settings({name: value})


def test_the_holder_fits_into_an_intent() -> None:
    assert 0 < len(read_settings({}).holder) <= 63
