"""Which protocol a request is in, and the services known here."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import botocore.session

from .aws_cbor import CborProtocol
from .aws_json import JsonProtocol
from .aws_protocol import Protocol
from .aws_query import QueryProtocol

INVALID_CODES = {
    "application-autoscaling": "ValidationException",
    "cloudformation": "ValidationError",
    "cloudtrail": "InvalidParameterCombinationException",
    "cloudwatch": "ValidationException",
    "codedeploy": "ValidationException",
    "ecs": "InvalidParameterException",
    "elbv2": "ValidationError",
    "events": "ValidationException",
    "iam": "ValidationError",
    "logs": "InvalidParameterException",
    "sns": "InvalidParameter",
    "sqs": "InvalidParameterValue",
    "ssm": "ValidationException",
    "sts": "ValidationError",
}
"""The services that may be simulated here, and what they answer to a request that does not fit their model."""

UNSIGNED_OPERATIONS = {"AssumeRoleWithWebIdentity": "sts", "AssumeRoleWithSAML": "sts"}
"""Operations that need no signature: only their name tells the service."""

_CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
_RPC_PATH = re.compile(r"/service/([^/]+)/operation/([^/]+)")


def read_rpc_path(path: str) -> tuple[str, str]:
    """Service and operation of a Smithy RPC request's path; both empty for another path."""
    found = _RPC_PATH.fullmatch(path)
    return (found[1], found[2]) if found else ("", "")


@dataclass(frozen=True)
class Signature:
    """What a request's signature says: key, region and service (as signatures name it); None where there is none."""

    access_key_id: str | None = None
    region: str | None = None
    service: str | None = None


def read_signature(authorization: str) -> Signature:
    """The credential scope in an Authorization header (AWS Signature Version 4)."""
    found = _CREDENTIAL.search(authorization)
    return Signature(found[1], found[2], found[3]) if found else Signature()


@dataclass(frozen=True)
class ServiceProtocols:
    """All protocols, by what tells them: X-Amz-Target's prefix, the path's, or the service a form was signed for."""

    by_target: Mapping[str, Protocol]
    by_path: Mapping[str, Protocol]
    by_signing_name: Mapping[str, Protocol]
    service_names: Mapping[str, str]
    """botocore's name by the one in signatures."""


@functools.cache
def load_protocols() -> ServiceProtocols:
    """The protocols of the services in INVALID_CODES."""
    session = botocore.session.get_session()
    by_target: dict[str, Protocol] = {}
    by_path: dict[str, Protocol] = {}
    by_signing_name: dict[str, Protocol] = {}
    names = {}
    for service, invalid_code in INVALID_CODES.items():
        model = session.get_service_model(service)
        spoken = model.metadata.get("protocols", [model.metadata["protocol"]])
        signing_name = model.metadata.get("signingName", model.metadata["endpointPrefix"])
        names[signing_name] = service
        if "json" in spoken:
            by_target[model.metadata["targetPrefix"]] = JsonProtocol(service, invalid_code, model)
        if "smithy-rpc-v2-cbor" in spoken:
            by_path[model.metadata["targetPrefix"]] = CborProtocol(service, invalid_code, model)
        if "query" in spoken:
            by_signing_name[signing_name] = QueryProtocol(service, invalid_code, model)
    return ServiceProtocols(by_target, by_path, by_signing_name, names)
