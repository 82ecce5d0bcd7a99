"""Addresses and certificates that cannot be used are told in one line, before anything runs."""

import socket
from pathlib import Path

import pytest

from managedagents_server.app.listen import ListenFault, bind, make_server
from managedagents_server.config import Address, Tls
from managedagents_server.words.limits import Limits


async def test_a_free_port_is_found() -> None:
    address = bind(make_server(Limits(), None), Address("127.0.0.1", 0), None)
    assert address.host == "127.0.0.1"
    assert address.port > 0


async def test_a_port_in_use_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = Address("127.0.0.1", other.getsockname()[1])
        with pytest.raises(ListenFault, match=rf"cannot listen on {address}: Address already in use"):
            bind(make_server(Limits(), None), address, None)


async def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(ListenFault, match=r"cannot listen on 192\.0\.2\.1:0: "):
        bind(make_server(Limits(), None), Address("192.0.2.1", 0), None)


async def test_a_certificate_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem", None)
    with pytest.raises(ListenFault, match=r"cert\.pem cannot be read: No such file"):
        bind(make_server(Limits(), None), Address("127.0.0.1", 0), tls)


async def test_a_certificate_that_is_none_is_an_error(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem", None)
    tls.cert.write_text("no certificate")
    tls.key.write_text("no key")
    with pytest.raises(ListenFault, match="no certificate and its unlocked key"):
        bind(make_server(Limits(), None), Address("127.0.0.1", 0), tls)
