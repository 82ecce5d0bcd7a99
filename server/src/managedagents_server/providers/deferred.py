"""The libraries of the vendors take seconds to import: each comes with the first request that needs it, in a thread
beside the event loop. A server of scripted models imports none of them."""

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from managedagents_server.providers import names, statuses
from managedagents_server.providers.base import Answer, Delta, Endpoint, Model, ModelRequest
from managedagents_server.providers.texts import well_formed, without
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits

if TYPE_CHECKING:
    import httpx2

    from managedagents_server.providers.http import Connections
    from managedagents_server.providers.vendor import Wire

_MODULES = {
    names.OPENAI: "openai_responses",
    names.OPENAI_COMPATIBLE: "chat",
    names.ANTHROPIC: "anthropic",
    names.GEMINI: "gemini",
    names.OLLAMA: "ollama",
}


class Vendors:
    """Builds the real models over the connections that they share."""

    def __init__(self, clock: Clock, limits: Limits, addresses: Addresses | None = None) -> None:
        """`addresses`: those that endpoints may have which the operator did not name himself. None: all."""
        self._clock = clock
        self._limits = limits
        self._addresses = addresses
        self._one_at_a_time = asyncio.Lock()
        # A cancelled turn leaves its thread behind, which goes on while the next one begins.
        self._one_builder = threading.Lock()
        self._connections: Connections | None = None

    async def model(self, endpoint: Endpoint) -> Model:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._build, endpoint)

    def _build(self, endpoint: Endpoint) -> Model:
        from managedagents_server.providers import http, vendor

        with self._one_builder:
            adapter = _adapter(endpoint.provider)
            if self._connections is None:
                self._connections = http.Connections(self._addresses, self._limits)
            wire = _wire(adapter, endpoint, self._connections.client(endpoint))
        return vendor.VendorModel(endpoint, wire, self._clock, self._limits)

    async def close(self) -> None:
        """Closes the connections. Models that were built before cannot be asked any more."""
        async with self._one_at_a_time:
            if self._connections is not None:
                await self._connections.aclose()


def _wire(adapter: ModuleType, endpoint: Endpoint, http: "httpx2.AsyncClient") -> "Wire":
    from managedagents_server.providers import failures

    try:
        wire: Wire = adapter.wire(endpoint, http)
    except failures.RAISED as error:
        # Say of certificates that the environment names and that are not there.
        words = f"the client of {endpoint.provider} cannot be made: {type(error).__name__}: {error}"
        raise statuses.REFUSED.failure(without(endpoint.key, well_formed(words))) from None
    return wire


def _adapter(provider: str) -> ModuleType:
    name = f"{__package__}.{_MODULES[provider]}"
    is_new = name not in sys.modules
    adapter = import_module(name)
    if is_new:
        # Some 300,000 objects that stay: to look through them for garbage would stop all sessions for a tenth of a
        # second, now and then.
        gc.freeze()
    return adapter


class DeferredModel:
    """A real model, built when it is first asked."""

    def __init__(self, endpoint: Endpoint, vendors: Vendors) -> None:
        self._endpoint = endpoint
        self._vendors = vendors
        self._model: Model | None = None

    @property
    def provider(self) -> str:
        return self._endpoint.provider

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        if self._model is None:
            self._model = await self._vendors.model(self._endpoint)
        return await self._model.ask(request, on_delta)
