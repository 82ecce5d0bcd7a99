"""What the connections to the providers promise."""

import subprocess
import sys
from dataclasses import replace

import pytest

from managedagents.v1 import status_event_pb2
from managedagents_server.providers import names
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.providers.http import Connections, call
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.asking import ask, failing, said
from support.keys import key
from support.wires import COMPATIBLE, Vendor, Wire


async def test_connections_are_kept_to_public_addresses_alone() -> None:
    connections = Connections(None, Limits())
    async with Wire(COMPATIBLE) as wire:
        for endpoint in (Endpoint(names.OPENAI, "m", ""), Endpoint(names.OPENAI, "m", wire.base_url)):
            for _ in range(2):
                await connections.client(endpoint).post(f"{wire.base_url}/chat/completions", json={})
        wire.rejected.clear()
    await connections.aclose()
    assert [received.connection for received in wire.requests] == [1, 1, 2, 3]


async def test_in_a_turn_it_is_a_failure_that_says_what_to_do_whoever_is_asked(vendor: Vendor) -> None:
    vendors = Vendors(SystemClock(), Limits(), Addresses())
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


async def test_outside_of_a_call_no_key_is_sent() -> None:
    connections = Connections(None, Limits())
    headers = {"Authorization": "Bearer KEYMARK-1", "X-Api-Key": "KEYMARK-1"}
    async with Wire(COMPATIBLE) as wire:
        client = connections.client(Endpoint(names.OPENAI, "m", ""))
        await client.post(f"{wire.base_url}/chat/completions", json={}, headers=headers)
        async with call(frozenset({"authorization"})):
            await client.post(f"{wire.base_url}/chat/completions", json={}, headers=headers)
        wire.rejected.clear()
    await connections.aclose()
    outside, inside = wire.requests
    assert "KEYMARK" not in str(outside.headers)
    assert (inside.headers.get("authorization"), inside.headers.get("x-api-key")) == ("Bearer KEYMARK-1", None)


@pytest.mark.long
@pytest.mark.parametrize(
    ("provider", "model", "imported"),
    [
        (names.OPENAI_COMPATIBLE, "m", "openai"),
        (names.ANTHROPIC, "claude-opus-4-5", "anthropic"),
        (names.GEMINI, "gemini-3-pro-preview", "google.genai"),
    ],
)
def test_a_vendors_library_comes_with_its_first_request_alone(provider: str, model: str, imported: str) -> None:
    code = f"""
import asyncio, sys
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.deferred import Vendors
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
async def main():
    vendors = Vendors(SystemClock(), Limits())
    await vendors.model(Endpoint({provider!r}, {model!r}, "http://127.0.0.1:1/v1", "k"))
    await vendors.close()
asyncio.run(main())
assert {{"openai", "anthropic", "google.genai"}} & set(sys.modules) == {{{imported!r}}}
"""
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_a_model_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    vendors = Vendors(SystemClock(), Limits())
    async with Wire(COMPATIBLE) as wire:
        model = DeferredModel(Endpoint(names.OPENAI_COMPATIBLE, "m", wire.base_url), vendors)
        await ask(model, said("one"))
        built: list[Endpoint] = []
        monkeypatch.setattr(vendors, "model", built.append)
        await ask(model, said("two"))
    await vendors.close()
    assert (built, len(wire.requests)) == ([], 2)
