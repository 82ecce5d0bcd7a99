"""Keys that callers give inline. They are taken out of a definition before anything is stored, and live encrypted, each
bound to its owner: copied to another row it is of no use."""

import asyncio
import json
from typing import TYPE_CHECKING, NamedTuple

from managedagents.v1 import agent_pb2
from managedagents_server.log import Log
from managedagents_server.providers import statuses
from managedagents_server.providers.names import BY_PROVIDER
from managedagents_server.providers.places import PUBLIC
from managedagents_server.session.keyring import Keyring, KeyringFault
from managedagents_server.words.errors import LogUnavailable
from managedagents_server.words.request import TENANT
from managedagents_server.words.urls import canonical

if TYPE_CHECKING:
    from managedagents_server.session.session import Session

_ERASED = "the agent is archived and the key of its model is erased; use another agent"
_UNREADABLE = "the server cannot decrypt the key of the model: its key file is another one"
_AGAIN = "give the key again with UpdateAgent and start a new session"
_AGAIN_FOR_SESSION = "start a new session with the key"


class Owner(NamedTuple):
    """Whose a key is, and where it may be sent."""

    tenant: str
    agent_id: str
    version: int
    session_id: str
    """Empty: the key is the version's."""
    provider: int
    address: str
    """Empty: the provider's public one."""

    @classmethod
    def of(cls, model: agent_pb2.Model, agent_id: str, version: int, session_id: str = "") -> "Owner":
        reference = model.provider_model
        return cls(TENANT, agent_id, version, session_id, reference.provider, _address(reference))


class Keys:
    def __init__(self, log: Log, keyring: Keyring) -> None:
        self._log = log
        self._keyring = keyring
        self._filling = asyncio.Lock()

    async def inline_key(self, session: "Session") -> str | None:
        """The key that was given inline for the session's model. None: none was. Raises a ModelFailure where it is not
        there any more, or cannot be read."""
        agent = session.agent
        if not has_key(agent.definition.model):
            return None
        row, session_id = (session.key, session.session_id) if agent.own_model else (0, "")
        ciphertext = await self._log.secret(agent.key, agent.version, row)
        if ciphertext is None:
            raise statuses.AUTHENTICATION.failure(_ERASED)
        key = self.opened(ciphertext, Owner.of(agent.definition.model, agent.agent_id, agent.version, session_id))
        if key is None:
            remedy = _AGAIN_FOR_SESSION if agent.own_model else _AGAIN
            raise statuses.AUTHENTICATION.failure(f"{_UNREADABLE}; {remedy}")
        return key

    async def sealed(self, key: str, owner: Owner) -> bytes:
        """The form in which it is stored. LogUnavailable: the server cannot make its key file."""
        async with self._filling:
            if self._keyring.empty:
                try:
                    await asyncio.to_thread(self._keyring.fill)
                except KeyringFault as fault:
                    raise LogUnavailable(str(fault), retry_after=1.0) from fault
        return self._keyring.encrypt(json.dumps([*owner, key]).encode())

    def opened(self, ciphertext: bytes, owner: Owner) -> str | None:
        """None: it cannot be decrypted, or is another owner's."""
        plain = self._keyring.decrypt(ciphertext)
        if plain is None:
            return None
        *bound, key = json.loads(plain)
        return str(key) if bound == [*owner] else None


def has_key(model: agent_pb2.Model) -> bool:
    return model.provider_model.HasField("api_key")


def take_key(model: agent_pb2.Model) -> str:
    """The inline key, which the model shows as present and empty from now on. Empty: it had none."""
    if not has_key(model):
        return ""
    key = model.provider_model.api_key
    model.provider_model.api_key = ""
    return key


def same_place(one: agent_pb2.Model, other: agent_pb2.Model) -> bool:
    """A key for one of these models may be sent to the other."""
    return _place(one.provider_model) == _place(other.provider_model)


def _place(reference: agent_pb2.ProviderModel) -> tuple[int, str]:
    """The provider, and its address, where that is not the public one."""
    address = _address(reference)
    return reference.provider, "" if address == PUBLIC.get(BY_PROVIDER[reference.provider]) else address


def _address(reference: agent_pb2.ProviderModel) -> str:
    return canonical(reference.base_url) if reference.base_url else ""
