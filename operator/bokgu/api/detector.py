"""Detector: the CloudWatch queries and thresholds that open incidents."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from bokgu.api.fields import (
    ApiModel,
    DecimalString,
    Duration,
    Line,
    LogGroup,
    StatusModel,
    Timestamp,
    Word,
)
from bokgu.api.meta import Conditions, NameReference, Resource, UidReference
from bokgu.api.vocabulary import Comparison, DetectionState, IncidentType, MissingData, Severity

QueryName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9_]*$")]

PERIOD_RULE = {
    "rule": "duration(self.period).getSeconds() in [1, 5, 10, 20, 30]"
    " || (duration(self.period).getSeconds() > 0 && duration(self.period).getSeconds() % 60 == 0"
    " && duration(self.period) <= duration('24h'))",
    "message": "period must be 1s, 5s, 10s, 20s, 30s or whole minutes, at most 24h",
}
"""Periods that CloudWatch knows (API_MetricStat), up to the longest of an alarm (API_PutMetricAlarm)."""

SETTLE_RULE = {"rule": "duration(self.settle) <= duration('24h')", "message": "settle must be at most 24h"}

LONGEST_CALM = 1440
"""Datapoints that `clearAfter` may be long [our choice]: all of them are looked at in each pass."""


class Dimension(ApiModel):
    """One CloudWatch dimension."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(description="Name of the dimension.")
    value: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(description="Its value.")


class LogPattern(ApiModel):
    """A CloudWatch Logs filter pattern. Its value in a period is the number of matching events.

    CloudWatch Logs answers five such reads a second in a whole account (FilterLogEvents quota): a metric filter serves
    more services.
    """

    log_group: LogGroup = Field(description="Name of the log group.")
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description='Filter pattern in CloudWatch Logs syntax, such as "checksum mismatch".'
    )


class Query(ApiModel):
    """One raw CloudWatch metric, or a log pattern. Arithmetic is done by the operator: metric math cannot be paged."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        PERIOD_RULE,
        {
            "rule": "has(self.log) ? !has(self.namespace) && !has(self.metricName)"
            " : has(self.namespace) && has(self.metricName)",
            "message": "give either namespace and metricName, or log",
        },
    )

    name: QueryName = Field(description="Name by which conditions refer to the query.")
    namespace: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="CloudWatch namespace, such as AWS/ApplicationELB."
    )
    metric_name: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        default=None, description="CloudWatch metric, such as RequestCount."
    )
    log: LogPattern | None = Field(default=None, description="A log pattern to count instead of a metric.")
    dimensions: Annotated[tuple[Dimension, ...], Field(max_length=30)] = Field(
        default=(), description="Its dimensions, all of them: CloudWatch matches them exactly."
    )
    stat: Annotated[str, StringConstraints(max_length=32)] = Field(
        default="Sum", description="Statistic, such as Sum, Average or p99."
    )
    period: Duration = Field(
        default="1m",
        description="Length of a datapoint: 1s, 5s, 10s, 20s, 30s or whole minutes up to 24h (CloudWatch API).",
    )


class Ratio(ApiModel):
    """One query divided by another. The numerator is zero only where the denominator has a datapoint."""

    numerator: QueryName = Field(description="Query of the part, such as failed requests.")
    denominator: QueryName = Field(description="Query of the whole, such as all requests.")
    include_numerator: bool = Field(
        default=False,
        description="The denominator does not count what the numerator counts: add it. The ratio then needs only one of"
        " the two to have a datapoint.",
    )
    min_denominator: DecimalString = Field(
        default="0", description="Below this many in a period the ratio says nothing."
    )


class MinVolume(ApiModel):
    """So much must have happened before the condition may fire."""

    query: QueryName = Field(description="Query that counts, such as all requests.")
    sum: DecimalString = Field(description="Least sum of its datapoints over the evaluated periods.")


class DatapointsToAlarm(ApiModel):
    """An m of n of its own."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "self.datapointsToAlarm <= self.evaluationPeriods",
            "message": "datapointsToAlarm must not exceed evaluationPeriods",
        },
    )

    evaluation_periods: int = Field(ge=1, le=100, description="How many of the latest periods are looked at.")
    datapoints_to_alarm: int = Field(ge=1, le=100, description="How many of them must pass the threshold.")


class Thresholds(ApiModel):
    """From where on it is an incident, and of which severity. At least one is given."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {
            "rule": "has(self.medium) || has(self.high) || has(self.critical)",
            "message": "thresholds: give at least one of medium, high and critical",
        },
    )

    medium: DecimalString | None = Field(default=None, description="Threshold of a medium incident.")
    high: DecimalString | None = Field(default=None, description="Threshold of a high one.")
    critical: DecimalString | None = Field(default=None, description="Threshold of a critical one.")


class DetectorCondition(ApiModel):
    """When the queries mean trouble."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {"rule": "has(self.query) != has(self.ratio)", "message": "give either query or ratio"},
        {
            "rule": "self.datapointsToAlarm <= self.evaluationPeriods",
            "message": "datapointsToAlarm must not exceed evaluationPeriods",
        },
    )

    name: QueryName = Field(description="Name of what is measured, such as error_rate.")
    type: IncidentType = Field(description="Type of the incident that it opens.")
    query: QueryName | None = Field(default=None, description="Query whose value is compared.")
    ratio: Ratio | None = Field(default=None, description="Ratio that is compared.")
    comparison: Comparison = Field(
        default=Comparison.GREATER_THAN, description="How the value is compared with the thresholds."
    )
    thresholds: Thresholds = Field(description="From where on it is an incident, and of which severity.")
    evaluation_periods: int = Field(
        default=5, ge=1, le=100, description="How many of the latest periods are looked at."
    )
    datapoints_to_alarm: int = Field(default=3, ge=1, le=100, description="How many of them must pass the threshold.")
    critical_evaluation: DatapointsToAlarm | None = Field(
        default=None, description="Another m of n for the critical threshold: what is worse is told sooner."
    )
    min_volumes: Annotated[tuple[MinVolume, ...], Field(max_length=4)] = Field(
        default=(), description="Volumes below which the condition does not fire."
    )
    treat_missing_data: MissingData = Field(
        default=MissingData.MISSING, description="What a period without data means; missing: nothing."
    )
    clear_threshold: DecimalString | None = Field(
        default=None,
        description="The trouble is over only below this (above it, for Less comparisons); default: the lowest"
        " threshold.",
    )
    clear_after: Duration = Field(
        default="5m",
        description="How long the value must stay below every threshold until it is over; at most 1440 periods.",
    )


