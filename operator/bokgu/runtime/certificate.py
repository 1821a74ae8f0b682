"""The certificate that a door shows: read anew when its files change, such as when cert-manager renews it."""

import asyncio
import ssl
from pathlib import Path

import structlog

LOOK_AGAIN = 5.0
"""Seconds between looks at the files. The kubelet itself takes up to a minute to bring a new Secret to them."""

log = structlog.get_logger()


class Certificate:
    """PEM files of a certificate with its chain, and of its key. `context` is for a server: TLS 1.2 or newer."""

    def __init__(self, certificate_file: Path, key_file: Path) -> None:
        """Raises OSError where a file cannot be read, or they do not belong together (ssl.SSLError is one)."""
        self._files = (certificate_file, key_file)
        self.context = _new_context()
        self._stamp = self._look()
        self.context.load_cert_chain(*self._files)

    async def follow(self) -> None:
        """Take what is in the files whenever that changes, for ever. What cannot be used changes nothing."""
        while True:
            await asyncio.sleep(LOOK_AGAIN)
            try:
                self.refresh()
            except OSError as error:
                log.warning("the certificate stays as it was", file=str(self._files[0]), error=str(error))

    def refresh(self) -> None:
        """Take what is in the files if it has changed. Raises OSError where it cannot be used."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        # A context that has failed to load keeps half of it.
        _new_context().load_cert_chain(*self._files)
        self.context.load_cert_chain(*self._files)
        self._stamp = stamp
        log.info("certificate renewed", file=str(self._files[0]))

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        looks = [path.stat() for path in self._files]
        return tuple((look.st_ino, look.st_mtime_ns, look.st_size) for look in looks)


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
