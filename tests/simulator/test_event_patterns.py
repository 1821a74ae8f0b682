"""Event patterns, as the EventBridge user guide has them: "Comparison operators for use in event patterns"."""

import json
from typing import Any

import pytest

from .event_patterns import EventPatternError, matches, parse_pattern

EVENT = {
    "source": "aws.ecs",
    "detail-type": "ECS Task State Change",
    "time": "2017-10-02T18:43:48Z",
    "resources": ["arn:aws:ecs:us-east-1:123456789012:task/demo/1", "arn:other"],
    "detail": {
        "lastStatus": "STOPPED",
        "stopCode": "EssentialContainerExited",
        "version": 5,
        "ratio": 301.8,
        "address": "10.0.0.24",
        "path": "/app/lib/file*.PNG",
        "group": "service:web",
        "flag": True,
        "empty": "",
        "nothing": None,
        "containers": [{"name": "app", "exitCode": 1}, {"name": "sidecar", "exitCode": 0}],
        "nested": {"c1": 100},
    },
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["aws.ecs"]}, True),
        ({"source": ["aws.ec2", "aws.ecs"]}, True),
        ({"source": ["aws.ecs"], "detail-type": ["ECS Service Action"]}, False),
        ({"source": [{"prefix": "aws."}]}, True),
        ({"time": [{"prefix": "2017-10-02"}]}, True),
        ({"source": [{"prefix": {"equals-ignore-case": "AWS."}}]}, True),
        ({"detail": {"path": [{"suffix": ".png"}]}}, False),
        ({"detail": {"path": [{"suffix": {"equals-ignore-case": ".png"}}]}}, True),
        ({"detail": {"stopCode": [{"equals-ignore-case": "essentialcontainerexited"}]}}, True),
        ({"detail": {"lastStatus": [{"anything-but": "RUNNING"}]}}, True),
        ({"detail": {"lastStatus": [{"anything-but": ["RUNNING", "STOPPED"]}]}}, False),
        ({"detail": {"version": [{"anything-but": [100, 5]}]}}, False),
        ({"detail": {"lastStatus": [{"anything-but": {"prefix": "STOP"}}]}}, False),
        ({"detail": {"path": [{"anything-but": {"wildcard": "*/lib/*"}}]}}, False),
        ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
        ({"detail": {"version": [{"numeric": [">", 0, "<=", 5]}]}}, True),
        ({"detail": {"version": [{"numeric": ["<", 5]}]}}, False),
        ({"detail": {"ratio": [{"numeric": ["=", 3.018e2]}]}}, True),
        ({"detail": {"group": [{"numeric": [">", 0]}]}}, False),
        ({"detail": {"address": [{"cidr": "10.0.0.0/24"}]}}, True),
        ({"detail": {"address": [{"cidr": "10.0.1.0/24"}]}}, False),
        ({"detail": {"group": [{"cidr": "10.0.1.0/24"}]}}, False),
        ({"detail": {"stopCode": [{"exists": True}]}}, True),
        ({"detail": {"missing": [{"exists": False}]}}, True),
        ({"detail": {"stopCode": [{"exists": False}]}}, False),
        ({"detail": {"nested": [{"exists": False}]}}, True),
        ({"absent": {"within": [{"exists": False}]}}, True),
        ({"detail": {"group": [{"wildcard": "service:*"}]}}, True),
        ({"detail": {"path": [{"wildcard": "/app/*/file\\*.PNG"}]}}, True),
        ({"detail": {"path": [{"wildcard": "/app/*.txt"}]}}, False),
        ({"detail": {"empty": [""]}}, True),
        ({"detail": {"nothing": [None]}}, True),
        ({"detail": {"missing": [None]}}, False),
        ({"detail": {"flag": [True]}}, True),
        ({"detail": {"flag": [1]}}, False),
        ({"detail": {"version": [5.0]}}, True),
        ({"detail": {"version": ["5"]}}, False),
        ({"resources": ["arn:other"]}, True),
        ({"resources": [{"wildcard": "arn:aws:ecs:*:task/demo/*"}]}, True),
        ({"detail": {"containers": {"exitCode": [1]}}}, True),
        ({"detail": {"containers": {"exitCode": [{"numeric": [">", 1]}]}}}, False),
        ({"$or": [{"source": ["aws.ec2"]}, {"detail": {"version": [5]}}]}, True),
        ({"detail": {"$or": [{"version": [6]}, {"flag": [False]}]}}, False),
    ],
)
def test_pattern(pattern: dict[str, Any], expected: bool) -> None:
    """Every field that the pattern names has to fit one of its values; of arrays, one element has to."""
    assert matches(parse_pattern(json.dumps(pattern)), EVENT) is expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"source": "aws.ecs"}',
        '{"source": []}',
        '{"source": {}}',
        '{"source": [{"unknown": 1}]}',
        '{"source": [{"prefix": 1}]}',
        '{"source": [{"prefix": "a", "suffix": "b"}]}',
        '{"source": [{"exists": "yes"}]}',
        '{"source": [{"numeric": [">"]}]}',
        '{"source": [{"numeric": ["~", 1]}]}',
        '{"source": [{"cidr": "somewhere"}]}',
        '{"source": [["aws.ecs"]]}',
        '{"$or": [{"source": ["a"]}]}',
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    """PutRule answers InvalidEventPatternException."""
    with pytest.raises(EventPatternError, match="Event pattern is not valid"):
        parse_pattern(text)
