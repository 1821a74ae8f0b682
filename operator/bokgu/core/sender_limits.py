"""How often one sender may come to a door: a token bucket for each address."""

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from bokgu.api.quotas import Quota

MOST_SENDERS = 4096
"""Senders that are remembered. Whoever has come least recently is forgotten for a new one, and begins anew."""
IPV6_PREFIX = 64
"""Bits of an IPv6 address that tell senders apart: whoever has one address of a network has all of it (RFC 4291)."""


class SenderLimits:
    """What each sender has left. `now` is in seconds of a clock that never goes back."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, now: float) -> float:
        """Count one request of an address. 0.0: it may be answered; else in how many seconds the next one may be."""
        sender = name_sender(address)
        tokens, at = self._buckets.pop(sender, (self._quota.burst, now))
        tokens = self._quota.refill(tokens, max(0.0, now - at))
        taken = tokens >= 1
        self._buckets[sender] = (tokens - taken, now)
        if len(self._buckets) > MOST_SENDERS:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1 - tokens) / self._quota.rate


def name_sender(address: str) -> str:
    """Whom an address belongs to: itself, for IPv6 its network. What is no address is one sender."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX)))
