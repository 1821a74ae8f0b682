"""API Gateway in front of services: the metrics that AWS/ApiGateway has of it.

API Gateway developer guide, "Amazon API Gateway dimensions and metrics": a REST API counts `Count`, `4XXError` and
`5XXError` under ApiName, and ApiName with Stage; "API Gateway removes non-ASCII characters from the ApiName dimension
before sending metrics to CloudWatch. If the APIName contains no ASCII characters, the API ID is used as the ApiName".
An HTTP API counts `Count`, `4xx` and `5xx` under ApiId, and ApiId with Stage. The average of an error metric of a REST
API is its rate, because every request is a sample of 0 or 1; the sample count is the number of requests.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["REST", "HTTP"]
GATEWAY_LATENCY_SECONDS = 0.005
"""What the gateway itself adds to a request."""


@dataclass(frozen=True)
class ApiGateway:
    """An API in front of a service. `stage` None: it has no stage of a name (HTTP APIs call theirs `$default`)."""

    kind: Kind
    api_id: str
    name: str
    stage: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}")
        if not self.api_id:
            raise ValueError("an API needs an id")

    @property
    def published_name(self) -> str:
        """The ApiName dimension."""
        return "".join(character for character in self.name if character.isascii()) or self.api_id

    def dimensions(self) -> Iterator[dict[str, str]]:
        """Each set of dimensions that it publishes under."""
        api = {"ApiName": self.published_name} if self.kind == "REST" else {"ApiId": self.api_id}
        yield api
        if self.stage is not None:
            yield {**api, "Stage": self.stage}
