from datetime import timedelta
from pathlib import Path

import pytest

from bokgu.api.quotas import DEFAULT_QUOTAS, Quota
from bokgu.config import BadSetting, EventQueue, HistoryBackend, Settings, read_settings


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
            "BOKGU_ASSUMABLE_ROLES": "shop=arn:aws:iam::123456789012:role/shop",
            "BOKGU_AWS_ENDPOINT_URL": "http://localhost:1",
            "BOKGU_LISTEN_HOST": "0.0.0.0",
            "BOKGU_LISTEN_PORT": "1",
            "BOKGU_LEASE_NAME": "recovery",
            "BOKGU_LEASE_DURATION": "30s",
            "BOKGU_LEASE_RENEW_DEADLINE": "20s",
            "BOKGU_LEASE_RETRY": "3s",
            "BOKGU_SHARD": "eu",
            "BOKGU_WORKERS": "2",
            "BOKGU_AWS_THREADS": "3",
            "BOKGU_AWS_QUOTAS": "ecs=7",
            "BOKGU_MINUTE": "3s",
            "BOKGU_SERVICE_POLL": "4s",
            "BOKGU_STEP_POLL": "5s",
            "BOKGU_CONSISTENCY_DELAY": "6m",
            "BOKGU_POLICY_SETTLE": "8s",
            "BOKGU_RESYNC": "7h",
            "BOKGU_EVENT_QUEUES": "https://sqs.eu-west-1.amazonaws.com/1/a",
            "BOKGU_WEBHOOK_TOKEN_FILE": "/run/token",
            "BOKGU_WEBHOOK_CERTIFICATE_FILE": "/run/tls.crt",
            "BOKGU_WEBHOOK_KEY_FILE": "/run/tls.key",
            "BOKGU_WEBHOOK_PORT": "8",
            "BOKGU_WEBHOOK_MAX_BODY": "1000",
            "BOKGU_WEBHOOK_RATE": "3",
            "BOKGU_WEBHOOK_PATIENCE": "9s",
            "BOKGU_WEBHOOK_CONNECTIONS": "4",
            "BOKGU_DELEGATES": "flux-system:kustomize-controller",
            "BOKGU_AUTO_NAMESPACES": "shop, pay",
            "BOKGU_EMERGENCY_ROLE": "incident_commander",
            "BOKGU_HISTORY": "dynamodb",
            "BOKGU_HISTORY_TABLE_PREFIX": "ops",
            "BOKGU_HISTORY_REGION": "eu-west-1",
            "BOKGU_HISTORY_ROLE_ARN": "arn:aws:iam::123456789012:role/history",
            "BOKGU_HISTORY_LIFETIME": "90d",
            "BOKGU_RETENTION": "7d",
        }
    )
    assert settings == Settings(
        namespace="ops",
        signers_config_map="signers",
        assumable_roles={"shop": ("arn:aws:iam::123456789012:role/shop",)},
        aws_endpoint_url="http://localhost:1",
        listen_host="0.0.0.0",
        listen_port=1,
        lease_name="recovery",
        lease_duration=timedelta(seconds=30),
        lease_renew_deadline=timedelta(seconds=20),
        lease_retry=timedelta(seconds=3),
        shard="eu",
        workers=2,
        aws_threads=3,
        aws_quotas={**DEFAULT_QUOTAS, "ecs": Quota(7, 7)},
        minute=timedelta(seconds=3),
        service_poll=timedelta(seconds=4),
        step_poll=timedelta(seconds=5),
        consistency_delay=timedelta(minutes=6),
        policy_settle=timedelta(seconds=8),
        resync=timedelta(hours=7),
        event_queues=(EventQueue("https://sqs.eu-west-1.amazonaws.com/1/a", "eu-west-1"),),
        webhook_token_file=Path("/run/token"),
        webhook_certificate_file=Path("/run/tls.crt"),
        webhook_key_file=Path("/run/tls.key"),
        webhook_port=8,
        webhook_max_body=1000,
        webhook_rate=Quota(3, 15),
        webhook_patience=timedelta(seconds=9),
        webhook_connections=4,
        delegates=frozenset({"system:serviceaccount:flux-system:kustomize-controller"}),
        auto_namespaces=frozenset({"shop", "pay"}),
        emergency_role="incident_commander",
        history=HistoryBackend.DYNAMODB,
        history_table_prefix="ops",
        history_region="eu-west-1",
        history_role_arn="arn:aws:iam::123456789012:role/history",
        history_lifetime=timedelta(days=90),
        retention=timedelta(days=7),
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
        ("BOKGU_EVENT_QUEUES", "bokgu-events"),
        ("BOKGU_EVENT_QUEUES", "https://vpce-1.sqs.example/1/a"),
        ("BOKGU_EVENT_QUEUES", "https://sqs.eu-west-1.amazonaws.com/1/a,"),
        ("BOKGU_WEBHOOK_PORT", "http"),
        ("BOKGU_WEBHOOK_MAX_BODY", "1Mi"),
        ("BOKGU_WEBHOOK_RATE", "0"),
        ("BOKGU_WEBHOOK_PATIENCE", "0s"),
        ("BOKGU_WEBHOOK_CONNECTIONS", "0"),
        ("BOKGU_DELEGATES", "kustomize-controller"),
        ("BOKGU_DELEGATES", "flux-system:a:b"),
        ("BOKGU_DELEGATES", "flux-system:"),
        ("BOKGU_AUTO_NAMESPACES", "*"),
        ("BOKGU_AUTO_NAMESPACES", "shop,,pay"),
        ("BOKGU_EMERGENCY_ROLE", "Commander"),
        ("BOKGU_EMERGENCY_ROLE", "system_admin"),
        ("BOKGU_LEASE_NAME", "Bokgu"),
        ("BOKGU_LEASE_DURATION", "0s"),
        ("BOKGU_LEASE_RENEW_DEADLINE", "11s"),
        ("BOKGU_LEASE_RETRY", "6s"),
        ("BOKGU_SHARD", "EU"),
    ],
)
def test_s12_a_bad_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"{name}={value}"):
        read_settings({name: value})


