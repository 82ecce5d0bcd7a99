"""MCP servers that sessions reach over the network: one that others wrote, and one by hand that notes what comes."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from support import mcp_servers
from support.calls import refused, scripted
from support.driven import Driven, drive
from support.server import Stub, running
from support.stubborn import eventually
from unit.tools.mcp.raw_http import raw_http

pytestmark = pytest.mark.long

KEY = "KEYMARK-mcp-1"
FLAGS = ("--allow-address", "127.0.0.1", "--limit", "mcp_idle=0.2")


def agent(*calls: tuple[str, dict[str, Any]], **server: Any) -> agent_pb2.AgentDefinition:
    definition = scripted(
        *({"tool_calls": [{"name": name, "input_json": json.dumps(given)}]} for name, given in calls), {"text": "done"}
    )
    json_format.ParseDict({"mcp_servers": [{"name": "web", "auto_approve": True, **server}]}, definition)
    return definition


@asynccontextmanager
async def served(folder: Path, *flags: str) -> AsyncIterator[Stub]:
    async with running(folder / "log.db", *FLAGS, *flags, DOCS_KEY=KEY) as server, server.channel() as channel:
        yield Stub(channel)
        assert KEY not in server.stderr()
        assert "Traceback" not in server.stderr()


async def told(session: Driven) -> list[Any]:
    await session.comes("status.idle end_turn")
    return [event.agent_mcp_tool_result for event in await session.log() if event.HasField("agent_mcp_tool_result")]


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
async def test_a_server_that_others_wrote_is_used_at_a_url(tmp_path: Path, transport: Any) -> None:
    async with mcp_servers.everything_at_a_url(transport) as url, served(tmp_path) as stub:
        definition = agent(
            ("web__get-sum", {"a": 40, "b": 2}),
            ("web__get-tiny-image", {}),
            ("web__echo", {}),
            http={"url": url, "sse": transport == "sse"},
        )
        session = await drive(stub, definition, "go")
        added, picture, wrong = await told(session)
        assert added.content[0].text.text == "The sum of 40 and 2 is 42."
        assert {block.image.media_type for block in picture.content if block.HasField("image")} == {"image/png"}
        assert "'message' is a required property" in wrong.content[0].text.text


async def test_a_connection_that_breaks_in_a_call_costs_that_call_alone(tmp_path: Path) -> None:
    async with raw_http() as server, served(tmp_path) as stub:
        session = await drive(stub, agent(("web__break", {}), ("web__any", {}), http={"url": server.url}), "go")
        broken, answered = await told(session)
        assert broken.is_error
        assert answered.content[0].text.text == "answered"


async def test_an_interrupt_ends_a_call_that_hangs(tmp_path: Path) -> None:
    async with raw_http() as server, served(tmp_path) as stub:
        session = await drive(stub, agent(("web__hang", {}), http={"url": server.url}), "go")
        await eventually(lambda: "tools/call" in server.told)
        await session.interrupt()
        await session.comes("status.idle interrupted")
        await eventually(lambda: "notifications/cancelled" in server.told)


async def test_a_credential_goes_to_its_own_address_and_stands_nowhere(tmp_path: Path) -> None:
    async with raw_http() as server:
        providers = tmp_path / "providers.toml"
        providers.write_text(f"[credentials.docs]\nkey_env = 'DOCS_KEY'\nbase_url = '{server.url}'\n")
        async with served(tmp_path, "--providers", str(providers)) as stub:
            http = {"url": server.url, "credential": "docs"}
            session = await drive(stub, agent(("web__any", {}), http=http), "go")
            (answered,) = await told(session)
            assert answered.content[0].text.text == "answered"
            assert set(server.headers) == {f"Bearer {KEY}"}
            assert KEY not in str(await session.log())
            elsewhere = agent(http={"url": server.url.replace("/mcp", "/other"), "credential": "docs"})
            refusal = await refused(stub.Create(pb.CreateRequest(definition=elsewhere)))
            assert (refusal.reason, refusal.metadata) == (
                "TOOL_UNUSABLE",
                {"field": "definition.mcp_servers[0].http.credential"},
            )


async def test_a_configured_server_may_be_anywhere_but_one_of_a_definition_only_where_it_is_allowed(
    tmp_path: Path,
) -> None:
    async with raw_http() as server:
        file = tmp_path / "mcp.toml"
        file.write_text(f"[servers.docs]\nurl = '{server.url}'\n")
        async with (
            running(tmp_path / "log.db", "--mcp-servers", str(file)) as running_,
            running_.channel() as channel,
        ):
            stub: Stub = Stub(channel)
            session = await drive(stub, agent(("web__any", {}), configured="docs"), "go")
            assert len(await told(session)) == 1
            # A name that means an address inside shows only when it is resolved.
            http = {"url": server.url.replace("127.0.0.1", "localhost.")}
            refusal = await refused(stub.Create(pb.CreateRequest(definition=agent(http=http))))
            assert refusal.reason == "TOOL_UNUSABLE"
