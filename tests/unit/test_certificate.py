"""The webhook speaks TLS, and shows a renewed certificate to whoever comes next."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bokgu.api.quotas import Quota
from bokgu.config import BadSetting, read_settings
from bokgu.runtime.alerts import AlertDoor
from bokgu.runtime.certificate import Certificate
from bokgu.runtime.webhook_server import ServerLimits
from tests.controlplane.certificates import Authority, Credential
from tests.world.world import free_port

REQUEST = b"POST /alerts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Files:
    """tls.crt and tls.key as a Secret brings them."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"

    def write(self, credential: Credential) -> None:
        for path, text in ((self.certificate, credential.certificate), (self.key, credential.key)):
            new = path.with_suffix(".new")
            new.write_bytes(text)
            new.replace(path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(tmp_path: Path, authority: Authority) -> Files:
    found = Files(tmp_path)
    found.write(authority.issue_server())
    return found


def with_door(tmp_path: Path, certificate: Certificate, ask: Callable[[int], Any]) -> None:
    """Ask a door that has this certificate, and a token that nobody shows."""
    (tmp_path / "token").write_text("secret\n")

    async def run() -> None:
        nobody: Any = None
        port = free_port()
        door = AlertDoor(
            nobody,
            nobody,
            host="127.0.0.1",
            port=port,
            token_file=tmp_path / "token",
            limits=ServerLimits(max_body=1024, patience=10.0, max_connections=16),
            rate=Quota(10, 10),
            tls=certificate.context,
        )
        await door.start()
        try:
            await ask(port)
        finally:
            await door.stop()

    asyncio.run(run())


async def shown(port: int, authority: Authority) -> tuple[bytes, int]:
    """The certificate that a client sees, as DER, and the status of the answer."""
    context = ssl.create_default_context(cafile=authority.certificate_path)
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    writer.write(REQUEST)
    answer = await reader.read()
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found, int(answer.split()[1])


def der(credential: Credential) -> bytes:
    return ssl.PEM_cert_to_DER_cert(credential.certificate.decode())


def test_a_renewed_certificate_is_shown_to_whoever_comes_next(
    tmp_path: Path, authority: Authority, files: Files
) -> None:
    certificate = Certificate(files.certificate, files.key)
    renewed = authority.issue_server()

    async def ask(port: int) -> None:
        first, status = await shown(port, authority)
        assert (first == ssl.PEM_cert_to_DER_cert(files.certificate.read_text()), status) == (True, 401)
        files.write(renewed)
        certificate.refresh()
        assert await shown(port, authority) == (der(renewed), 401)

    with_door(tmp_path, certificate, ask)


def test_half_a_renewal_changes_nothing(tmp_path: Path, authority: Authority, files: Files) -> None:
    certificate = Certificate(files.certificate, files.key)
    renewed = authority.issue_server()

    async def ask(port: int) -> None:
        first, _ = await shown(port, authority)
        files.certificate.write_bytes(renewed.certificate)
        with pytest.raises(OSError, match=r"KEY_VALUES_MISMATCH|key values mismatch"):
            certificate.refresh()
        assert (await shown(port, authority))[0] == first
        files.write(renewed)
        certificate.refresh()
        assert (await shown(port, authority))[0] == der(renewed)

    with_door(tmp_path, certificate, ask)


def test_who_speaks_no_tls_gets_no_answer(tmp_path: Path, files: Files) -> None:
    async def ask(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        assert b"401" not in await reader.read()
        writer.close()

    with_door(tmp_path, Certificate(files.certificate, files.key), ask)


def test_old_versions_of_tls_are_refused(files: Files) -> None:
    assert Certificate(files.certificate, files.key).context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_files_that_are_missing_or_do_not_fit_are_an_error(authority: Authority, files: Files) -> None:
    files.certificate.write_bytes(authority.issue_server().certificate)
    with pytest.raises(OSError, match=r"KEY_VALUES_MISMATCH|key values mismatch"):
        Certificate(files.certificate, files.key)
    files.key.unlink()
    with pytest.raises(FileNotFoundError):
        Certificate(files.certificate, files.key)


@pytest.mark.parametrize("name", ["BOKGU_WEBHOOK_CERTIFICATE_FILE", "BOKGU_WEBHOOK_KEY_FILE"])
def test_a_certificate_without_its_key_is_refused(name: str) -> None:
    with pytest.raises(BadSetting, match=r"BOKGU_WEBHOOK_CERTIFICATE_FILE and BOKGU_WEBHOOK_KEY_FILE"):
        read_settings({name: "/run/tls"})
