"""Whose model it is, where it may be, and with whose key it is asked: through a whole server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import status_event_pb2
from support.calls import Event, kind, message, refused, send, until
from support.keys import KEYMARK, key
from support.requests import call
from support.server import Server, Stub, running
from support.wires import COMPATIBLE, Wire
from support.wires.chat import OpenAIWire
from support.wires.server import Reply

pytestmark = pytest.mark.long

CONNECTS = status_event_pb2.ERROR_CODE_MODEL_CONNECTION
QUICK = ("--limit", "retry_first=0.01", "--limit", "retry_most=0.01")
LOOPBACK = ("--allow-address", "127.0.0.0/8")


def served(base_url: str, **fields: Any) -> dict[str, Any]:
    return {"provider_model": {"provider": "PROVIDER_OPENAI_COMPATIBLE", "model": "m", "base_url": base_url, **fields}}


async def create(stub: Stub, model: dict[str, Any], **fields: Any) -> str:
    response = await call(stub, "Create", {"definition": {"name": "test", "model": model, **fields}})
    return str(response.agent_id)


async def started(stub: Stub, model: dict[str, Any]) -> str:
    """A session at work on its first message."""
    request = pb.StartSessionRequest(agent_id=await create(stub, model), initial_events=[message("go")])
    return (await stub.StartSession(request)).session_id


async def turn(stub: Stub, model: dict[str, Any]) -> list[Event]:
    return await until(stub, await started(stub, model), "status.idle")


async def unusable(stub: Stub, model: dict[str, Any], **fields: Any) -> str:
    """The field that a refusal of the model names."""
    refusal = await refused(create(stub, model, **fields))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PROVIDER_UNUSABLE")
    return refusal.metadata["field"].removeprefix("definition.model")


def fault(events: list[Event]) -> status_event_pb2.ErrorEvent:
    (found,) = (event.error for event in events if kind(event) == "error")
    return found


def sent(wire: OpenAIWire | Wire) -> list[str]:
    """The keys that came over the wire, in order."""
    return [request.headers["authorization"].removeprefix("Bearer ") for request in wire.requests]


@asynccontextmanager
async def stub_of(db: Path, *flags: str, **environment: str) -> AsyncIterator[Stub]:
    async with running(db, *flags, **environment) as server, server.channel() as channel:
        yield Stub(channel)


def write(path: Path, text: str) -> Path:
    new = path.with_suffix(".new")
    new.touch(0o600)
    new.write_text(text)
    return new.rename(path)


def files_with_keys(folder: Path) -> list[str]:
    """Those in which a key stands."""
    return [path.name for path in folder.iterdir() if KEYMARK.encode() in path.read_bytes()]


def told(base_url: str, secret: str, name: str = "house") -> str:
    return f"""
[credentials.{name}]
key = "{secret}"
base_url = "{base_url}"

