"""A server of chat completions, and a model that asks it."""

from collections.abc import AsyncIterator

import pytest

from managedagents_server.providers import Providers
from managedagents_server.providers.base import Model
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.asking import definition
from support.openai_wire import OpenAIWire


@pytest.fixture
async def wire() -> AsyncIterator[OpenAIWire]:
    async with OpenAIWire() as running:
        yield running


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    built = Providers(SystemClock(), Limits(model_timeout=5.0))
    yield built
    await built.close()


@pytest.fixture
def model(wire: OpenAIWire, providers: Providers) -> Model:
    return providers.model(definition(wire.base_url))