class DetectorSpec(ApiModel):
    """What is watched."""

    rules: ClassVar[tuple[dict[str, str], ...]] = (
        {"rule": "duration(self.interval) >= duration('1s')", "message": "spec.interval must be at least 1s"},
        SETTLE_RULE,
        {
            "rule": "self.conditions.all(c, (!has(c.query) || self.queries.exists(q, q.name == c.query))"
            " && (!has(c.ratio) || (self.queries.exists(q, q.name == c.ratio.numerator)"
            " && self.queries.exists(q, q.name == c.ratio.denominator))) && (!has(c.minVolumes)"
            " || c.minVolumes.all(v, self.queries.exists(q, q.name == v.query))))",
            "message": "spec.conditions: every query that a condition names must be in spec.queries",
        },
        {
            "rule": "self.conditions.all(c, self.conditions.exists_one(d, d.name == c.name))"
            " && self.queries.all(q, self.queries.exists_one(p, p.name == q.name))",
            "message": "names of queries and of conditions must be unique",
        },
        {
            "rule": "self.conditions.all(c, !has(c.ratio) || self.queries.all(n, n.name != c.ratio.numerator"
            " || self.queries.all(d, d.name != c.ratio.denominator || d.period == n.period)))",
            "message": "spec.conditions: the two queries of a ratio must have the same period",
        },
        {
            "rule": "self.conditions.all(c, self.queries.all(q, !((has(c.query) && q.name == c.query)"
            " || (has(c.ratio) && q.name == c.ratio.denominator)) || duration(self.interval).getSeconds()"
            " <= c.evaluationPeriods * duration(q.period).getSeconds()))",
            "message": "spec.interval must not be longer than evaluationPeriods periods: some would never be looked at",
        },
        {
            "rule": "self.conditions.all(c, self.queries.all(q, !((has(c.query) && q.name == c.query)"
            " || (has(c.ratio) && q.name == c.ratio.denominator)) || duration(c.clearAfter).getSeconds()"
            f" <= {LONGEST_CALM} * duration(q.period).getSeconds()))",
            "message": f"spec.conditions: clearAfter must not be longer than {LONGEST_CALM} periods",
        },
    )

    service_ref: NameReference = Field(description="The ProtectedService that is watched.")
    interval: Duration = Field(default="1m", description="How often to look.")
    settle: Duration = Field(
        default="2m", description="Leave out datapoints younger than this, at most 24h: CloudWatch delivers late."
    )
    queries: Annotated[tuple[Query, ...], Field(min_length=1, max_length=16)] = Field(
        description="The metrics to fetch."
    )
    conditions: Annotated[tuple[DetectorCondition, ...], Field(min_length=1, max_length=16)] = Field(
        description="When they mean trouble."
    )
    suspend: bool = Field(default=False, description="Do not look for now.")


class Detection(StatusModel):
    """What one condition of the detector says."""

    condition: Word = Field(description="Name of the condition.")
    state: DetectionState = Field(description="Firing, Clear, or Unknown where data is missing.")
    since: Timestamp = Field(description="Since when.")
    severity: Severity | None = Field(default=None, description="Severity while it fires.")
    value: DecimalString | None = Field(default=None, description="The value when the state was last written.")
    incident: UidReference | None = Field(default=None, description="The open incident that it belongs to.")
    message: Line = Field(default="", description="The same for people.")


class DetectorStatus(StatusModel):
    """What the detector sees."""

    observed_generation: int | None = Field(default=None, ge=0, description="The generation last acted on.")
    detections: Annotated[tuple[Detection, ...], Field(max_length=16)] = Field(
        default=(), description="What each condition says; written when it changes."
    )
    summary: Word | None = Field(default=None, description="The worst of them.")
    conditions: Conditions = ()


class Detector(Resource):
    """Watches CloudWatch metrics of one protected service and opens incidents."""

    kind_name = "Detector"
    plural = "detectors"
    short_names = ("det",)
    printer_columns = (
        {"name": "Service", "type": "string", "jsonPath": ".spec.serviceRef.name"},
        {"name": "State", "type": "string", "jsonPath": ".status.summary"},
        {"name": "Interval", "type": "string", "jsonPath": ".spec.interval"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {
            "name": "Reason",
            "type": "string",
            "jsonPath": ".status.conditions[?(@.type=='Ready')].reason",
            "priority": 1,
        },
    )

    spec: DetectorSpec
    status: DetectorStatus = Field(default_factory=DetectorStatus)
