"""Ports on 127.0.0.1 that stay a server's own, also while it is stopped."""

import random
import socket
from collections.abc import Iterable
from pathlib import Path

_FIRST_PORT = 10_000
_LAST_PORT = 60_000


def free_ports(names: Iterable[str]) -> dict[str, int]:
    """A free port for each name, at random, below the range that outgoing connections take theirs from.

    Else a client that keeps trying to reach a stopped server could itself be given the server's port.
    """
    outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    last = outgoing if outgoing > 2 * _FIRST_PORT else _LAST_PORT
    candidates = iter(random.sample(range(_FIRST_PORT, last), 1000))
    return {name: next(filter(_is_free, candidates)) for name in names}


def _is_free(port: int) -> bool:
    with socket.socket() as attempt:
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
