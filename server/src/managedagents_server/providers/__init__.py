"""The models, behind one small interface: base.py says what a session asks and gets."""

from collections import OrderedDict

from managedagents.v1 import agent_pb2
from managedagents_server.providers.base import Endpoint, Model
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.providers.names import BY_PROVIDER
from managedagents_server.providers.scripted import ScriptedModel
from managedagents_server.words.clock import Clock
from managedagents_server.words.errors import NotImplementedYet
from managedagents_server.words.limits import Limits

__all__ = ["Providers"]

_KEPT = 256
"""Real models that are kept built. One that is asked again after that is built again, in milliseconds."""


class Providers:
    """Finds the model that a definition names. Nothing here talks to anybody before a model is asked."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._vendors = Vendors(clock, limits)
        self._kept: OrderedDict[bytes, Model] = OrderedDict()

    def address(self, model: agent_pb2.Model) -> str:
        """Whose turns are bounded together. Empty: nobody outside is asked."""
        return "" if model.HasField("scripted") else model.provider_model.base_url

    def window(self, _model: agent_pb2.Model) -> int:
        """The model's window in tokens. 0: not known."""
        return 0

    def model(self, model: agent_pb2.Model, _inline_key: str | None) -> Model:
        """The model of a definition that the front has let through."""
        match model.WhichOneof("ref"):
            case "scripted":
                return ScriptedModel(model.scripted, self._clock)
            case "provider_model":
                return self._kept_model(model.provider_model)
            case _:
                raise NotImplementedYet.of("definition.model")

    def _kept_model(self, reference: agent_pb2.ProviderModel) -> Model:
        key = reference.SerializeToString(deterministic=True)
        model = self._kept.get(key)
        if model is None:
            endpoint = Endpoint(
                BY_PROVIDER[reference.provider],
                reference.model,
                reference.base_url,
                reference.api_key,
                reference.speed,
            )
            model = DeferredModel(endpoint, self._vendors)
            self._kept[key] = model
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return model

    async def close(self) -> None:
        """Closes the connections to the providers. Models cannot be asked any more."""
        await self._vendors.close()
