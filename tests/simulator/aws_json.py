"""AWS JSON 1.0 and 1.1: the operation is in X-Amz-Target, parameters and answers are JSON."""

import base64
import json
from dataclasses import dataclass
from typing import Any

from .aws_protocol import Headers, Json, Protocol
from .errors import AwsError

__all__ = ["Json", "JsonProtocol"]


@dataclass(frozen=True)
class JsonProtocol(Protocol):
    """A service that speaks AWS JSON."""

    @property
    def content_type(self) -> str:
        """The media type of requests and answers."""
        return f"application/x-amz-json-{self.model.metadata['jsonVersion']}"

    def parse(self, operation: str, body: bytes) -> Json:
        """The JSON object in the body; blobs in it are base64."""
        try:
            parameters = json.loads(body or b"{}")
        except ValueError as error:
            raise AwsError("SerializationException", "The request body is not JSON.") from error
        if not isinstance(parameters, dict):
            raise AwsError("SerializationException", f"{operation} needs a JSON object.")
        return parameters

    def encode(self, _operation: str, answer: Json, request_id: str) -> tuple[bytes, Headers]:
        """The answer as JSON."""
        return json.dumps(answer, default=_write_blob).encode(), self._headers(request_id)

    def encode_error(self, error: AwsError, request_id: str) -> tuple[bytes, Headers]:
        """`__type` and message.

        awsQueryCompatible services repeat the code of the query protocol in `x-amzn-query-error`; SDKs prefer it.
        """
        headers = self._headers(request_id)
        if "awsQueryCompatible" in self.model.metadata:
            fault = "Sender" if error.status < 500 else "Receiver"
            headers["x-amzn-query-error"] = f"{self.query_code(error)};{fault}"
        content: dict[str, Any] = {"__type": error.code, "message": error.message, **error.members}
        return json.dumps(content).encode(), headers

    def _headers(self, request_id: str) -> Headers:
        return {"Content-Type": self.content_type, "x-amzn-RequestId": request_id}


def _write_blob(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"an answer holds {value!r}, which JSON has no form for")
    return base64.b64encode(value).decode()
