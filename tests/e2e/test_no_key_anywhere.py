"""A key goes to the address that it is for, and can be read nowhere else: in no answer, event or refusal, in no log
line, database or backup, whatever the providers say and whatever goes wrong.

One server is asked for everything, once; each test looks at another part of what came of it.
"""

import asyncio
import sqlite3
import sys
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import certifi
import grpc.aio
import pytest

from managedagents.v1 import agent_pb2, session_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, log, message, send, until
from support.keys import KEYMARK, key
from support.leaks import leaks, marks
from support.recording import following
from support.requests import raw_call
from support.server import Stub, running
from support.telltale import LINES, Telltale, redirects
from support.wires import ANTHROPIC, COMPATIBLE, OPENAI, VENDORS, Wire

pytestmark = pytest.mark.long

_FLAGS = (
    *("--allow-address", "127.0.0.0/8", "--log-level", "debug"),
    *("--limit", "provider_attempts=2", "--limit", "retry_first=0.01", "--limit", "retry_most=0.01"),
    *("--limit", "breaker_failures=1000"),
)


def _key(name: str) -> str:
    """Of the provider of this name here. Inline ones have what JSON, HTML, URLs and Python write in other ways."""
    return key(name) + ("-'\"\\<&%" if name.startswith("inline") else "")


@dataclass
class Seen:
    folder: Path
    """Of the server."""
    elsewhere: Wire = field(default_factory=lambda: Wire(COMPATIBLE))
    """Where nobody is to go: a proxy, and what a redirection leads to."""
    providers: dict[str, Telltale] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    command_line: bytes = b""

    async def refuse(self, call: Any) -> grpc.StatusCode:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        error = caught.value
        self.refusals.append(f"{error.details()} {error.trailing_metadata()!r} {error.debug_error_string()}")
        return error.code()


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    seen = Seen(tmp_path_factory.mktemp("server"))
    asyncio.run(_ask_for_everything(seen, tmp_path_factory.mktemp("operator") / "providers.toml"))
    return seen


def test_every_provider_gets_its_own_key_and_no_other(seen: Seen) -> None:
    for name, provider in seen.providers.items():
        assert len(provider.requests) > len(LINES)
        for received in provider.requests:
            assert provider.vendor.key(received) == _key(name)
            sent = " ".join([received.path, *received.headers, *received.headers.values(), received.body.decode()])
            assert sent.count(_key(name)) == 1
            assert KEYMARK not in sent.replace(_key(name), "")


def test_nobody_asks_where_the_environment_or_a_redirection_sends_them(seen: Seen) -> None:
    assert seen.elsewhere.requests == []


def test_no_answer_and_no_event_shows_a_key(seen: Seen) -> None:
    shown = "\n".join(seen.answers)
    assert "With [key]: " in shown, "no provider told its key"
    assert marks(shown.encode()) == []


def test_no_refusal_shows_a_key(seen: Seen) -> None:
    assert len(seen.refusals) > 8
    assert marks("\n".join(seen.refusals).encode()) == []


def test_the_command_line_shows_no_key(seen: Seen) -> None:
    assert b"--providers" in seen.command_line
    assert marks(seen.command_line) == []


def test_no_file_that_the_server_wrote_holds_a_key(seen: Seen) -> None:
    written = {path.name for path in seen.folder.iterdir()}
    assert {"log.db", "log.db-wal", "log.db.key", "log.stderr", "backup.db"} <= written
    log = seen.folder.joinpath("log.stderr").read_text()
    assert "Traceback" in log
    assert leaks(seen.folder) == []


