import pytest

from bokgu.api.quotas import DEFAULT_QUOTAS, Quota, parse_quotas


def test_what_is_named_is_set_and_the_rest_stays() -> None:
    found = parse_quotas("GetMetricData=25, ecs=10 ,DescribeTasks=0.5")
    assert found["GetMetricData"] == Quota(25, 25)
    assert found["ecs"] == Quota(10, 10)
    assert found["DescribeTasks"] == Quota(0.5, 1)
    assert {name: found[name] for name in ("FilterLogEvents", "UpdateService", "elbv2")} == {
        name: DEFAULT_QUOTAS[name] for name in ("FilterLogEvents", "UpdateService", "elbv2")
    }


def test_the_defaults_themselves_never_change() -> None:
    parse_quotas("UpdateService=5")
    assert DEFAULT_QUOTAS["UpdateService"] == Quota(1, 1)


def test_of_the_writes_that_everybody_shares_one_a_second_is_ours() -> None:
    assert DEFAULT_QUOTAS["UpdateService"].rate == 1
    assert DEFAULT_QUOTAS["GetMetricData"].rate <= 50
    assert DEFAULT_QUOTAS["FilterLogEvents"].rate <= 5


@pytest.mark.parametrize(
    "text", ["", ",", "ecs", "ecs=", "=5", "ecs=0", "ecs=-1", "ecs=nan", "ecs=fast", "ecs=5,", "ecs 5", "ecs=1=2"]
)
def test_s12_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_quotas(text)


@pytest.mark.parametrize("text", ["ecs=fast", "ecs=", "ecs=inf"])
def test_s12_the_refusal_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAME=CALLS_A_SECOND"):
        parse_quotas(text)
