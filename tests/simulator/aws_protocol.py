"""What AWS's wire protocols have in common: requests validated, and answers checked, by botocore's service models."""

import base64
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from botocore.utils import parse_to_aware_datetime
from botocore.validate import ParamValidator

from .errors import AwsError

Json = dict[str, Any]
"""A JSON object as AWS names its members; timestamps in it are seconds since the epoch."""

Headers = dict[str, str]


@dataclass(frozen=True)
class Protocol(ABC):
    """One service's side of a protocol.

    `service` is botocore's name, `model` its ServiceModel. `invalid_code` is the error for a request that does not fit
    the model, which differs by service.
    """

    service: str
    invalid_code: str
    model: Any

    @abstractmethod
    def parse(self, operation: str, body: bytes) -> Json:
        """The parameters as the body has them; AwsError when it is not of the protocol."""

    @abstractmethod
    def encode(self, operation: str, answer: Json, request_id: str) -> tuple[bytes, Headers]:
        """Body and headers of a good answer."""

    @abstractmethod
    def encode_error(self, error: AwsError, request_id: str) -> tuple[bytes, Headers]:
        """Body and headers of an error answer."""

    def decode(self, operation: str, body: bytes) -> Json:
        """The request's parameters, valid by the model; AwsError when the operation or a parameter is not."""
        if operation not in self.model.operation_names:
            raise AwsError("UnknownOperationException", f"{self.service} has no operation {operation}.")
        parameters = self.parse(operation, body)
        shape = self.model.operation_model(operation).input_shape
        if shape is None:
            return {}
        report = ParamValidator().validate(parameters, shape)
        if report.has_errors():
            raise AwsError(self.invalid_code, str(report.generate_report()))
        try:
            decoded: Json = _normalise(parameters, shape)
        except ValueError as error:
            raise AwsError("SerializationException", f"{operation}: {error}") from error
        return decoded

    def check_answer(self, operation: str, answer: Json) -> str:
        """What in `answer` the operation's output shape does not allow; empty when all is well."""
        shape = self.model.operation_model(operation).output_shape
        if shape is None:
            return "" if not answer else f"{operation} has no output"
        report = ParamValidator().validate(answer, shape)
        return str(report.generate_report()) if report.has_errors() else ""

    def query_code(self, error: AwsError) -> str:
        """The error's code in the query protocol, which some models give beside the name of the shape."""
        if error.query_code is not None:
            return error.query_code
        if error.code not in self.model.shape_names:
            return error.code
        return str(self.model.shape_for(error.code).metadata.get("error", {}).get("code", error.code))


def _normalise(value: Any, shape: Any) -> Any:
    """`value` with every timestamp as seconds since the epoch, and every blob as bytes.

    JSON has numbers or ISO 8601 for timestamps, base64 for blobs.
    """
    match shape.type_name:
        case "structure":
            return {name: _normalise(member, shape.members[name]) for name, member in value.items()}
        case "list":
            return [_normalise(member, shape.member) for member in value]
        case "map":
            return {key: _normalise(member, shape.value) for key, member in value.items()}
        case "timestamp":
            return parse_to_aware_datetime(value).timestamp()
        case "blob" if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    return value
