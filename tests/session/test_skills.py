"""Skills: the model is told of them, and reads them when it wants to."""

import json
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import refused, scripted
from support.driven import drive
from support.server import Stub, running
from support.wires import COMPATIBLE, Wire
from support.wires.told import Call, Say, answer

SKILL = "---\nname: greeting\ndescription: How this house greets.\n---\nSay 'Ahoy'.\n"
READ = {"command": "read", "path": "/skills/greeting/SKILL.md"}


def folder(tmp_path: Path) -> Path:
    skills = tmp_path / "skills"
    (skills / "greeting").mkdir(parents=True)
    (skills / "greeting" / "SKILL.md").write_text(SKILL)
    return skills


def reading(model: dict[str, Any], tool: str = "filesystem") -> agent_pb2.AgentDefinition:
    definition = {
        "name": "host",
        "system": "Be kind.",
        "model": model,
        "tools": [{tool: {}}],
        "skills": [{"skill_id": "greeting"}],
    }
    return json_format.ParseDict(definition, agent_pb2.AgentDefinition())


async def test_the_model_is_told_of_a_skill_and_reads_it(tmp_path: Path) -> None:
    skills = folder(tmp_path)
    flags = ("--skills", str(skills), "--allow-address", "127.0.0.0/8")
    async with (
        Wire(COMPATIBLE, answer(Call("filesystem", json.dumps(READ))), answer(Say("Ahoy"))) as wire,
        running(tmp_path / "log.db", *flags) as server,
        server.channel() as channel,
    ):
        provider = {"provider": "PROVIDER_OPENAI_COMPATIBLE", "model": "m", "base_url": wire.base_url}
        session = await drive(Stub(channel), reading({"provider_model": provider}), "hello")
        await session.comes("status.idle end_turn")
        (result,) = [event.agent_tool_result for event in await session.log() if event.HasField("agent_tool_result")]
        first, second = wire.requests
        told = first.json["messages"][0]
    assert told["role"] == "system"
    assert told["content"].startswith("Be kind.\n\n")
    assert "- greeting: How this house greets.\n  /skills/greeting/SKILL.md" in told["content"]
    assert second.json["messages"][0] == told
    assert "Say 'Ahoy'." in result.content[0].text.text
    assert not result.is_error


async def test_a_skill_that_breaks_later_ends_the_turn_and_says_so(tmp_path: Path) -> None:
    skills = folder(tmp_path)
    async with running(tmp_path / "log.db", "--skills", str(skills)) as server, server.channel() as channel:
        session = await drive(Stub(channel), reading({"scripted": {"responses": [{"text": "hi"}]}}))
        (skills / "greeting" / "SKILL.md").write_text("nothing")
        await session.send("hello")
        *_, error, idle = await session.comes("status.idle error")
        assert "greeting" in error.error.message
        (skills / "greeting" / "SKILL.md").write_text(SKILL)
        await session.send("hello again")
        await session.comes("status.idle end_turn")
    assert idle.seq == error.seq + 1


async def test_a_skill_that_is_not_there_is_refused(stub: Stub) -> None:
    definition = reading({"scripted": {"responses": [{"text": "hi"}]}})
    refusal = await refused(stub.Create(pb.CreateRequest(definition=definition)))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_UNUSABLE")
    assert refusal.metadata == {"field": "definition.skills[0].skill_id"}


async def test_a_skill_that_nothing_can_read_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path / "log.db", "--skills", str(folder(tmp_path))) as server, server.channel() as channel:
        stub = Stub(channel)
        definition = reading({"scripted": {"responses": [{"text": "hi"}]}}, tool="web_fetch")
        refusal = await refused(stub.Create(pb.CreateRequest(definition=definition)))
        assert refusal.reason == "TOOL_UNUSABLE"
        plain = scripted({"text": "hi"})
        await stub.Create(pb.CreateRequest(definition=plain))
