"""The grader's request is like no other of its session, whoever is asked: the criteria and what was done, a schema for
the verdict, and nothing else."""

import json
from typing import Any

import pytest

from managedagents.v1 import service_pb2 as pb
from providers.cell import agent
from support.calls import outcome
from support.driven import Driven, texts
from support.server import Stub
from support.wires import ANTHROPIC, COMPATIBLE, GEMINI, OLLAMA, OPENAI, VENDORS, Vendor, Wire
from support.wires.faults import slow
from support.wires.told import Answer, Call, Say, Think, Told, Usage, answer, error

pytestmark = pytest.mark.long

NOT_MET = '{"met": false, "reason": "it has no end"}'
MET = '{"met": true, "reason": "it ends"}'


async def towards(stub: Stub, wire: Wire, model: str = "") -> Driven:
    definition = agent(wire)
    if model:
        definition.model.provider_model.model = model
    created = await stub.Create(pb.CreateRequest(definition=definition))
    request = pb.StartSessionRequest(agent_id=created.agent_id, initial_events=[outcome("a story with an end")])
    return Driven(stub, (await stub.StartSession(request)).session_id)


def schema_of(vendor: Vendor, body: Any) -> Any:
    """The schema that the answer is to follow. None: there is none."""
    match vendor:
        case v if v is OPENAI:
            return body.get("text", {}).get("format", {}).get("schema")
        case v if v is ANTHROPIC:
            return body.get("output_config", {}).get("format", {}).get("schema")
        case v if v is GEMINI:
            return body.get("generationConfig", {}).get("responseJsonSchema")
        case v if v in (COMPATIBLE, OLLAMA):
            return body.get("response_format", {}).get("json_schema", {}).get("schema")
    raise AssertionError(vendor)


@pytest.mark.parametrize("vendor", VENDORS, ids=repr)
async def test_a_grader_is_asked_by_a_schema_without_tools_and_its_reason_is_told(stub: Stub, vendor: Vendor) -> None:
    told = [answer(Say(words)) for words in ("once upon a time", NOT_MET, "and they lived on", MET)]
    async with Wire(vendor, *told) as wire:
        session = await towards(stub, wire)
        events = await session.comes("status.completed")
        work, first, more, _ = wire.requests
    assert [schema_of(vendor, request.json) is not None for request in wire.requests] == [False, True, False, True]
    schema = schema_of(vendor, first.json)
    assert sorted(schema["required"]) == ["met", "reason"]
    assert schema["properties"]["met"]["type"].lower() == "boolean"
    assert vendor.tools(first) == []
    assert len(vendor.tools(work)) == len(vendor.tools(more)) == 2
    assert len(vendor.messages(first)) == 1
    assert b"Be brief." not in first.body
    for words in (b"a story with an end", b"once upon a time"):
        assert words in first.body
    # The talk goes on as if nobody had been asked, but for the reason.
    assert vendor.messages(more)[: len(vendor.messages(work))] == vendor.messages(work)
    assert b"it has no end" in more.body
    assert b'\\"met\\"' not in more.body
    assert texts(events) == ["once upon a time", "and they lived on"]


@pytest.mark.parametrize("vendor", VENDORS, ids=repr)
async def test_what_the_grader_cost_is_the_sessions(stub: Stub, vendor: Vendor) -> None:
    told = [Answer((Say(words),), usage=Usage(3, 2, 0, 0)) for words in ("once", MET)]
    async with Wire(vendor, *told) as wire:
        session = await towards(stub, wire)
        verdict = (await session.comes("outcome.evaluated"))[-1]
        await session.comes("status.completed")
    assert (verdict.response.usage.input_tokens, verdict.response.usage.output_tokens) == (3, 2)
    usage = (await session.status()).usage
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (2, 6, 4)


@pytest.mark.parametrize("vendor", VENDORS, ids=repr)
async def test_a_grader_may_be_told_what_tools_did(stub: Stub, vendor: Vendor) -> None:
    told = (answer(Think("hm"), Call("lookup", '{"z": 1}')), answer(Say("it is in Lyon")), answer(Say(MET)))
    async with Wire(vendor, *told) as wire:
        session = await towards(stub, wire)
        use = (await session.comes("agent.custom_tool_use"))[-1].agent_custom_tool_use
        await session.answer(use.custom_tool_use_id, "found in Lyon")
        await session.comes("status.completed")
        assert b"found in Lyon" in wire.requests[-1].body
        assert vendor.tools(wire.requests[-1]) == []


@pytest.mark.parametrize("vendor", VENDORS, ids=repr)
async def test_an_interrupt_hangs_up_on_the_grader_and_the_talk_goes_on(stub: Stub, vendor: Vendor) -> None:
    told = (answer(Say("once")), answer(Say(MET), fault=slow(60)), answer(Say("you are welcome")))
    async with Wire(vendor, *told) as wire:
        session = await towards(stub, wire)
        await session.comes("agent.message")
        await wire.wait_requests(2)
        await session.interrupt()
        await session.comes("status.idle interrupted")
        await wire.requests[1].wait_hung_up()
        await session.send("thank you")
        events = await session.comes("status.idle end_turn")
        assert b"a story with an end" in wire.requests[-1].body
    assert texts(events) == ["you are welcome"]


async def test_what_is_no_verdict_is_asked_for_again(stub: Stub) -> None:
    told: list[Told] = [answer(Say(words)) for words in ("once", "It is met, I think.", f"```json\n{MET}\n```")]
    async with Wire(COMPATIBLE, *told) as wire:
        session = await towards(stub, wire)
        await session.comes("status.completed")
        assert wire.requests[1].body == wire.requests[2].body
    assert (await session.lines())[3:] == [
        "1 status.rescheduling 1 model_broken_stream",
        "1 status.running attempt 2",
        "1 outcome.evaluated 1 met",
        "0 status.completed",
    ]


async def test_a_grader_that_declines_ends_the_outcome(stub: Stub) -> None:
    told = (answer(Say("once")), answer(Say("I will not."), stop="refusal"))
    async with Wire(COMPATIBLE, *told) as wire:
        session = await towards(stub, wire)
        events = await session.comes("status.idle")
    assert (await session.lines())[-2:] == ["1 error model_rejected", "1 status.idle error"]
    assert "declined" in events[-2].error.message


async def test_a_server_that_rejects_schemas_is_asked_without_one_from_then_on(stub: Stub) -> None:
    told = (answer(Say("once")), error("bad_request"), answer(Say(NOT_MET)), answer(Say("the end")), answer(Say(MET)))
    async with Wire(COMPATIBLE, *told) as wire:
        session = await towards(stub, wire)
        await session.comes("status.completed")
        schemas = [schema_of(COMPATIBLE, request.json) is not None for request in wire.requests]
    assert schemas == [False, True, False, False, False]
    assert (await session.lines())[3:6] == [
        "1 status.rescheduling 1 model_rejected",
        "1 status.running attempt 2",
        "1 outcome.evaluated 1 not met",
    ]


async def test_a_model_that_follows_no_schema_is_asked_without_one(stub: Stub) -> None:
    async with Wire(ANTHROPIC, answer(Say("once")), answer(Say(f"```json\n{MET}\n```"))) as wire:
        session = await towards(stub, wire, "claude-3-5-haiku-latest")
        await session.comes("status.completed")
        asked = wire.requests[-1]
    assert schema_of(ANTHROPIC, asked.json) is None
    assert "JSON" in json.dumps(asked.json["system"])
