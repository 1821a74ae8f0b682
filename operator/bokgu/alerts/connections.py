"""Connections to receivers of alerts, which end before anything is sent where they lead to a machine's own address.

Whom a connection has reached is looked at, not what its name resolves to: no second answer of DNS comes in between.
"""

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from bokgu.api.addresses import is_refused


class RefusedAddress(NewConnectionError):
    """Nothing is sent there."""


class _Checked(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        if is_refused(connected.getpeername()[0]):
            connected.close()
            raise RefusedAddress(self, "an address of the machine's own")
        return connected


class _CheckedTls(_Checked, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Checked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTls


class CheckedAdapter(HTTPAdapter):
    """What sessions of requests send by."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """With connections that look whom they reach."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
