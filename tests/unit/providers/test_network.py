"""Connections go to addresses that were checked, and to no other."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import httpcore2
import pytest

from managedagents.v1 import status_event_pb2
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.providers.network import CheckedNetwork
from managedagents_server.words.addresses import Addresses, AddressNotAllowed
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.asking import ask, failing, said
from support.keys import key
from support.wires import Vendor, Wire


class Inner(httpcore2.AsyncNetworkBackend):
    """Takes down where it was told to connect; nobody is at the addresses in `dead`."""

    def __init__(self, dead: Iterable[str] = ()) -> None:
        self.tried: list[tuple[str, int]] = []
        self.timeouts: list[float | None] = []
        self._dead = set(dead)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.tried.append((host, port))
        self.timeouts.append(timeout)
        if host in self._dead:
            raise httpcore2.ConnectError("nobody there")
        return httpcore2.AsyncMockStream([])


@pytest.fixture
def resolves_to(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Says what every name resolves to, one answer after the other."""

    def say(*answers: list[str]) -> None:
        left = list(answers)

        def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
            return [
                (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in left.pop(0)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return say


async def test_it_connects_to_the_address_that_it_checked(resolves_to: Any) -> None:
    # A second answer, for whoever would ask again, is another.
    resolves_to(["8.8.8.8"], ["127.0.0.1"])
    inner = Inner()
    await CheckedNetwork(Addresses(), inner).connect_tcp("model.example.org", 443, 5.0)
    assert inner.tried == [("8.8.8.8", 443)]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:a00:1", "fe80::1"])
async def test_a_name_for_a_private_address_is_refused(
    resolves_to: Any, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    resolves_to([address])
    inner = Inner()
    with pytest.raises(
        AddressNotAllowed, match=r"^model\.example\.org has no public address.*--allow-address"
    ) as caught:
        await CheckedNetwork(Addresses(), inner).connect_tcp("model.example.org", 443)
    assert not inner.tried
    # What is inside is told to the operator alone.
    assert address not in str(caught.value)
    [record] = caplog.records
    assert (record.levelno, vars(record)["addresses"]) == (logging.WARNING, address)


async def test_of_many_addresses_those_that_are_allowed_are_tried_in_their_order(resolves_to: Any) -> None:
    resolves_to(["10.0.0.1", "2606:4700::1111", "8.8.8.8", "8.8.8.8", "127.0.0.1"])
    inner = Inner(dead=["2606:4700::1111"])
    await CheckedNetwork(Addresses(), inner).connect_tcp("model.example.org", 443, 5.0)
    assert inner.tried == [("2606:4700::1111", 443), ("8.8.8.8", 443)]
    assert inner.timeouts == [2.5, 2.5]


async def test_names_that_take_long_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        answered.wait()
        raise socket.gaierror("nobody")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    network = CheckedNetwork(Addresses(), Inner())
    asked = [asyncio.create_task(network.connect_tcp(f"{number}.example.org", 443, 0.05)) for number in range(64)]
    try:
        for task in asked:
            with pytest.raises(httpcore2.ConnectTimeout):
                await task
        # The threads that everything else shares are free.
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "free") == "free"
    finally:
        answered.set()


async def test_nobody_at_any_of_them(resolves_to: Any) -> None:
    resolves_to(["8.8.8.8", "8.8.4.4"])
    with pytest.raises(httpcore2.ConnectError):
        await CheckedNetwork(Addresses(), Inner(dead=["8.8.8.8", "8.8.4.4"])).connect_tcp("model.example.org", 443)


async def test_the_operator_allows_more() -> None:
    inner = Inner()
    network = CheckedNetwork(Addresses([ip_network("127.0.0.0/8")]), inner)
    # No fake: this is how the machine itself reads it.
    await network.connect_tcp("2130706433", 80)
    assert inner.tried == [("127.0.0.1", 80)]
    with pytest.raises(AddressNotAllowed):
        await network.connect_tcp("::1", 80)


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with pytest.raises(httpcore2.ConnectError, match=r"model\.example\.org: .*not known"):
        await CheckedNetwork(Addresses(), Inner()).connect_tcp("model.example.org", 80)


async def test_there_are_no_unix_sockets() -> None:
    with pytest.raises(NotImplementedError):
        await CheckedNetwork(Addresses()).connect_unix_socket("/run/model.sock")


async def test_in_a_turn_it_is_a_failure_that_says_what_to_do_whoever_is_asked(vendor: Vendor) -> None:
    def network(private: bool) -> CheckedNetwork | None:
        return None if private else CheckedNetwork(Addresses())

    vendors = Vendors(SystemClock(), Limits(), network)
    async with Wire(vendor) as wire:
        endpoint = Endpoint(vendor.name, vendor.model, wire.base_url, key(vendor.name))
        failure = await failing(DeferredModel(endpoint, vendors))
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_REJECTED, False)
        assert not failure.content_rejected
        assert failure.message.startswith("127.0.0.1 has no public address")
        assert not wire.requests
        # What the operator wrote himself may be anywhere.
        await ask(DeferredModel(replace(endpoint, private=True), vendors), said("hi"))
        assert len(wire.requests) == 1
    await vendors.close()
