"""Token buckets: what an account gets through, and what others leave of it."""

import time

import pytest
from botocore.exceptions import ClientError

from .clock import Clock
from .control import ControlError
from .harness import CLUSTER, Scene
from .rate_limits import QUOTAS, RateLimits, TokenBucket

ACCOUNT, REGION = "123456789012", "us-east-1"


def test_bucket_holds_its_burst_and_refills_at_its_rate() -> None:
    """ECS API reference, "Request throttling for the Amazon ECS API": the bucket of cluster reads has 50 tokens, and
    20 come back every second, up to the maximum capacity."""
    quota = QUOTAS["ecs-cluster-read"]
    bucket = TokenBucket(quota.rate, quota.burst, now=0.0)
    assert sum(bucket.take(0.0) for _ in range(60)) == 50
    assert sum(bucket.take(1.0) for _ in range(60)) == 20
    assert sum(bucket.take(1000.0) for _ in range(60)) == 50


def test_others_drain_the_bucket() -> None:
    """Scenario 77: a pipeline that calls faster than the bucket refills leaves nothing, until it stops."""
    bucket = TokenBucket(rate=5, burst=50, now=0.0)
    bucket.drain(rate=30, until=100.0, now=0.0)
    assert bucket.take(1.0), "25 tokens are left after a second"
    assert not bucket.take(10.0)
    assert not bucket.take(100.0)
    assert bucket.take(100.5)


def test_others_who_leave_some() -> None:
    """One who takes 3 of 5 leaves 2 a second."""
    bucket = TokenBucket(rate=5, burst=5, now=0.0)
    bucket.drain(rate=3, until=100.0, now=0.0)
    assert sum(bucket.take(0.0) for _ in range(9)) == 5
    assert sum(bucket.take(1.0) for _ in range(9)) == 2


def test_nothing_is_throttled_until_told(scene: Scene) -> None:
    """More calls than any burst."""
    for _ in range(60):
        scene.ecs.describe_clusters()
    assert scene.control.rate_limits()["enforced"] is False


def test_calls_beyond_the_burst_are_throttled(scene: Scene) -> None:
    """Same page: "If you exceed an API throttling quota, you get the ThrottlingException error code": Rate exceeded."""
    scene.control.enforce_rate_limits(time="wall")
    scene.control.set_quota("ecs-cluster-read", rate=0.001, burst=2)
    scene.ecs.describe_clusters()
    scene.ecs.describe_clusters()
    with pytest.raises(ClientError) as caught:
        scene.ecs.describe_clusters()
    assert caught.value.response["Error"] == {"Code": "ThrottlingException", "Message": "Rate exceeded"}
    call = scene.control.calls("DescribeClusters")[-1]
    assert (call.result, call.effect, call.fault) == ("ThrottlingException", False, None)
    scene.ecs.describe_services(cluster=CLUSTER, services=["web"])
    scene.client("ecs", region_name="eu-west-1").describe_clusters()
    scene.client("ecs", **scene.assume("arn:aws:iam::210987654321:role/a")).describe_clusters()
    scene.control.lift_rate_limits()
    scene.ecs.describe_clusters()


def test_quota_seconds_are_compressed_with_the_rest(scene: Scene) -> None:
    """At 600 times real time 20 a second are 12,000: a loop over HTTP cannot empty the bucket."""
    scene.control.enforce_rate_limits()
    for _ in range(100):
        scene.ecs.describe_clusters()


def test_calls_from_elsewhere(scene: Scene) -> None:
    """The bucket of UpdateService, 5 a second with a burst of 50, "shared with everybody's CI"."""
    scene.create_stable()
    scene.control.call_from_elsewhere("UpdateService", per_second=1000, seconds=1200)
    deadline = time.monotonic() + 2
    while not _is_throttled(scene):
        assert time.monotonic() < deadline, "the pipeline leaves tokens"
    scene.describe()
    while _is_throttled(scene):
        assert time.monotonic() < deadline + 3, "the pipeline does not end"


def _is_throttled(scene: Scene) -> bool:
    try:
        scene.update(desiredCount=3)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ThrottlingException"  # noqa: PT017
        return True
    return False


def test_unknown_names_are_refused(scene: Scene) -> None:
    """With what there is."""
    with pytest.raises(ControlError, match="no quota ecs-everything; there are ecs-cluster-read"):
        scene.control.set_quota("ecs-everything", rate=1, burst=1)
    with pytest.raises(ControlError, match="no quota for CreateCluster"):
        scene.control.call_from_elsewhere("CreateCluster", per_second=1, seconds=1)


def test_operation_has_one_bucket() -> None:
    """Every operation is in one bucket at most."""
    named = [(quota.service, operation) for quota in QUOTAS.values() for operation in quota.operations]
    assert len(named) == len(set(named))


def test_uncounted_operation_is_never_throttled() -> None:
    """Those that are in no bucket."""
    limits = RateLimits(Clock())
    limits.enforce("wall")
    for _ in range(1000):
        limits.check("ecs", "CreateCluster", ACCOUNT, REGION)