async def _ask_for_everything(seen: Seen, file: Path) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(seen.elsewhere)
        for vendor in VENDORS:
            for name in (f"inline-{vendor}", f"named-{vendor}"):
                lines = [*LINES, redirects(seen.elsewhere.base_url)]
                seen.providers[name] = await stack.enter_async_context(Telltale(vendor, lines))
        environment = _write(file, seen)
        db = seen.folder / "log.db"
        server = await stack.enter_async_context(running(db, *_FLAGS, "--providers", str(file), **environment))
        channel = await stack.enter_async_context(server.channel())
        stub = Stub(channel)
        async with asyncio.TaskGroup() as group:
            for name in seen.providers:
                group.create_task(_talk(seen, stub, name))
        await _ask_in_vain(seen, channel)
        await _misplace(seen, stub, db)
        await _read(seen, stub)
        await _fail(seen, stub, db)
        seen.command_line = _command_line(server.pid)
        arguments = ("-m", "managedagents_server", "backup", "--db", str(db), "--to", str(seen.folder / "backup.db"))
        assert await (await asyncio.create_subprocess_exec(sys.executable, *arguments)).wait() == 0
        # So that the write-ahead log stays, too.
        await server.kill()


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def _write(file: Path, seen: Seen) -> dict[str, str]:
    """The operator's file, and the environment: there, and in a file of its own, stand keys that the first one names;
    the others are those that the vendors' libraries look for."""
    sources = {
        OPENAI: 'key_env = "TEAM_KEY"',
        ANTHROPIC: 'key_file = "own.secret"',
    }
    tables = []
    for name, provider in seen.providers.items():
        if name.startswith("named"):
            source = sources.get(provider.vendor, f'key = "{_key(name)}"')
            tables.append(f'[credentials.{name}]\n{source}\nbase_url = "{provider.base_url}"\n')
    file.write_text("\n".join(tables))
    file.chmod(0o600)
    certificates = file.with_name(f"{KEYMARK}.pem")
    certificates.symlink_to(certifi.where())
    file.with_name("own.secret").write_text(_key(f"named-{ANTHROPIC}"))
    names = (
        *("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_WEBHOOK_SECRET"),
        *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OLLAMA_API_KEY"),
        *("GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
    )
    headers = f"Authorization: Bearer {key('environment')}\nX-Api-Key: {key('environment')}\nX-More: {KEYMARK}"
    elsewhere = seen.elsewhere.base_url.replace("//", f"//{KEYMARK}:{KEYMARK}@")
    addresses = (
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
        *("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL", "OLLAMA_BASE_URL"),
    )
    return {
        "TEAM_KEY": _key(f"named-{OPENAI}"),
        "MANAGEDAGENTS_CREDENTIAL_OPENAI_UNUSED": key("unused"),
        "OPENAI_CUSTOM_HEADERS": headers,
        "ANTHROPIC_CUSTOM_HEADERS": headers,
        "GOOGLE_GENAI_USE_VERTEXAI": "true",
        "NO_PROXY": "",
        "SSL_CERT_FILE": str(certificates),
        **dict.fromkeys(names, key("environment")),
        **dict.fromkeys(addresses, elsewhere),
    }


def _definition(seen: Seen, name: str, api_key: str) -> agent_pb2.AgentDefinition:
    provider = seen.providers[name]
    reference = agent_pb2.ProviderModel(provider=provider.vendor.provider, model=provider.vendor.model)
    if name.startswith("named"):
        reference.credential = name
    else:
        reference.base_url, reference.api_key = provider.base_url, api_key
    return agent_pb2.AgentDefinition(name=name, model=agent_pb2.Model(provider_model=reference))


async def _talk(seen: Seen, stub: Stub, name: str) -> None:
    """Until every line of the provider was heard, and it answered well."""
    create = pb.CreateRequest(definition=_definition(seen, name, _key(name)), request_id=name)
    agent = await stub.Create(create)
    request = pb.StartSessionRequest(agent_id=agent.agent_id, request_id=name)
    session = await stub.StartSession(request)
    seen.answers += map(str, (agent, await stub.Create(create), session, await stub.StartSession(request)))
    async with following(stub, session.session_id, include_deltas=True) as follower:
        while len(seen.providers[name].requests) < len(LINES) + 2:
            seq = await send(stub, session.session_id, "go", request_id=f"{name} {len(follower.messages)}")
            await follower.event(partial(_ends, seq))
        seen.answers += map(str, follower.messages)


def _ends(turn: int, event: Event) -> bool:
    return event.turn == turn and event.HasField("status_idle")


async def _ask_in_vain(seen: Seen, channel: grpc.aio.Channel) -> None:
    stub = Stub(channel)
    inline, named = _definition(seen, f"inline-{OPENAI}", key("refused")), _definition(seen, f"named-{OPENAI}", "")
    both = [await stub.Create(pb.CreateRequest(definition=one)) for one in (inline, named)]

    async def create(request_id: str = "", **fields: Any) -> grpc.StatusCode:
        definition = agent_pb2.AgentDefinition(name="refused")
        definition.model.CopyFrom(inline.model)
        for name, value in fields.items():
            setattr(definition.model.provider_model, name, value)
        return await seen.refuse(stub.Create(pb.CreateRequest(definition=definition, request_id=request_id)))

    async def update(agent_id: str, version: int, base_url: str, api_key: str) -> grpc.StatusCode:
        definition = agent_pb2.AgentDefinition()
        definition.CopyFrom(inline)
        definition.model.provider_model.base_url, definition.model.provider_model.api_key = base_url, api_key
        request = pb.UpdateAgentRequest(agent_id=agent_id, version=version, definition=definition)
        return await seen.refuse(stub.UpdateAgent(request))

    base_url = inline.model.provider_model.base_url
    assert await create(f"inline-{OPENAI}") == grpc.StatusCode.ALREADY_EXISTS
    assert await create(api_key=f"{KEYMARK} with spaces") == grpc.StatusCode.INVALID_ARGUMENT
    assert await create(api_key=KEYMARK * 2000) == grpc.StatusCode.INVALID_ARGUMENT
    assert await create(base_url="http://10.0.0.1/v1") == grpc.StatusCode.FAILED_PRECONDITION
    assert await create(base_url=f"https://{KEYMARK}@models.example.com") == grpc.StatusCode.INVALID_ARGUMENT
    assert await update(both[0].agent_id, 2, base_url, key("refused")) == grpc.StatusCode.ABORTED
    assert await update(both[0].agent_id, 1, "https://models.example.com", "") == grpc.StatusCode.INVALID_ARGUMENT
    assert await update("agt_none", 1, base_url, key("refused")) == grpc.StatusCode.NOT_FOUND
    overrides = session_pb2.SessionOverrides(model=inline.model)
    request = pb.StartSessionRequest(agent_id=both[1].agent_id, overrides=overrides, version=5)
    assert await seen.refuse(stub.StartSession(request)) == grpc.StatusCode.NOT_FOUND
    torn = pb.CreateRequest(definition=inline).SerializeToString()[:-1]
    assert await seen.refuse(raw_call(channel, "Create", torn)) == grpc.StatusCode.INVALID_ARGUMENT


async def _misplace(seen: Seen, stub: Stub, db: Path) -> None:
    """Keys change places in the database, where they are of no use: their providers are not asked."""
    with closing(sqlite3.connect(db, isolation_level=None)) as writing:
        rows = writing.execute("SELECT agent, ciphertext FROM secrets").fetchall()
        agents, ciphertexts = zip(*rows, strict=True)
        moved = zip((*ciphertexts[1:], ciphertexts[0]), agents, strict=True)
        writing.executemany("UPDATE secrets SET ciphertext = ? WHERE agent = ?", list(moved))
    for name, provider in seen.providers.items():
        if name.startswith("inline"):
            create = pb.CreateRequest(definition=_definition(seen, name, _key(name)), request_id=name)
            asked = len(provider.requests)
            agent_id = (await stub.Create(create)).agent_id
            request = pb.StartSessionRequest(agent_id=agent_id, initial_events=[message("go")])
            session = await stub.StartSession(request)
            events = await until(stub, session.session_id, "status.idle")
            assert events[-1].status_idle.stop_reason.HasField("error")
            assert len(provider.requests) == asked


async def _read(seen: Seen, stub: Stub) -> None:
    agents = await stub.ListAgents(pb.ListAgentsRequest())
    sessions = await stub.ListSessions(pb.ListSessionsRequest())
    assert not agents.next_page_token
    assert not sessions.next_page_token
    seen.answers += map(str, (agents, sessions))
    for agent in agents.agents:
        seen.answers.append(str(await stub.GetAgent(pb.GetAgentRequest(agent_id=agent.agent_id))))
    for session in sessions.sessions:
        of = {"session_id": session.session_id}
        seen.answers.append(str(await stub.GetSession(pb.GetSessionRequest(**of))))
        seen.answers.append(str(await stub.Status(pb.StatusRequest(**of))))
        seen.answers += map(str, await log(stub, session.session_id))


async def _fail(seen: Seen, stub: Stub, db: Path) -> None:
    """A call runs into what cannot be, and the server logs it with its traceback."""
    create = pb.CreateRequest(definition=_definition(seen, f"inline-{OPENAI}", ""), request_id=f"inline-{OPENAI}")
    agent_id = (await stub.Create(create)).agent_id
    with closing(sqlite3.connect(db, isolation_level=None)) as writing:
        writing.execute("UPDATE agent_versions SET definition = X'0AFF'")
    assert await seen.refuse(stub.GetAgent(pb.GetAgentRequest(agent_id=agent_id))) == grpc.StatusCode.INTERNAL
