"""Which addresses may be talked to."""

from ipaddress import ip_address, ip_network

import pytest

from managedagents_server.words.addresses import Addresses, AddressNotAllowed, literal

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]

NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "0.0.0.0", "0.1.2.3", "100.64.0.1", "192.0.0.1", "192.0.0.192", "198.18.0.1"),
    *("168.63.129.16", "::ffff:168.63.129.16", "3fff::1"),
    *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *(
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "2001:db8::1",
    ),
    # Addresses of IPv4 in those of IPv6: mapped, compatible, NAT64, 6to4, Teredo.
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1"),
    *("64:ff9b::10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::10.0.0.1", "2002:a00:1::", "2002:7f00:1::1"),
    "2001:0:a00:1::",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str) -> None:
    assert Addresses().allow(ip_address(text))


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_others_are_not(text: str) -> None:
    addresses = Addresses()
    assert not addresses.allow(ip_address(text))
    with pytest.raises(AddressNotAllowed, match="--allow-address"):
        addresses.check_host(text)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("127.0.0.0/8", "127.1.2.3", "10.0.0.1"),
        ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
        ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
        ("10.1.0.0/16", "64:ff9b::10.1.2.3", "64:ff9b::10.2.0.1"),
        ("::1/128", "::1", "127.0.0.1"),
        ("fd00::/8", "fd12::1", "fe80::1"),
        ("169.254.169.254/32", "169.254.169.254", "169.254.169.253"),
    ],
)
def test_the_operator_allows_more(network: str, inside: str, outside: str) -> None:
    addresses = Addresses([ip_network(network)])
    assert addresses.allow(ip_address(inside))
    assert not addresses.allow(ip_address(outside))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f.0.0.1", "0x7f000001", "0177.0.0.1", "017700000001", "0"),
        *("localhost", "api.localhost", "::1", "0:0:0:0:0:0:0:1", "::ffff:7f00:1", "fe80::1%1"),
    ],
)
def test_a_host_says_in_every_spelling_that_it_is_not_public(host: str) -> None:
    with pytest.raises(AddressNotAllowed):
        Addresses().check_host(host)


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org", "8.8.8.8", "10.example", "1.2.3.4.5", ""])
def test_a_name_says_nothing_by_itself(host: str) -> None:
    Addresses().check_host(host)


@pytest.mark.parametrize("network", ["127.0.0.1/32", "::1/128"])
def test_localhost_is_allowed_with_either_of_its_addresses(network: str) -> None:
    Addresses([ip_network(network)]).check_host("localhost")


def test_what_connecting_takes_for_an_address() -> None:
    assert literal("0x7f.1") == ip_address("127.0.0.1")
    assert literal("::FFFF:1.2.3.4") == ip_address("::ffff:102:304")
    assert literal("example.org") is None
