"""Models over the real wire formats, and servers that speak them."""

from collections.abc import AsyncIterator, Callable

import pytest

from managedagents.v1 import agent_pb2
from managedagents_server.providers import names
from managedagents_server.providers.base import Endpoint, Model
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.wires import VENDORS, Vendor, Wire
from support.wires.chat import OpenAIWire

KEY = "KEYMARK-provider-1"


@pytest.fixture
async def wire() -> AsyncIterator[OpenAIWire]:
    async with OpenAIWire() as running:
        yield running


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    built = Vendors(SystemClock(), Limits(model_first_token=5.0, model_stall=5.0))
    yield built
    await built.close()


@pytest.fixture
def compatible(wire: OpenAIWire, vendors: Vendors) -> Callable[..., Model]:
    """Makes a model behind chat completions, with the key and the name that are given."""

    def make(key: str = "", model: str = "m") -> Model:
        return DeferredModel(Endpoint(names.OPENAI_COMPATIBLE, model, wire.base_url, key), vendors)

    return make


@pytest.fixture
def model(compatible: Callable[..., Model]) -> Model:
    return compatible()


@pytest.fixture(params=VENDORS, ids=repr)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    """Each of them."""
    every: Vendor = request.param
    return every


@pytest.fixture
def made(vendors: Vendors) -> Callable[..., Model]:
    """Makes the model of a wire, with the name, the key and the speed that are given."""

    def make(
        wire: Wire,
        model: str = "",
        key: str = KEY,
        speed: agent_pb2.ModelSpeed.ValueType = agent_pb2.MODEL_SPEED_UNSPECIFIED,
    ) -> Model:
        return DeferredModel(Endpoint(wire.vendor.name, model or wire.vendor.model, wire.base_url, key, speed), vendors)

    return make