@pytest.mark.parametrize(
    ("name", "shard", "lease"),
    [
        ("", "", "bokgu"),
        ("", "default", "bokgu"),
        ("", "eu", "bokgu-eu"),
        ("recovery", "eu", "recovery-eu"),
        ("none", "eu", None),
    ],
)
def test_each_shard_has_a_lease_of_its_own_or_there_is_no_election(name: str, shard: str, lease: str | None) -> None:
    assert read_settings({"BOKGU_LEASE_NAME": name, "BOKGU_SHARD": shard}).lease == lease


def test_the_holder_fits_into_an_intent() -> None:
    assert 0 < len(read_settings({}).holder) <= 63


@pytest.mark.parametrize(
    ("text", "region", "url"),
    [
        ("https://sqs.us-gov-west-1.amazonaws.com/1/a", "us-gov-west-1", "https://sqs.us-gov-west-1.amazonaws.com/1/a"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/a", "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn/1/a"),
        ("https://eu-west-1.queue.amazonaws.com/1/a", "eu-west-1", "https://eu-west-1.queue.amazonaws.com/1/a"),
        ("eu-west-1=https://vpce-1.sqs.example/1/a?b=c", "eu-west-1", "https://vpce-1.sqs.example/1/a?b=c"),
        ("us-east-1=http://127.0.0.1:1/1/a", "us-east-1", "http://127.0.0.1:1/1/a"),
    ],
)
def test_a_queue_has_the_region_of_its_url_or_of_its_prefix(text: str, region: str, url: str) -> None:
    other = "https://sqs.eu-west-2.amazonaws.com/2/b"
    found = read_settings({"BOKGU_EVENT_QUEUES": f"{text}, {other}"}).event_queues
    assert found == (EventQueue(url, region), EventQueue(other, "eu-west-2"))


@pytest.mark.parametrize("text", ["never", "24h", "30d"])
def test_retention_is_a_length_of_time_or_never(text: str) -> None:
    expected = {"never": None, "24h": timedelta(hours=24), "30d": timedelta(days=30)}
    assert read_settings({"BOKGU_RETENTION": text}).retention == expected[text]


def test_retention_is_a_day_at_least_in_worlds_as_fast_as_ours() -> None:
    with pytest.raises(BadSetting, match="BOKGU_RETENTION=90s: must be at least 24h"):
        read_settings({"BOKGU_RETENTION": "90s"})
    assert read_settings({"BOKGU_RETENTION": "4s", "BOKGU_MINUTE": "1s"}).retention == timedelta(seconds=4)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("BOKGU_RETENTION", "0d"),
        ("BOKGU_RETENTION", "a month"),
        ("BOKGU_HISTORY_LIFETIME", "never"),
        ("BOKGU_HISTORY", "postgres"),
        ("BOKGU_HISTORY_TABLE_PREFIX", "a b"),
        ("BOKGU_HISTORY_ROLE_ARN", "arn:aws:iam::123456789012:user/history"),
    ],
)
def test_a_bad_setting_of_the_history_is_named(name: str, text: str) -> None:
    with pytest.raises(BadSetting, match=name):
        read_settings({name: text})


def test_tables_need_a_region() -> None:
    with pytest.raises(BadSetting, match="BOKGU_HISTORY_REGION"):
        read_settings({"BOKGU_HISTORY": "dynamodb"})
    assert read_settings({"BOKGU_HISTORY": "dynamodb", "AWS_REGION": "eu-west-1"}).history_region == "eu-west-1"
