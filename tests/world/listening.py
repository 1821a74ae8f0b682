"""Servers on a thread of their own, for as long as a block lasts."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from socketserver import TCPServer
from typing import Self


@contextmanager
def listening(server: TCPServer) -> Iterator[str]:
    """Let it serve, and stop it and its thread at the end; host and port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name=type(server).__name__, daemon=True)
    thread.start()
    try:
        yield "{}:{}".format(*server.server_address)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Listening(ABC):
    """Something that listens on a free port of 127.0.0.1: a context manager."""

    def __enter__(self) -> Self:
        self._until = ExitStack()
        self._address = self._until.enter_context(listening(self.build_server()))
        return self

    def __exit__(self, *_: object) -> None:
        self._until.close()

    @property
    def address(self) -> str:
        """Host and port."""
        return self._address

    @abstractmethod
    def build_server(self) -> TCPServer:
        """A server that is bound and does not serve yet."""
