"""Kubeconfig files: who talks to the control plane, and how it knows them."""

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.certificates import Credential, write_private


@dataclass(frozen=True)
class Endpoint:
    """The API server's address and the PEM certificate of the authority it is checked against."""

    url: str
    authority: bytes


def write_kubeconfig(path: Path, endpoint: Endpoint, credential: Credential | str) -> None:
    """Write a self-contained kubeconfig, readable by its owner only (0600).

    Args:
        path: The file; JSON, which is YAML too.
        endpoint: The server.
        credential: A client certificate, or a bearer token.
    """
    if isinstance(credential, str):
        user = {"token": credential}
    else:
        user = {
            "client-certificate-data": b64encode(credential.certificate).decode(),
            "client-key-data": b64encode(credential.key).decode(),
        }
    cluster = {"server": endpoint.url, "certificate-authority-data": b64encode(endpoint.authority).decode()}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bokgu", "cluster": cluster}],
        "users": [{"name": "user", "user": user}],
        "contexts": [{"name": "bokgu", "context": {"cluster": "bokgu", "user": "user"}}],
        "current-context": "bokgu",
    }
    write_private(path, json.dumps(content, indent=2).encode())
