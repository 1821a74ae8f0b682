"""AWS JSON 1.0 and 1.1: requests validated, and answers shaped, by botocore's own service models."""

import functools
import json
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator

from .errors import AwsError

Json = dict[str, Any]
"""A JSON object as AWS names its members; timestamps in it are seconds since the epoch."""


@dataclass(frozen=True)
class Protocol:
    """One service's side of the protocol.

    `invalid_code` is the error for a request that does not fit the model, which differs by service.
    """

    service: str
    target_prefix: str
    json_version: str
    invalid_code: str
    model: Any

    @property
    def content_type(self) -> str:
        """The media type of requests and answers."""
        return f"application/x-amz-json-{self.json_version}"

    def decode(self, operation: str, body: bytes) -> Json:
        """The request's parameters, valid by the model; AwsError when the operation or a parameter is not."""
        if operation not in self.model.operation_names:
            raise AwsError("UnknownOperationException", f"{self.service} has no operation {operation}.")
        try:
            parameters = json.loads(body or b"{}")
        except ValueError as error:
            raise AwsError("SerializationException", "The request body is not JSON.") from error
        shape = self.model.operation_model(operation).input_shape
        if shape is None:
            return {}
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise AwsError(self.invalid_code, str(report.generate_report()))
        decoded: Json = _with_epoch_times(parameters, shape)
        return decoded

    def check_answer(self, operation: str, answer: Json) -> str:
        """What in `answer` the operation's output shape does not allow; empty when all is well."""
        shape = self.model.operation_model(operation).output_shape
        if shape is None:
            return "" if not answer else f"{operation} has no output"
        report = ParamValidator().validate(answer, shape)
        return str(report.generate_report()) if report.has_errors() else ""

    def encode_error(self, error: AwsError) -> tuple[bytes, dict[str, str]]:
        """Body and headers of an error answer.

        awsQueryCompatible services repeat the code of the query protocol in `x-amzn-query-error`; SDKs prefer it.
        """
        code = error.code
        headers = {"Content-Type": self.content_type}
        if "awsQueryCompatible" in self.model.metadata:
            fault = "Sender" if error.status < 500 else "Receiver"
            headers["x-amzn-query-error"] = f"{error.query_code or self._query_code(code)};{fault}"
        return json.dumps({"__type": code, "message": error.message}).encode(), headers

    def _query_code(self, code: str) -> str:
        shapes = self.model.shape_names
        return str(self.model.shape_for(code).metadata.get("error", {}).get("code", code)) if code in shapes else code


def _with_epoch_times(value: Any, shape: Any) -> Any:
    """`value` with every timestamp of `shape` as seconds since the epoch; JSON allows numbers and ISO 8601."""
    if shape.type_name == "structure":
        return {name: _with_epoch_times(member, shape.members[name]) for name, member in value.items()}
    if shape.type_name == "list":
        return [_with_epoch_times(member, shape.member) for member in value]
    if shape.type_name == "timestamp":
        return parse_to_aware_datetime(value).timestamp()
    return value


@functools.cache
def load_protocols() -> dict[str, Protocol]:
    """The protocols of the services simulated here, by the prefix of their X-Amz-Target header."""
    session = botocore.session.get_session()
    protocols = {}
    for service, invalid_code in (("ecs", "InvalidParameterException"), ("cloudwatch", "ValidationException")):
        model = session.get_service_model(service)
        prefix = model.metadata["targetPrefix"]
        protocols[prefix] = Protocol(service, prefix, model.metadata["jsonVersion"], invalid_code, model)
    return protocols
