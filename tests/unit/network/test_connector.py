"""Connections go to addresses that were checked, and to no other."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest

from managedagents_server.network.connector import CheckedResolver, Network
from managedagents_server.words.addresses import Addresses, AddressNotAllowed
from support.wires import COMPATIBLE, Wire

LOOPBACK = Addresses([ip_network("127.0.0.0/8")])


@asynccontextmanager
async def client(addresses: Addresses | None) -> AsyncIterator[aiohttp.ClientSession]:
    network = Network(addresses, ssl.create_default_context())
    async with aiohttp.ClientSession(connector=network.connector(5.0)) as session:
        yield session
    await network.aclose()


def at_the_root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@pytest.fixture
def resolves_to(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says what every name resolves to, one answer after the other; an address is still itself."""
    machine = socket.getaddrinfo

    def say(*answers: list[str]) -> None:
        left = list(answers)

        def getaddrinfo(host: str, port: int, *rest: Any, **named: Any) -> list[tuple[Any, ...]]:
            if not host.endswith(".example.org"):
                return list(machine(host, port, *rest, **named))
            return [
                (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in left.pop(0)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return say


async def test_it_connects_to_the_address_that_it_checked(resolves_to: Any) -> None:
    # A second answer, for whoever would ask again, is another.
    resolves_to(["127.0.0.1"], ["127.0.0.2"])
    async with Wire(COMPATIBLE) as wire, client(LOOPBACK) as session:
        url = wire.base_url.replace("127.0.0.1", "model.example.org")
        async with session.post(f"{url}/chat/completions", json={}):
            pass
        assert wire.requests[0].headers["host"].startswith("model.example.org")
        wire.rejected.clear()


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:a00:1", "fe80::1"])
async def test_a_name_for_a_private_address_is_refused(
    resolves_to: Any, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    resolves_to([address])
    async with client(Addresses()) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get("http://model.example.org:443/")
    root = at_the_root(caught.value)
    assert isinstance(root, AddressNotAllowed)
    assert str(root).startswith("model.example.org has no public address")
    # What is inside is told to the operator alone.
    assert address not in str(caught.value)
    [record] = caplog.records
    assert (record.levelno, vars(record)["addresses"]) == (logging.WARNING, address)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "10.0.0.1"])
async def test_an_address_in_place_of_a_name_is_checked_too(host: str) -> None:
    async with client(Addresses()) as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(f"http://{host}:9/")
    assert isinstance(at_the_root(caught.value), AddressNotAllowed)


async def test_of_many_addresses_those_that_are_allowed_are_given_once_and_in_their_order(resolves_to: Any) -> None:
    resolves_to(["10.0.0.1", "2606:4700::1111", "8.8.8.8", "8.8.8.8", "127.0.0.1"])
    resolver = CheckedResolver(Addresses())
    found = await resolver.resolve("model.example.org", 443)
    assert [(entry["host"], entry["port"]) for entry in found] == [("2606:4700::1111", 443), ("8.8.8.8", 443)]
    await resolver.close()


async def test_names_that_take_long_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def getaddrinfo(*_: object, **__: object) -> list[tuple[Any, ...]]:
        answered.wait()
        raise socket.gaierror("nobody")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    impatient = aiohttp.ClientTimeout(total=None, connect=0.05)
    async with client(Addresses()) as session:
        asked = [
            asyncio.create_task(session.get(f"http://{number}.example.org/", timeout=impatient)) for number in range(64)
        ]
        try:
            for task in asked:
                with pytest.raises(aiohttp.ConnectionTimeoutError):
                    await task
            # The threads that everything else shares are free.
            async with asyncio.timeout(5):
                assert await asyncio.to_thread(lambda: "free") == "free"
        finally:
            answered.set()


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0x7f.1"])
async def test_other_spellings_of_an_address_lead_nowhere(host: str) -> None:
    async with client(Addresses()) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://{host}:9/")


async def test_the_operator_allows_more() -> None:
    async with Wire(COMPATIBLE) as wire, client(LOOPBACK) as session:
        async with session.post(f"{wire.base_url}/chat/completions", json={}):
            pass
        wire.rejected.clear()
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get("http://[::1]:9/")
        assert isinstance(at_the_root(caught.value), AddressNotAllowed)


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with client(Addresses()) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match=r"model\.example\.org.*not known"):
            await session.get("http://model.example.org/")
