"""Every wire protocol that AWS's clients speak, against botocore's own."""

from datetime import UTC, datetime

import botocore.model
import pytest
from botocore.exceptions import ClientError

from .aws_cbor import decode_cbor
from .errors import AwsError
from .harness import Scene
from .protocols import load_protocols

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("protocol", ["json", "query", "smithy-rpc-v2-cbor"])
def test_cloudwatch_in_each_protocol(scene: Scene, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore's model of CloudWatch, `protocols`: older SDKs send forms, newer ones CBOR; the answers are the same."""
    monkeypatch.setattr(botocore.model.ServiceModel, "resolved_protocol", protocol)
    client = scene.client("cloudwatch")
    data = [
        {
            "MetricName": "orders",
            "Dimensions": [{"Name": "Shop", "Value": "서울 <1>"}],
            "Timestamp": NOW,
            "Values": [1.5, 300.0],
            "Counts": [2.0, 1.0],
            "Unit": "Count",
        }
    ]
    client.put_metric_data(Namespace="App", MetricData=data)
    listed = client.list_metrics(Namespace="App")["Metrics"]
    assert listed == [
        {"Namespace": "App", "MetricName": "orders", "Dimensions": [{"Name": "Shop", "Value": "서울 <1>"}]}
    ]
    query = {"Id": "m", "MetricStat": {"Metric": listed[0], "Period": 60, "Stat": "Sum"}}
    start = NOW.replace(second=0)
    result = client.get_metric_data(
        MetricDataQueries=[query], StartTime=start, EndTime=datetime.fromtimestamp(start.timestamp() + 60, UTC)
    )["MetricDataResults"][0]
    assert (result["Values"], result["Timestamps"], result["StatusCode"]) == ([303.0], [start], "Complete")
    with pytest.raises(ClientError) as caught:
        client.get_metric_data(MetricDataQueries=[query], StartTime=NOW, EndTime=NOW)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
    assert scene.control.calls("PutMetricData")[-1].service == "cloudwatch"


@pytest.mark.parametrize("form", [b"PageSize=many", b"Names.member.1.x=1"])
def test_query_protocol_with_a_value_of_another_type(form: bytes) -> None:
    """A form has strings only: what is not of its member's type is refused."""
    protocol = load_protocols().by_signing_name["elasticloadbalancing"]
    with pytest.raises(AwsError, match="MalformedInput"):
        protocol.decode("DescribeLoadBalancers", form)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("1864", 100),
        ("3863", -100),
        ("f93c00", 1.0),
        ("fa47c35000", 100000.0),
        ("c11a514b67b0", 1363896240),
        ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
        ("7f657374726561646d696e67ff", "streaming"),
        ("5f42010243030405ff", b"\x01\x02\x03\x04\x05"),
        ("84f4f5f6f7", [False, True, None, None]),
    ],
)
def test_cbor_examples(body: str, value: object) -> None:
    """RFC 8949, appendix A, "Examples of Encoded CBOR Data Items"."""
    assert decode_cbor(bytes.fromhex(body)) == value


@pytest.mark.parametrize("body", ["", "62", "ff", "0101", "f8ff", "1f"])
def test_what_is_no_cbor(body: str) -> None:
    """It is refused, and nothing else happens."""
    with pytest.raises(AwsError, match="SerializationException"):
        decode_cbor(bytes.fromhex(body))


def test_unknown_operation_and_protocol(scene: Scene) -> None:
    """Services that are simulated do not fall through to moto."""
    with pytest.raises(ClientError) as caught:
        scene.ecs.list_attributes(targetType="container-instance")
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
    with pytest.raises(ClientError) as caught:
        scene.client("elbv2").describe_account_limits()
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
