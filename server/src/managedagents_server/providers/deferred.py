"""The libraries of the vendors take a second to import: they come with the first request that needs them, in a thread
beside the event loop. A server of scripted models never imports them."""

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from managedagents.v1 import agent_pb2
from managedagents_server.providers.base import Answer, Delta, Model, ModelRequest
from managedagents_server.providers.names import OPENAI_COMPATIBLE
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits

if TYPE_CHECKING:
    import httpx2


class Vendors:
    """Builds the real models over the one HTTP client that they share."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._one_at_a_time = asyncio.Lock()
        # A cancelled turn leaves its thread behind, which goes on while the next one begins.
        self._one_client = threading.Lock()
        self._http: httpx2.AsyncClient | None = None

    async def openai_compatible(self, reference: agent_pb2.ProviderModel) -> Model:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._build, reference)

    def _build(self, reference: agent_pb2.ProviderModel) -> Model:
        from managedagents_server.providers import openai_compatible

        with self._one_client:
            if self._http is None:
                self._http = openai_compatible.http_client()
        return openai_compatible.OpenAICompatibleModel(reference, self._http, self._clock, self._limits)

    async def close(self) -> None:
        """Closes the connections. Models that were built before cannot be asked any more."""
        async with self._one_at_a_time:
            if self._http is not None:
                await self._http.aclose()


class DeferredModel:
    """A model of a server that speaks chat completions, built when it is first asked."""

    def __init__(self, reference: agent_pb2.ProviderModel, vendors: Vendors) -> None:
        self._reference = reference
        self._vendors = vendors
        self._model: Model | None = None

    @property
    def provider(self) -> str:
        return OPENAI_COMPATIBLE

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        if self._model is None:
            self._model = await self._vendors.openai_compatible(self._reference)
        return await self._model.ask(request, on_delta)
