"""AWS calls: how many, how long they took, and where AWS or the operator itself slowed them down."""

from prometheus_client import Counter, Histogram

from bokgu.metrics.registry import REGISTRY

AWS_REQUESTS = Counter(
    "bokgu_aws_requests",
    "AWS calls by their result: OK, AWS's error code, or why there was no answer.",
    ["service", "operation", "code"],
    registry=REGISTRY,
)
AWS_SECONDS = Histogram(
    "bokgu_aws_request_duration_seconds",
    "Duration of AWS calls, with all attempts of the SDK.",
    ["service", "operation"],
    registry=REGISTRY,
)
AWS_THROTTLES = Counter(
    "bokgu_aws_throttles",
    "Answers by which AWS said that it is asked too often, also those after which the SDK tried again.",
    ["service", "operation"],
    registry=REGISTRY,
)
AWS_HELD_BACK = Counter(
    "bokgu_aws_held_back_seconds",
    "Seconds for which calls waited so that the account's quota holds.",
    ["service", "operation"],
    registry=REGISTRY,
)
