"""From what a definition names to what is asked: whose model it is, where it is, and with which key."""

from dataclasses import dataclass

from managedagents.v1 import agent_pb2
from managedagents_server.providers import statuses
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.names import BY_PROVIDER
from managedagents_server.providers.operator_file import Credential, Settings
from managedagents_server.providers.places import LOCAL, PUBLIC
from managedagents_server.providers.statuses import Meaning
from managedagents_server.providers.table import Row
from managedagents_server.words.addresses import Addresses, AddressNotAllowed
from managedagents_server.words.urls import canonical, host_of


class Unusable(Exception):
    """The definition names what this server does not have, or does not allow."""

    def __init__(self, field: str, why: str, meaning: Meaning) -> None:
        super().__init__(why)
        self.field = field
        """Its path below the model."""
        self.why = why
        self.meaning = meaning
        """What it is when it comes up in a turn."""


@dataclass(frozen=True, slots=True)
class Found:
    endpoint: Endpoint
    row: Row | None
    """What the table says of the model."""


@dataclass(frozen=True, slots=True)
class _Asked:
    address_field: str
    """What says where it is, below the model."""
    provider: str
    model: str
    base_url: str
    row: Row | None


def find(model: agent_pb2.Model, settings: Settings, addresses: Addresses, inline_key: str) -> Found:
    """`model` is a provider's, and the front has let it through; `inline_key` is the one that it came with. Raises
    Unusable."""
    asked = _asked(model, settings)
    given = model.provider_model
    credential = None
    if given.HasField("credential"):
        credential = _named(given.credential, asked, settings)
    elif not given.HasField("api_key"):
        credential = _implied(asked, settings)
    base_url = _base_url(asked, credential)
    endpoint = Endpoint(
        asked.provider,
        asked.model,
        base_url,
        inline_key if credential is None else credential.key,
        given.speed,
        private=base_url in settings.base_urls,
    )
    if base_url and not endpoint.private:
        try:
            addresses.check_host(host_of(base_url))
        except AddressNotAllowed as fault:
            raise Unusable(asked.address_field, str(fault), statuses.REFUSED) from None
    return Found(endpoint, asked.row)


def _asked(model: agent_pb2.Model, settings: Settings) -> _Asked:
    if model.HasField("name"):
        row = settings.table.find(model.name)
        if row is None:
            why = f"no row of the server's table of models fits {model.name!r}; say whose it is in provider_model"
            raise Unusable("name", why, statuses.NOT_FOUND)
        return _Asked("name", row.provider, model.name, row.base_url, row)
    given = model.provider_model
    provider = BY_PROVIDER[given.provider]
    base_url = canonical(given.base_url) if given.base_url else ""
    return _Asked("provider_model.base_url", provider, given.model, base_url, settings.table.row(provider, given.model))


def _named(name: str, asked: _Asked, settings: Settings) -> Credential:
    credential = settings.credentials.get(name)
    if credential is None:
        why = (
            f"the credential {name} is not configured on this server (any more): add it to the file of --providers, or "
            "update the agent"
        )
        raise Unusable("provider_model.credential", why, statuses.AUTHENTICATION)
    if not credential.fits(asked.provider, asked.base_url):
        whose = f"{credential.provider} alone" if credential.provider not in ("", asked.provider) else "another address"
        raise Unusable("provider_model.credential", f"the credential {name} is for {whose}", statuses.AUTHENTICATION)
    return credential


def _implied(asked: _Asked, settings: Settings) -> Credential | None:
    """The row's, else the one that is called like the provider, where it may be sent there."""
    for name in (asked.row.credential if asked.row is not None else "", asked.provider):
        credential = settings.credentials.get(name)
        if credential is not None and credential.fits(asked.provider, asked.base_url):
            return credential
    return None


def _base_url(asked: _Asked, credential: Credential | None) -> str:
    """Empty: the provider's public one."""
    own = credential.base_url if credential is not None else ""
    base_url = asked.base_url or own or LOCAL.get(asked.provider, "")
    if not base_url and asked.provider not in PUBLIC:
        raise Unusable(asked.address_field, "nothing says where the model is: a base_url is needed", statuses.NOT_FOUND)
    return "" if base_url == PUBLIC.get(asked.provider) else base_url
