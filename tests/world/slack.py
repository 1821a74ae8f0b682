"""Slack on loopback: the operator reaches it as it would the real one, through the proxy of its network.

Addresses of Slack's incoming webhooks cannot be changed, so it listens as a proxy (HTTPS_PROXY) and answers for
hooks.slack.com itself, with a certificate of an authority of its own (REQUESTS_CA_BUNDLE).
"""

import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "hooks.slack.com"
RECEIVER = "slack://T00000000/B00000000/abcdefghijklmnopqrstuvwx/#incidents"
"""An incoming webhook, as Apprise writes it; the tokens are made up."""


@dataclass
class Slack:
    """Takes messages, and keeps them in order. `folder` is for its certificate. A context manager."""

    folder: Path
    messages: list[str] = field(default_factory=list)

    @property
    def settings(self) -> Mapping[str, str]:
        """Environment variables of a process that is to find it."""
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self._server.server_address[1]}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.folder / "authority.pem"),
        }

    def __enter__(self) -> Self:
        slack, context = self, self._certify()

        class Handler(BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                if self.path != f"{HOST}:443":
                    self.send_error(403, f"nobody but {HOST} is here")
                    return
                self.send_response(200)
                self.end_headers()
                with context.wrap_socket(self.connection, server_side=True) as inner:
                    self.rfile, self.wfile = inner.makefile("rb"), inner.makefile("wb")
                    self.handle_one_request()
                self.close_connection = True

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                slack.messages.append(_read(said))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
                self.wfile.flush()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is written."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="slack", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _certify(self) -> ssl.SSLContext:
        """A certificate for the host, signed by its own key: it is the authority too."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        (self.folder / "authority.pem").write_bytes(pem)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / "slack.pem").write_bytes(private + pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "slack.pem")
        return context


def _read(said: Mapping[str, object]) -> str:
    """The text of a message as people see it (Slack, "Sending messages using incoming webhooks")."""
    parts = [said] if "text" in said else []
    attachments = said.get("attachments")
    parts += attachments if isinstance(attachments, list) else []
    return unescape("\n".join(str(part[key]) for part in parts for key in ("title", "text") if part.get(key)))
