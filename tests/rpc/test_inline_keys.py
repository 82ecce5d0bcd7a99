"""Keys that come inline with a model: stored encrypted, sent to their own address alone, and shown to nobody."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import grpc
import pytest

from managedagents.v1 import agent_pb2, session_pb2, status_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import message, refused, until
from support.keyed import ELSEWHERE, FIELD, create, definition, model, sent, turn, update, wire
from support.keys import KEYMARK, key
from support.server import Server, Stub
from support.stubborn import eventually
from support.wires.told import Answer, Error, Say

pytestmark = pytest.mark.long


def marked_files(folder: Path) -> list[str]:
    """The files in which the mark of a test's key stands."""
    return [path.name for path in folder.iterdir() if KEYMARK.encode() in path.read_bytes()]


def ciphertexts(db: Path) -> int:
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as reading:
        (count,) = reading.execute("SELECT count(*) FROM secrets").fetchone()
    return int(count)


async def test_a_key_reaches_its_address_and_nothing_else_shows_it(keyed: Server, mine: Stub) -> None:
    async with wire() as one:
        given = definition(one.base_url)
        agent_id = await create(mine, given, "keyed")
        assert await create(mine, given, "keyed") == agent_id
        events = await turn(mine, agent_id)
        assert events[-1].status_idle.stop_reason.HasField("end_turn")
        assert sent(one) == [key("one")]
        shown = (await mine.GetAgent(pb.GetAgentRequest(agent_id=agent_id))).agent.definition
        assert shown == definition(one.base_url, "")
        assert shown.model.provider_model.HasField("api_key")
        listed = await mine.ListAgents(pb.ListAgentsRequest())
        assert not any(KEYMARK in str(seen) for seen in (events, shown, listed))
    assert marked_files(keyed.db.parent) == []
    assert ciphertexts(keyed.db) == 1


async def test_a_key_is_still_there_after_a_kill(keyed: Server, mine: Stub) -> None:
    async with wire() as one:
        agent_id = await create(mine, definition(one.base_url))
        await keyed.kill()
        assert stat.S_IMODE(keyed.db.with_name("log.db.key").stat().st_mode) == 0o600
        await keyed.start()
        async with keyed.channel() as channel:
            await turn(Stub(channel), agent_id)
        assert sent(one) == [key("one")]


async def test_a_provider_that_tells_the_key_back_is_not_quoted(keyed: Server, mine: Stub) -> None:
    async with wire(Error("authentication")) as one:
        events = await turn(mine, await create(mine, definition(one.base_url)))
        assert sent(one) == [key("one")]
    assert events[-2].error.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
    assert KEYMARK not in str(events)
    assert marked_files(keyed.db.parent) == []


async def test_an_update_may_give_another_key_or_keep_the_one_there_or_leave_it_out(keyed: Server, mine: Stub) -> None:
    async with wire(Answer((Say("ok"),))) as one:
        agent_id = await create(mine, definition(one.base_url))
        assert await update(mine, agent_id, 1, definition(one.base_url, key("two"))) == 2
        assert await update(mine, agent_id, 2, definition(one.base_url, "", system="kept")) == 3
        assert await update(mine, agent_id, 3, definition(one.base_url, "", system="kept again")) == 4
        assert await update(mine, agent_id, 4, definition(one.base_url, None)) == 5
        for version in range(1, 5):
            request = pb.StartSessionRequest(agent_id=agent_id, version=version, initial_events=[message("go")])
            await until(mine, (await mine.StartSession(request)).session_id, "status.idle")
        assert sent(one) == [key("one"), key("two"), key("two"), key("two")]
    assert ciphertexts(keyed.db) == 4
    refusal = await refused(update(mine, agent_id, 5, definition(one.base_url, "")))
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", [FIELD])


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (ELSEWHERE, True),
        ("https://MODELS.example.com:443/v1/", True),
        ("https://models.example.com/v2", False),
        ("http://models.example.com/v1", False),
        ("https://models.example.com.elsewhere.example/v1", False),
    ],
)
async def test_a_key_is_kept_for_its_own_address_only(stub: Stub, other: str, kept: bool) -> None:
    agent_id = await create(stub, definition(ELSEWHERE))
    if kept:
        assert await update(stub, agent_id, 1, definition(other, "")) == 2
        return
    refusal = await refused(update(stub, agent_id, 1, definition(other, "")))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.fields == [FIELD]