[[models]]
prefix = "house-"
provider = "openai-compatible"
base_url = "{base_url}"
credential = "{name}"
tools = false
"""


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ({"name": "nobody-knows-it"}, ".name"),
        ({"name": "qwen3:8b"}, ".name"),
        (served("https://models.example.com/v1", credential="gone"), ".provider_model.credential"),
        (served("http://127.0.0.1:1/v1"), ".provider_model.base_url"),
        (served("http://2130706433:1/v1"), ".provider_model.base_url"),
        (served("http://[::ffff:169.254.169.254]/v1"), ".provider_model.base_url"),
        (served("http://localhost/v1"), ".provider_model.base_url"),
        (served("http://10.0.0.1/v1", api_key=key("mine")), ".provider_model.base_url"),
    ],
)
async def test_what_a_server_without_more_does_not_have(stub: Stub, model: dict[str, Any], field: str) -> None:
    assert await unusable(stub, model) == field


@pytest.mark.parametrize("name", ["gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-pro"])
async def test_a_model_without_any_key_is_asked_for_one(stub: Stub, name: str) -> None:
    found = fault(await turn(stub, {"name": name}))
    assert found.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
    assert "there is no key for" in found.message


async def test_a_row_and_a_credential_of_the_operators_file(tmp_path: Path) -> None:
    async with Wire(COMPATIBLE) as wire:
        file = write(tmp_path / "providers.toml", told(wire.base_url, key("house")))
        async with running(tmp_path / "log.db", "--providers", str(file)) as server, server.channel() as channel:
            stub = Stub(channel)
            # No flag allows the address: the operator wrote it himself.
            for model in ({"name": "house-1"}, served("", credential="house"), served(wire.base_url)):
                events = await turn(stub, model)
                assert events[-1].status_idle.stop_reason.HasField("end_turn")
                assert KEYMARK not in str(events)
            assert sent(wire)[:2] == [key("house")] * 2
            assert key("house") not in sent(wire)[2:]
            other = served("http://127.0.0.1:1/v1", credential="house")
            assert await unusable(stub, other) == ".provider_model.credential"
            tool = {"tools": [{"custom": {"name": "look"}}]}
            assert await unusable(stub, {"name": "house-1"}, **tool) == ""
        assert KEYMARK not in server.stderr()
    assert files_with_keys(tmp_path) == ["providers.toml"]


async def test_a_key_is_changed_while_the_server_runs(tmp_path: Path) -> None:
    async with Wire(COMPATIBLE) as wire:
        file = write(tmp_path / "providers.toml", told(wire.base_url, key("house", 1)))
        async with stub_of(tmp_path / "log.db", "--providers", str(file)) as stub:
            session = await started(stub, {"name": "house-1"})
            seq = (await until(stub, session, "status.idle"))[-1].seq
            write(file, told(wire.base_url, key("house", 2)))
            await send(stub, session, "again")
            await until(stub, session, "status.idle", from_seq=seq)
        assert sent(wire) == [key("house", 1), key("house", 2)]


async def test_a_credential_that_goes_ends_the_turn_and_says_what_to_do(tmp_path: Path) -> None:
    async with Wire(COMPATIBLE) as wire:
        file = write(tmp_path / "providers.toml", told(wire.base_url, key("house")))
        async with stub_of(tmp_path / "log.db", "--providers", str(file)) as stub:
            session = await started(stub, served(wire.base_url, credential="house"))
            seq = (await until(stub, session, "status.idle"))[-1].seq
            write(file, told(wire.base_url, key("home"), name="home"))
            await send(stub, session, "again")
            events = await until(stub, session, "status.idle", from_seq=seq)
            found = fault(events)
            assert found.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
            assert "the credential house is not configured on this server" in found.message
            assert events[-1].status_idle.stop_reason.HasField("error")
            write(file, told(wire.base_url, key("house", 2)))
            await send(stub, session, "and again")
            await until(stub, session, "status.idle", from_seq=events[-1].seq)
        assert sent(wire) == [key("house"), key("house", 2)]


async def test_a_credential_of_the_environment_goes_to_no_address_that_a_definition_gives(tmp_path: Path) -> None:
    async with Wire(COMPATIBLE) as wire:
        environment = {"MANAGEDAGENTS_CREDENTIAL_OPENAI_TEAM_A": key("team"), "OPENAI_API_KEY": key("leaks")}
        async with stub_of(tmp_path / "log.db", *LOOPBACK, **environment) as stub:
            refusal = await unusable(stub, served(wire.base_url, credential="openai-team-a"))
            assert refusal == ".provider_model.credential"
            await turn(stub, served(wire.base_url))
        assert KEYMARK not in str([request.headers for request in wire.requests])


async def test_the_key_of_a_variable_is_used(tmp_path: Path) -> None:
    async with Wire(COMPATIBLE) as wire:
        text = f'[credentials.house]\nkey_env = "OPENAI_API_KEY"\nbase_url = "{wire.base_url}"'
        file = write(tmp_path / "providers.toml", text)
        flags = ("--providers", str(file))
        async with stub_of(tmp_path / "log.db", *flags, OPENAI_API_KEY=key("house")) as stub:
            await turn(stub, served("", credential="house"))
        assert sent(wire) == [key("house")]


async def test_an_address_that_is_no_longer_allowed_ends_the_turn(server: Server) -> None:
    await server.terminate()
    await server.start(*LOOPBACK)
    async with Wire(COMPATIBLE) as wire:
        async with server.channel() as channel:
            session = await started(Stub(channel), served(wire.base_url))
            seq = (await until(Stub(channel), session, "status.idle"))[-1].seq
        await server.terminate()
        await server.start()
        async with server.channel() as channel:
            await send(Stub(channel), session, "again")
            found = fault(await until(Stub(channel), session, "status.idle", from_seq=seq))
        assert found.code == status_event_pb2.ERROR_CODE_MODEL_REJECTED
        assert "--allow-address" in found.message
        assert len(wire.requests) == 1


async def test_a_redirection_takes_the_key_nowhere(tmp_path: Path) -> None:
    async with OpenAIWire() as other:
        moved = Reply((b"{}",), status=307, headers={"location": f"{other.base_url}/chat/completions"})
        async with OpenAIWire(moved) as wire, stub_of(tmp_path / "log.db", *LOOPBACK) as stub:
            events = await turn(stub, served(wire.base_url, api_key=key("mine")))
            assert events[-1].status_idle.stop_reason.HasField("error")
            assert len(wire.requests) == 1
        assert not other.requests


async def test_a_provider_that_answers_nobody_is_left_alone(tmp_path: Path) -> None:
    limits = ("--limit", "breaker_failures=2", "--limit", "provider_attempts=2")
    async with Wire(COMPATIBLE) as wire, stub_of(tmp_path / "log.db", *LOOPBACK, *QUICK, *limits) as stub:
        dead = served("http://127.0.0.1:1/v1")
        assert fault(await turn(stub, dead)).code == CONNECTS
        events = await turn(stub, dead)
        (retry,) = (event.status_rescheduling for event in events if kind(event) == "status.rescheduling")
        assert "left alone" in retry.message
        assert fault(events).code == status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE
        living = await turn(stub, served(wire.base_url))
        assert living[-1].status_idle.stop_reason.HasField("end_turn")
