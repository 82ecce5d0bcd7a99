"""An inline key comes out for the session that it was given for, and for no other row or address."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from managedagents.v1 import agent_pb2, session_pb2, status_event_pb2
from managedagents_server.log import Log, NewVersion
from managedagents_server.providers.base import ModelFailure
from managedagents_server.session.around import Around
from managedagents_server.session.keyring import Keyring
from managedagents_server.session.keys import Keys, Owner, has_key, same_place, take_key
from managedagents_server.session.registry import Registry
from managedagents_server.session.session import Session
from managedagents_server.words.errors import LogUnavailable
from support.keys import key
from support.rows import START, new_session

URL = "https://models.example.com/v1"
COMPATIBLE = agent_pb2.PROVIDER_OPENAI_COMPATIBLE


def model(
    api_key: str | None = "", base_url: str = URL, provider: agent_pb2.Provider.ValueType = COMPATIBLE
) -> agent_pb2.Model:
    """None: without a key."""
    reference = agent_pb2.ProviderModel(provider=provider, model="m", base_url=base_url)
    if api_key is not None:
        reference.api_key = api_key
    return agent_pb2.Model(provider_model=reference)


def owner(model: agent_pb2.Model, agent_id: str = "agt_keyed", version: int = 1, session_id: str = "") -> Owner:
    return Owner.of(model, agent_id, version, session_id)


async def keyed_agent(log: Log, keys: Keys, agent_id: str = "agt_keyed", secret: str = key("openai")) -> None:
    definition = agent_pb2.AgentDefinition(model=model())
    sealed = await keys.sealed(secret, owner(definition.model, agent_id))
    await log.create_agent(
        NewVersion("default", agent_id, 1, definition.SerializeToString(), "{}", START, sealed), None
    )


async def session_of(
    around: Around,
    agent_id: str = "agt_keyed",
    overrides: session_pb2.SessionOverrides | None = None,
    secret: bytes | None = None,
    session_id: str = "ses_keyed",
) -> Session:
    serialized = None if overrides is None else overrides.SerializeToString()
    new = new_session(session_id, agent_id=agent_id)._replace(overrides=serialized, secret=secret)
    await around.log.start_session(new)
    return await Registry(around).get(session_id)


async def failure(keys: Keys, session: Session) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await keys.inline_key(session)
    assert caught.value.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
    assert not caught.value.transient
    assert key("openai") not in caught.value.message
    return caught.value


async def test_a_session_gets_the_key_of_its_agent_s_version(around: Around) -> None:
    await keyed_agent(around.log, around.keys)
    session = await session_of(around)
    assert await around.keys.inline_key(session) == key("openai")
    assert has_key(session.definition.model)
    assert session.definition.model.provider_model.api_key == ""


async def test_an_agent_without_a_key_has_none(around: Around) -> None:
    assert await around.keys.inline_key(await session_of(around, "agt_1")) is None


@pytest.mark.parametrize("own", [None, key("openai", 2)])
async def test_a_model_of_the_session_s_own_has_its_own_key_or_none(around: Around, own: str | None) -> None:
    await keyed_agent(around.log, around.keys)
    overrides = session_pb2.SessionOverrides(model=model(None if own is None else ""))
    secret = None
    if own is not None:
        secret = await around.keys.sealed(own, owner(overrides.model, session_id="ses_keyed"))
    assert await around.keys.inline_key(await session_of(around, overrides=overrides, secret=secret)) == own


async def test_other_overrides_leave_the_agent_s_key(around: Around) -> None:
    await keyed_agent(around.log, around.keys)
    session = await session_of(around, overrides=session_pb2.SessionOverrides(system="another"))
    assert await around.keys.inline_key(session) == key("openai")


async def test_an_erased_key_says_what_happened(around: Around) -> None:
    await keyed_agent(around.log, around.keys)
    session = await session_of(around)
    await around.log.archive_agent("default", "agt_keyed", START, None)
    assert "is archived" in (await failure(around.keys, session)).message


async def test_another_key_file_is_told_with_what_to_do(around: Around, tmp_path: Path) -> None:
    await keyed_agent(around.log, around.keys)
    session = await session_of(around)
    other = Keys(around.log, Keyring.read(Fernet.generate_key().decode(), tmp_path / "other"))
    without = Keys(around.log, Keyring.read("", tmp_path / "nothing"))
    for keys in (other, without):
        assert "key file is another one; give the key again with UpdateAgent" in (await failure(keys, session)).message


async def test_swapped_rows_are_noticed(around: Around, tmp_path: Path) -> None:
    await keyed_agent(around.log, around.keys, "agt_one", key("openai", 1))
    await keyed_agent(around.log, around.keys, "agt_two", key("openai", 2))
    with closing(sqlite3.connect(tmp_path / "log.db")) as db, db:
        agents = db.execute("SELECT agent, ciphertext FROM secrets ORDER BY agent").fetchall()
        for (agent, _), (_, ciphertext) in zip(agents, reversed(agents), strict=True):
            db.execute("UPDATE secrets SET ciphertext = ? WHERE agent = ?", (ciphertext, agent))
    for agent_id in ("agt_one", "agt_two"):
        await failure(around.keys, await session_of(around, agent_id, session_id=f"ses_of_{agent_id}"))


async def test_a_key_is_not_given_out_for_another_address(around: Around, tmp_path: Path) -> None:
    """Somebody who can write the database, and has no key, learns none by pointing an agent at himself."""
    await keyed_agent(around.log, around.keys)
    elsewhere = agent_pb2.AgentDefinition(model=model(base_url="https://elsewhere.example.com/v1"))
    with closing(sqlite3.connect(tmp_path / "log.db")) as db, db:
        db.execute(
            "UPDATE agent_versions SET definition = ? WHERE agent IN (SELECT agent FROM secrets)",
            (elsewhere.SerializeToString(),),
        )
    await failure(around.keys, await session_of(around))


@pytest.mark.parametrize(
    "other",
    [
        owner(model(), "agt_other"),
        owner(model(), version=2),
        owner(model(), session_id="ses_1"),
        owner(model(provider=agent_pb2.PROVIDER_OPENAI)),
        owner(model(base_url=URL + "2")),
        owner(model(base_url="")),
        owner(model())._replace(tenant="other"),
    ],
)
async def test_what_is_sealed_for_one_owner_opens_for_no_other(around: Around, other: Owner) -> None:
    sealed = await around.keys.sealed(key("openai"), owner(model()))
    assert key("openai").encode() not in sealed
    assert around.keys.opened(sealed, other) is None
    assert around.keys.opened(sealed, owner(model())) == key("openai")
    assert around.keys.opened(sealed, owner(model(base_url="HTTPS://Models.example.com:443/v1/"))) == key("openai")


async def test_a_key_file_that_cannot_be_made_refuses_the_call_and_says_so(around: Around, tmp_path: Path) -> None:
    keys = Keys(around.log, Keyring.read("", tmp_path / "nowhere" / "key"))
    with pytest.raises(LogUnavailable, match="cannot be made"):
        await keys.sealed(key("openai"), owner(model()))


def test_a_taken_key_leaves_the_field_present_and_empty() -> None:
    given = model(key("openai"))
    assert take_key(given) == key("openai")
    assert has_key(given)
    assert given == model("")
    assert take_key(given) == ""
    without = model(None)
    assert take_key(without) == ""
    assert not has_key(without)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (model(), model(base_url="https://MODELS.example.com:443/v1/"), True),
        (model(), model(base_url="http://models.example.com/v1"), False),
        (model(), model(base_url="https://models.example.com/v2"), False),
        (model(), model(provider=agent_pb2.PROVIDER_OPENAI), False),
        (
            model(base_url="", provider=agent_pb2.PROVIDER_ANTHROPIC),
            model(base_url="https://api.anthropic.com/", provider=agent_pb2.PROVIDER_ANTHROPIC),
            True,
        ),
        (
            model(base_url="", provider=agent_pb2.PROVIDER_ANTHROPIC),
            model(base_url="", provider=agent_pb2.PROVIDER_GEMINI),
            False,
        ),
    ],
)
def test_places_that_are_the_same(one: agent_pb2.Model, other: agent_pb2.Model, same: bool) -> None:
    assert same_place(one, other) == same_place(other, one) == same
