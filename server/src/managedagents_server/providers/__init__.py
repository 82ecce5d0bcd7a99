"""The models, behind one small interface: base.py says what a session asks and gets."""

from collections import OrderedDict
from collections.abc import Iterable

from managedagents.v1 import agent_pb2
from managedagents_server.providers import capabilities, statuses
from managedagents_server.providers.base import Endpoint, Model
from managedagents_server.providers.breaker import Breaker, CarefulModel
from managedagents_server.providers.credentials import Operator
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.providers.finding import Found, Unusable, find
from managedagents_server.providers.operator_file import ProvidersFault
from managedagents_server.providers.scripted import ScriptedModel
from managedagents_server.words.addresses import Addresses, Network
from managedagents_server.words.clock import Clock
from managedagents_server.words.errors import InvalidRequest, ProviderUnusable, Violation
from managedagents_server.words.limits import Limits

__all__ = ["Operator", "Providers", "ProvidersFault"]

_KEPT = 256
"""Real models that are kept built. One that is asked again after that is built again, in milliseconds."""


class Providers:
    """Finds the model that a definition names. Nothing here talks to anybody before a model is asked."""

    def __init__(
        self, clock: Clock, limits: Limits, operator: Operator | None = None, allowed: Iterable[Network] = ()
    ) -> None:
        """`allowed`: addresses that are not public and may be named by a definition. What the operator names himself
        may be anywhere."""
        self._clock = clock
        self._operator = operator or Operator()
        self._addresses = Addresses(allowed)
        self._vendors = Vendors(clock, limits, self._addresses)
        self._breaker = Breaker(clock, limits)
        self._kept: OrderedDict[Endpoint, Model] = OrderedDict()

    def check(self, definition: agent_pb2.AgentDefinition, part: str = "definition") -> None:
        """Whether sessions may be run of it; `part`: what of the request it is about, `definition` or `overrides`.
        Raises ProviderUnusable and InvalidRequest."""
        model = definition.model
        if model.HasField("scripted"):
            return
        try:
            found = self._find(model, "")
        except Unusable as fault:
            raise _unusable(f"{part}.model.{fault.field}", fault.why) from None
        if (definition.tools or definition.mcp_servers) and found.row is not None and not found.row.tools:
            raise _unusable(
                f"{part}.model", f"{found.endpoint.model} calls no tools, says the server's table of models"
            )
        faults = list(capabilities.faults(found.endpoint, definition))
        if faults:
            raise InvalidRequest.of(*(Violation(_place(part, field), why) for field, why in faults))

    def address(self, model: agent_pb2.Model) -> str:
        """Whose turns are bounded together. Empty: nobody outside is asked."""
        try:
            return "" if model.HasField("scripted") else self._find(model, "").endpoint.address
        except Unusable:
            return ""

    def window(self, model: agent_pb2.Model) -> int:
        """The model's window in tokens. 0: not known."""
        if model.HasField("scripted"):
            return 0
        try:
            endpoint = self._find(model, "").endpoint
        except Unusable:
            return 0
        return self._operator.now().table.window(endpoint.provider, endpoint.model)

    def model(self, model: agent_pb2.Model, inline_key: str | None) -> Model:
        """The model of a definition that the front has let through, ready to be asked. Raises a ModelFailure where it
        cannot be, any more."""
        if model.HasField("scripted"):
            return ScriptedModel(model.scripted, self._clock)
        try:
            endpoint = self._find(model, inline_key or "").endpoint
        except Unusable as fault:
            raise fault.meaning.failure(fault.why) from None
        if not endpoint.base_url and not endpoint.key:
            name = endpoint.provider
            why = f"there is no key for {name}: add the credential {name} to this server, or a key to the agent"
            raise statuses.AUTHENTICATION.failure(why)
        return self._kept_model(endpoint)

    def _find(self, model: agent_pb2.Model, inline_key: str) -> Found:
        return find(model, self._operator.now(), self._addresses, inline_key)

    def _kept_model(self, endpoint: Endpoint) -> Model:
        model = self._kept.get(endpoint)
        if model is None:
            model = CarefulModel(DeferredModel(endpoint, self._vendors), endpoint.address, self._breaker)
            self._kept[endpoint] = model
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(endpoint)
        return model

    async def close(self) -> None:
        """Closes the connections to the providers. Models cannot be asked any more."""
        await self._vendors.close()


def _place(part: str, field: str) -> str:
    """Overrides have no settings of their own: it is their model that does not go with the agent's."""
    return f"{part}.{field}" if part == "definition" or field.startswith("model.") else f"{part}.model"


def _unusable(field: str, why: str) -> ProviderUnusable:
    return ProviderUnusable(f"{field}: {why}", field=field)
