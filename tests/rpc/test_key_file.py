"""The file with the server's own key, which encrypts those that come inline."""

from pathlib import Path

import grpc
import pytest
from cryptography.fernet import Fernet

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import status_event_pb2
from support.calls import refused
from support.keyed import ELSEWHERE, FIELD, FLAGS, create, definition, sent, turn, update, wire
from support.keys import key
from support.server import Server, Stub, running

pytestmark = pytest.mark.long


async def test_no_key_file_is_made_before_a_key_comes(keyed: Server, mine: Stub) -> None:
    async with wire() as one:
        await turn(mine, await create(mine, definition(one.base_url, None)))
    assert not keyed.db.with_name("log.db.key").exists()


async def test_another_key_file_ends_the_turn_with_what_to_do(keyed: Server, mine: Stub) -> None:
    async with wire() as one:
        agent_id = await create(mine, definition(one.base_url))
        await keyed.terminate()
        keyed.db.with_name("log.db.key").write_bytes(Fernet.generate_key())
        await keyed.start()
        async with keyed.channel() as channel:
            stub = Stub(channel)
            events = await turn(stub, agent_id)
            assert events[-2].error.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
            assert "UpdateAgent" in events[-2].error.message
            assert events[-1].status_idle.stop_reason.HasField("error")
            refusal = await refused(update(stub, agent_id, 1, definition(one.base_url, "")))
            assert refusal.fields == [FIELD]
            await update(stub, agent_id, 1, definition(one.base_url, key("two")))
            await turn(stub, agent_id)
        assert sent(one) == [key("two")]


@pytest.mark.long
async def test_the_server_s_own_keys_are_changed_without_losing_any(keyed: Server, mine: Stub) -> None:
    file = keyed.db.with_name("log.db.key")
    async with wire() as one:
        agent_id = await create(mine, definition(one.base_url))
        await keyed.terminate()
        old = file.read_text()
        file.write_text(Fernet.generate_key().decode() + "\n" + old)
        await keyed.start()
        async with keyed.channel() as channel:
            await turn(Stub(channel), agent_id)
            await update(Stub(channel), agent_id, 1, definition(one.base_url, ""))
        await keyed.terminate()
        # The old one is not needed for what was made since.
        file.write_text(file.read_text().removesuffix(old))
        await keyed.start()
        async with keyed.channel() as channel:
            await turn(Stub(channel), agent_id)
        assert sent(one) == [key("one")] * 2


@pytest.mark.long
async def test_the_key_of_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    secret = Fernet.generate_key().decode()
    async with wire() as one, running(tmp_path / "log.db", *FLAGS, MANAGEDAGENTS_SECRET_KEY=secret) as server:
        async with server.channel() as channel:
            agent_id = await create(Stub(channel), definition(one.base_url))
            await turn(Stub(channel), agent_id)
        assert not (tmp_path / "log.db.key").exists()
        await server.kill()
        await server.start()
        async with server.channel() as channel:
            await turn(Stub(channel), agent_id)
        assert sent(one) == [key("one")] * 2


async def test_a_key_file_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.key"
    async with running(tmp_path / "log.db", *FLAGS, "--secret-key-file", str(file)) as server:
        async with server.channel() as channel:
            await create(Stub(channel), definition(ELSEWHERE))
        assert file.exists()
        assert not (tmp_path / "log.db.key").exists()


async def test_a_key_file_that_others_can_read_is_refused_at_the_start(keyed: Server, mine: Stub) -> None:
    await create(mine, definition(ELSEWHERE))
    await keyed.terminate()
    keyed.db.with_name("log.db.key").chmod(0o640)
    with pytest.raises(AssertionError, match="did not start"):
        await keyed.start()
    last = keyed.stderr().splitlines()[-1]
    assert last.startswith("managedagents-server: the key file ")
    assert "is open to others" in last


async def test_a_folder_that_takes_no_key_file_refuses_the_agent_and_leaves_none(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "key"
    flags = (*FLAGS, "--secret-key-file", str(nowhere))
    async with running(tmp_path / "log.db", *flags) as server, server.channel() as channel:
        stub = Stub(channel)
        refusal = await refused(create(stub, definition(ELSEWHERE)))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "LOG_UNAVAILABLE")
        assert not (await stub.ListAgents(pb.ListAgentsRequest())).agents
        assert await create(stub, definition(ELSEWHERE, None))