async def test_a_key_is_kept_for_its_own_provider_only(stub: Stub) -> None:
    agent_id = await create(stub, definition(ELSEWHERE))
    other = definition(ELSEWHERE, "")
    other.model.provider_model.provider = agent_pb2.PROVIDER_ANTHROPIC
    assert (await refused(update(stub, agent_id, 1, other))).fields == [FIELD]


async def test_there_is_nothing_to_keep_for_a_new_agent_or_an_override(stub: Stub) -> None:
    assert (await refused(create(stub, definition(ELSEWHERE, "")))).fields == [FIELD]
    agent_id = await create(stub, definition(ELSEWHERE))
    assert (await refused(turn(stub, agent_id, model(ELSEWHERE, "")))).fields == [
        "overrides.model.provider_model.api_key"
    ]


async def test_a_session_s_own_key_is_its_own_and_is_purged_with_it(keyed: Server, mine: Stub) -> None:
    async with wire() as one, wire() as other:
        agent_id = await create(mine, definition(one.base_url))
        request = pb.StartSessionRequest(
            agent_id=agent_id,
            overrides=session_pb2.SessionOverrides(model=model(other.base_url, key("own"))),
            initial_events=[message("go")],
        )
        session_id = (await mine.StartSession(request)).session_id
        events = await until(mine, session_id, "status.idle")
        await turn(mine, agent_id, model(other.base_url, None))
        await turn(mine, agent_id)
        assert (sent(one), sent(other)[0]) == ([key("one")], key("own"))
        assert key("one") not in sent(other)
    session = (await mine.GetSession(pb.GetSessionRequest(session_id=session_id))).session
    assert session.overrides.model == model(other.base_url, "")
    assert session.overrides.model.provider_model.HasField("api_key")
    assert KEYMARK not in str((events, session))
    assert marked_files(keyed.db.parent) == []
    assert ciphertexts(keyed.db) == 2
    await mine.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))
    await eventually(lambda: ciphertexts(keyed.db) == 1)


async def test_requests_that_differ_in_the_key_alone_are_the_same_request(stub: Stub) -> None:
    """Nothing that is kept of a request says anything about its key."""
    agent_id = await create(stub, definition(ELSEWHERE, key("one")), "same but for the key")
    assert await create(stub, definition(ELSEWHERE, key("two")), "same but for the key") == agent_id


@pytest.mark.parametrize("secret", [f"{KEYMARK} with spaces", f"{KEYMARK}\n", f"{KEYMARK}é", KEYMARK * 2000])
async def test_a_key_that_is_none_is_refused_without_quoting_it(shared: Server, stub: Stub, secret: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(stub, definition(ELSEWHERE, secret))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert KEYMARK not in str(caught.value)
    assert KEYMARK not in shared.stderr()


@pytest.mark.long
async def test_a_session_goes_on_with_its_key_after_a_kill_in_the_middle_of_a_turn(keyed: Server, mine: Stub) -> None:
    async with wire(Error("overloaded"), Answer((Say("ok"),))) as one:
        agent_id = await create(mine, definition(one.base_url))
        request = pb.StartSessionRequest(agent_id=agent_id, initial_events=[message("go")])
        session_id = (await mine.StartSession(request)).session_id
        await until(mine, session_id, "status.rescheduling")
        await keyed.kill()
        await keyed.start()
        async with keyed.channel() as channel:
            await until(Stub(channel), session_id, "status.idle")
        assert sent(one) == [key("one")] * 2
