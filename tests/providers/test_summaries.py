"""The request for a summary is like no other of its session: it has the notes to write and nothing else."""

import pytest

from managedagents.v1 import agent_pb2
from providers.cell import agent
from support.driven import drive, texts
from support.server import Stub
from support.wires import COMPATIBLE, VENDORS, Vendor, Wire
from support.wires.told import Answer, Call, Say, Usage

pytestmark = pytest.mark.long

FULL = Usage(input=900_000, output=5)
FEW = Usage(3, 1, 0, 0)


def told(*words: str) -> list[Answer]:
    """The first answer fills the window."""
    return [Answer((Say(text),), usage=FULL if number == 0 else FEW) for number, text in enumerate(words)]


def compacting(wire: Wire, window: int) -> agent_pb2.AgentDefinition:
    definition = agent(wire)
    definition.compaction.window_tokens = window
    definition.model_settings.max_tokens = 100
    return definition


@pytest.mark.parametrize("vendor", VENDORS, ids=repr)
async def test_a_summary_is_asked_for_without_tools_and_told_before_the_next_message(
    stub: Stub, vendor: Vendor
) -> None:
    async with Wire(vendor, *told("hello Ada", "The user is Ada.", "You are Ada.")) as wire:
        session = await drive(stub, compacting(wire, 1_000_000), "I am Ada", "who am I?")
        await session.comes("status.idle end_turn")
        assert texts(await session.comes("status.idle end_turn")) == ["You are Ada."]
        of_summary, after = wire.requests[1:]
    assert vendor.tools(of_summary) == []
    assert len(vendor.messages(of_summary)) == len(vendor.messages(after)) == 1
    assert b"I am Ada" in of_summary.body
    assert b"Be brief." not in of_summary.body
    assert b"The user is Ada." in after.body
    assert b"who am I?" in after.body
    assert b"I am Ada" not in after.body
    assert len(vendor.tools(after)) > 0


async def test_a_bound_that_is_meant_for_answers_does_not_cut_the_summary(stub: Stub) -> None:
    async with Wire(COMPATIBLE, *told("hello Ada", "The user is Ada.", "You are Ada.")) as wire:
        session = await drive(stub, compacting(wire, 1_000_000), "I am Ada", "who am I?")
        await session.comes("status.idle end_turn")
        await session.comes("status.idle end_turn")
        bounds = [request.json.get("max_tokens") for request in wire.requests]
    assert bounds == [100, None, 100]


async def test_in_a_small_window_a_summary_may_have_a_fourth_of_it(stub: Stub) -> None:
    async with Wire(COMPATIBLE, *told("hello Ada", "The user is Ada.", "You are Ada.")) as wire:
        session = await drive(stub, compacting(wire, 4_000), "I am Ada", "who am I?")
        await session.comes("status.idle end_turn")
        await session.comes("status.idle end_turn")
        bounds = [request.json.get("max_tokens") for request in wire.requests]
    assert bounds == [100, 1_000, 100]


@pytest.mark.parametrize("vendor", VENDORS, ids=repr)
async def test_a_turn_with_its_calls_behind_it_is_folded_whatever_the_vendor_signed(stub: Stub, vendor: Vendor) -> None:
    """What was signed goes with its turn; what is left is a conversation that the vendor takes."""
    call = Answer((Call("lookup", '{"z": 1}'),), usage=FEW)
    full = Answer((Say("it is 1"),), usage=FULL)
    rest = [Answer((Say(text),), usage=FEW) for text in ("It was 1.", "again 1")]
    async with Wire(vendor, call, full, *rest) as wire:
        session = await drive(stub, compacting(wire, 1_000_000), "look it up", "once more?")
        use = (await session.comes("agent.custom_tool_use"))[-1].agent_custom_tool_use.custom_tool_use_id
        await session.answer(use, "1")
        await session.comes("status.idle end_turn")
        assert texts(await session.comes("status.idle end_turn")) == ["again 1"]
        assert b"lookup" in wire.requests[2].body
        assert vendor.signatures(wire.requests[3]) == []
