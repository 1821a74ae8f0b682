"""Smithy RPC v2 CBOR: the operation is in the path, parameters and answers are CBOR (RFC 8949).

Newer SDKs and the AWS CLI prefer it to AWS JSON where a service offers both, as CloudWatch does.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .aws_protocol import Headers, Json, Protocol
from .errors import AwsError

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_INDEFINITE = 31
_EPOCH_TAG = 1
_FALSE, _TRUE = 20, 21
_BREAK = object()


@dataclass(frozen=True)
class CborProtocol(Protocol):
    """A service that speaks RPC v2 CBOR."""

    def parse(self, operation: str, body: bytes) -> Json:
        """The CBOR map in the body."""
        parameters = decode_cbor(body) if body else {}
        if not isinstance(parameters, dict):
            raise AwsError("SerializationException", f"{operation} needs a map.")
        return parameters

    def encode(self, operation: str, answer: Json, request_id: str) -> tuple[bytes, Headers]:
        """The answer as CBOR, timestamps tagged as such."""
        shape = self.model.operation_model(operation).output_shape
        return (b"" if shape is None else b"".join(_encode(answer, shape))), _headers(request_id)

    def encode_error(self, error: AwsError, request_id: str) -> tuple[bytes, Headers]:
        """`__type` and message; `x-amzn-query-error` as AWS JSON has it."""
        headers = _headers(request_id)
        if "awsQueryCompatible" in self.model.metadata:
            fault = "Sender" if error.status < 500 else "Receiver"
            headers["x-amzn-query-error"] = f"{self.query_code(error)};{fault}"
        return b"".join(_encode_plain({"__type": error.code, "message": error.message})), headers


def _headers(request_id: str) -> Headers:
    return {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor", "x-amzn-RequestId": request_id}


# To CBOR


def _encode(value: Any, shape: Any) -> Iterator[bytes]:
    match shape.type_name:
        case "structure":
            present = {name: member for name, member in value.items() if member is not None}
            yield _head(_MAP, len(present))
            for name, member in present.items():
                yield from _encode_plain(name)
                yield from _encode(member, shape.members[name])
        case "list":
            yield _head(_ARRAY, len(value))
            for entry in value:
                yield from _encode(entry, shape.member)
        case "map":
            yield _head(_MAP, len(value))
            for name, entry in value.items():
                yield from _encode_plain(name)
                yield from _encode(entry, shape.value)
        case "timestamp":
            yield _head(_TAG, _EPOCH_TAG)
            yield from _encode_plain(float(value))
        case "float" | "double":
            yield from _encode_plain(float(value))
        case _:
            yield from _encode_plain(value)


def _encode_plain(value: Any) -> Iterator[bytes]:
    match value:
        case bool():
            yield _head(_SIMPLE, _TRUE if value else _FALSE)
        case int():
            yield _head(_UNSIGNED, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
        case float():
            yield b"\xfb" + struct.pack(">d", value)
        case str():
            text = value.encode()
            yield _head(_TEXT, len(text)) + text
        case bytes():
            yield _head(_BYTES, len(value)) + value
        case dict():
            yield _head(_MAP, len(value))
            for name, entry in value.items():
                yield from _encode_plain(name)
                yield from _encode_plain(entry)
        case _:
            raise TypeError(f"an answer holds {value!r}, which has no form here")


def _head(major: int, argument: int) -> bytes:
    for bits, (limit, layout) in enumerate(((1 << 8, ">B"), (1 << 16, ">H"), (1 << 32, ">I"), (1 << 64, ">Q"))):
        if argument < 24:
            return bytes([major << 5 | argument])
        if argument < limit:
            return bytes([major << 5 | 24 + bits]) + struct.pack(layout, argument)
    raise ValueError(f"{argument} is too large for CBOR")


# From CBOR


def decode_cbor(body: bytes) -> Any:
    """The one item in `body`; timestamps become seconds since the epoch. SerializationException for anything else."""
    reader = _Reader(body)
    try:
        value = reader.read()
    except (IndexError, ValueError, struct.error, TypeError) as error:
        raise AwsError("SerializationException", "The request body is not CBOR.") from error
    if value is _BREAK or reader.position != len(body):
        raise AwsError("SerializationException", "The request body is not one CBOR item.")
    return value


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self.position = 0

    def read(self) -> Any:
        initial = self._take(1)[0]
        major, info = initial >> 5, initial & 31
        if major == _SIMPLE:
            return self._read_simple(info)
        if info == _INDEFINITE:
            return self._read_indefinite(major)
        argument = info if info < 24 else int.from_bytes(self._take(1 << info - 24), "big")
        match major:
            case 0:
                return argument
            case 1:
                return -1 - argument
            case 2:
                return self._take(argument)
            case 3:
                return self._take(argument).decode()
            case 4:
                return [self.read() for _ in range(argument)]
            case 5:
                return {self.read(): self.read() for _ in range(argument)}
        return self.read()

    def _read_simple(self, info: int) -> Any:
        match info:
            case 20 | 21:
                return info == _TRUE
            case 22 | 23:
                return None
            case 25:
                return struct.unpack(">e", self._take(2))[0]
            case 26:
                return struct.unpack(">f", self._take(4))[0]
            case 27:
                return struct.unpack(">d", self._take(8))[0]
            case 31:
                return _BREAK
        raise ValueError(f"simple value {info}")

    def _read_indefinite(self, major: int) -> Any:
        items: list[Any] = []
        while (item := self.read()) is not _BREAK:
            items.append(item)
        match major:
            case 2:
                return b"".join(items)
            case 3:
                return "".join(items)
            case 4:
                return items
            case 5:
                return dict(zip(items[::2], items[1::2], strict=True))
        raise ValueError(f"major type {major} of indefinite length")

    def _take(self, count: int) -> bytes:
        taken = self._body[self.position : self.position + count]
        if len(taken) < count:
            raise ValueError("the body ends too early")
        self.position += count
        return taken
