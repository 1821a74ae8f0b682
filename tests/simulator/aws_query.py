"""The AWS query protocol: the operation and its parameters are a form, answers are XML.

IAM, STS, SNS and Elastic Load Balancing speak it, and older SDKs speak it to CloudWatch.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from .aws_protocol import Headers, Json, Protocol
from .errors import AwsError


@dataclass(frozen=True)
class QueryProtocol(Protocol):
    """A service that speaks the query protocol."""

    def parse(self, operation: str, body: bytes) -> Json:
        """The form as nested members; MalformedInput when a value is not of its type."""
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        shape = self.model.operation_model(operation).input_shape
        if shape is None:
            return {}
        try:
            parameters: Json = _read_structure(form, "", shape)
        except ValueError as error:
            raise AwsError("MalformedInput", f"{operation}: {error}") from error
        return parameters

    def encode(self, operation: str, answer: Json, request_id: str) -> tuple[bytes, Headers]:
        """`<OperationResponse>` around the operation's result wrapper."""
        shape = self.model.operation_model(operation).output_shape
        result = ""
        if shape is not None:
            wrapper = shape.serialization.get("resultWrapper", f"{operation}Result")
            result = f"<{wrapper}>{''.join(_write_members(answer, shape))}</{wrapper}>"
        metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        namespace = self.model.metadata.get("xmlNamespace", "")
        xml = f'<{operation}Response xmlns="{namespace}">{result}{metadata}</{operation}Response>'
        return xml.encode(), _headers(request_id)

    def encode_error(self, error: AwsError, request_id: str) -> tuple[bytes, Headers]:
        """`<ErrorResponse>` with type, code and message."""
        kind = "Sender" if error.status < 500 else "Receiver"
        code = escape(self.query_code(error))
        xml = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code><Message>{escape(error.message)}</Message>"
            f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return xml.encode(), _headers(request_id)


def _headers(request_id: str) -> Headers:
    return {"Content-Type": "text/xml", "x-amzn-RequestId": request_id}


# From the form: `Filters.member.1.Name=…`, `Attributes.entry.1.key=…`; lists and maps that are flattened lack the word.


def _read(form: Mapping[str, str], name: str, shape: Any) -> Any:
    match shape.type_name:
        case "structure":
            return _read_structure(form, f"{name}.", shape)
        case "list":
            return _read_list(form, name, shape)
        case "map":
            return _read_map(form, name, shape)
    if name not in form:
        raise ValueError(f"{name} must be a value, not a structure")
    value = form[name]
    match shape.type_name:
        case "integer" | "long":
            return int(value)
        case "float" | "double":
            return float(value)
        case "boolean":
            if value not in ("true", "false"):
                raise ValueError(f"{name} must be true or false, not {value!r}")
            return value == "true"
        case "blob":
            return base64.b64decode(value, validate=True)
    return value


def _is_given(form: Mapping[str, str], name: str) -> bool:
    return name in form or any(key.startswith(f"{name}.") for key in form)


def _read_structure(form: Mapping[str, str], prefix: str, shape: Any) -> Json:
    found = {}
    for member, member_shape in shape.members.items():
        name = prefix + member_shape.serialization.get("name", member)
        if _is_given(form, name):
            found[member] = _read(form, name, member_shape)
    return found


def _read_list(form: Mapping[str, str], name: str, shape: Any) -> list[Any]:
    if not shape.serialization.get("flattened"):
        name += "." + shape.member.serialization.get("name", "member")
    found: list[Any] = []
    while _is_given(form, entry := f"{name}.{len(found) + 1}"):
        found.append(_read(form, entry, shape.member))
    return found


def _read_map(form: Mapping[str, str], name: str, shape: Any) -> Json:
    if not shape.serialization.get("flattened"):
        name += ".entry"
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    found: Json = {}
    while _is_given(form, entry := f"{name}.{len(found) + 1}"):
        if f"{entry}.{key_name}" not in form:
            raise ValueError(f"{entry} has no {key_name}")
        found[form[f"{entry}.{key_name}"]] = _read(form, f"{entry}.{value_name}", shape.value)
    return found


# To XML


def _write_members(value: Json, shape: Any) -> Iterator[str]:
    for member, member_shape in shape.members.items():
        if value.get(member) is not None:
            yield _write(member_shape.serialization.get("name", member), value[member], member_shape)


def _write(name: str, value: Any, shape: Any) -> str:
    match shape.type_name:
        case "structure":
            return f"<{name}>{''.join(_write_members(value, shape))}</{name}>"
        case "list":
            if shape.serialization.get("flattened"):
                return "".join(_write(name, entry, shape.member) for entry in value)
            entry_name = shape.member.serialization.get("name", "member")
            return f"<{name}>{''.join(_write(entry_name, entry, shape.member) for entry in value)}</{name}>"
        case "map":
            key_name = shape.key.serialization.get("name", "key")
            value_name = shape.value.serialization.get("name", "value")
            entries = (
                f"{_write(key_name, key, shape.key)}{_write(value_name, entry, shape.value)}"
                for key, entry in value.items()
            )
            if shape.serialization.get("flattened"):
                return "".join(f"<{name}>{entry}</{name}>" for entry in entries)
            return f"<{name}>{''.join(f'<entry>{entry}</entry>' for entry in entries)}</{name}>"
        case "boolean":
            return f"<{name}>{'true' if value else 'false'}</{name}>"
        case "timestamp":
            moment = datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return f"<{name}>{moment}</{name}>"
        case "blob":
            return f"<{name}>{base64.b64encode(value).decode()}</{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"
