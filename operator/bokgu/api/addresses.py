"""Addresses that nothing is ever sent to: those at which machines hand out their own credentials, and none at all."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

REFUSED = tuple(
    ip_network(network)
    for network in (
        # Link-local: metadata of instances (169.254.169.254), of tasks (169.254.170.2) and of pods (169.254.170.23).
        "169.254.0.0/16",
        "fe80::/10",
        # The same by IPv6 (fd00:ec2::254, fd00:ec2::23; Amazon EC2 User Guide, "Instance metadata").
        "fd00:ec2::/32",
        # Unspecified, multicast and broadcast (RFC 6890).
        "0.0.0.0/8",
        "::/128",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "ff00::/8",
    )
)
_NAT64 = ip_network("64:ff9b::/96")
"""IPv4 addresses within IPv6 (RFC 6052), beside those that are mapped (RFC 4291)."""


def is_refused(address: str) -> bool:
    """Whether nothing is sent to this IP address. What is no address is refused."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return True
    found = _unwrap(found)
    return any(found.version == network.version and found in network for network in REFUSED)


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if not isinstance(address, IPv6Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address
