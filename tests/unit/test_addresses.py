"""Addresses that nothing is ever sent to."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.api.addresses import is_refused


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe",
        "64:ff9b::169.254.169.254",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "",
        "localhost",
        "0xa9fea9fe",
    ],
)
def test_machines_own_addresses_and_what_is_none_are_refused(address: str) -> None:
    assert is_refused(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "203.0.113.7", "2001:db8::1", "::ffff:10.0.0.1"],
)
def test_receivers_of_the_cluster_and_of_the_world_are_not(address: str) -> None:
    """Who may write the Secret chooses those."""
    assert not is_refused(address)


@given(st.ip_addresses(v=4))
def test_an_address_is_the_same_however_it_is_written(address: IPv4Address) -> None:
    refused = is_refused(str(address))
    assert is_refused(f"::ffff:{address}") == refused
    assert is_refused(str(IPv6Address(int(IPv6Address("64:ff9b::")) + int(address)))) == refused
