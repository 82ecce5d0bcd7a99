"""Whatever an answer was like, the vendor takes the history with it: the next message is answered."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from managedagents.v1 import agent_pb2, content_pb2, user_event_pb2
from providers.cell import agent
from providers.rows import PICTURE
from support.calls import follow, kind
from support.driven import Driven, drive, use_ids
from support.server import Stub
from support.wires import VENDORS, Vendor, Wire
from support.wires.faults import slow
from support.wires.told import Call, Error, Say, Think, Told, answer, error

pytestmark = pytest.mark.long

CUT_OFF = Call("lookup", '{"z": ')
CALL = Call("lookup", '{"z": 1}')
WHOLE = answer(Say("Hello"))


def text(words: str) -> content_pb2.Content:
    return content_pb2.Content(text=content_pb2.TextContent(text=words))


@dataclass(frozen=True)
class Case:
    told: tuple[Told, ...]
    end: str = "end_turn"
    """Of the first turn."""
    results: Sequence[content_pb2.Content] = field(default_factory=lambda: [text("found")])
    is_error: bool = False


CASES = {
    "nothing": Case((answer(),)),
    "white space": Case((answer(Say(" \n")),)),
    "a thought alone": Case((answer(Think("hm")),)),
    "a hidden thought": Case((answer(Think(), Say("so")),)),
    "thoughts in between": Case((answer(Think("a"), Say("b"), Think("c"), Say("d")),)),
    "thoughts between calls": Case((answer(Think("a"), CALL, Think("b"), Call("other")), WHOLE)),
    "a hidden thought before a call": Case((answer(Think(), CALL), WHOLE)),
    "text after a call": Case((answer(Think("hm"), CALL, Say("I look")), WHOLE)),
    "an unknown tool": Case((answer(Think("hm"), Call("nobody")), WHOLE)),
    "text that was cut off": Case((answer(Think("hm"), Say("Hel"), stop="max_tokens"),), "max_tokens"),
    "a thought that was cut off": Case((answer(Think("hm"), stop="max_tokens"),), "max_tokens"),
    "a call that was cut off": Case((answer(Think("hm"), CUT_OFF, stop="max_tokens"),), "max_tokens"),
    "a call that was cut off after one that was not": Case(
        (answer(Think("hm"), CALL, CUT_OFF, stop="max_tokens"), WHOLE)
    ),
    "a refusal": Case((answer(Think("hm"), Say("no"), stop="refusal"),), "refusal"),
    "a filter before the first word": Case((answer(stop="filtered"),), "refusal"),
    "a filter after a thought": Case((answer(Think("hm"), stop="filtered"),), "refusal"),
    "content that was rejected": Case((error("content_rejected"),), "error"),
    "content that was rejected after a call": Case((answer(Think("hm"), CALL), error("content_rejected")), "error"),
    "a quota that ended after a call": Case((answer(Think("hm"), CALL), error("quota")), "error"),
    "a result of nothing": Case((answer(Think("hm"), CALL), WHOLE), results=[]),
    "an error as a result": Case((answer(Think("hm"), CALL), WHOLE), is_error=True),
    "a picture as a result": Case(
        (answer(Think("hm"), CALL, Call("other")), WHOLE),
        results=[
            text("look"),
            content_pb2.Content(image=content_pb2.ImageContent(media_type="image/png", data=PICTURE)),
        ],
    ),
}


def _can(vendor: Vendor, case: Case) -> bool:
    """Whether the vendor's wire has all that is told."""
    for told in case.told:
        if isinstance(told, Error):
            if told.kind not in vendor.kinds:
                return False
        elif vendor.whole_calls and CUT_OFF in told.calls:
            return False
    return vendor.refuses or case.end != "refusal"


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        pytest.param(name, vendor, id=f"{name}-{vendor}")
        for name, case in CASES.items()
        for vendor in VENDORS
        if _can(vendor, case)
    ],
)
async def test_the_next_message_is_answered(stub: Stub, name: str, vendor: Vendor) -> None:
    case = CASES[name]
    async with Wire(vendor, *case.told, answer(Say("at last"))) as wire:
        session = await drive(stub, agent(wire, agent_pb2.THINKING_EFFORT_LOW), "one")
        await _through(session, case)
        await session.send("two")
        assert await _ended(session) == "end_turn", wire.rejected
        assert len(wire.requests) == len(case.told) + 1


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_the_next_message_is_answered_after_an_interrupt_among_the_results(stub: Stub, vendor: Vendor) -> None:
    told = (answer(Think("hm"), CALL, Call("other")), answer(Say("at last")))
    async with Wire(vendor, *told) as wire:
        session = await drive(stub, agent(wire, agent_pb2.THINKING_EFFORT_LOW), "one")
        (use,) = use_ids(await session.comes("agent.custom_tool_use"))
        await session.answer(use, "found")
        await session.interrupt()
        assert await _ended(session) == "interrupted"
        await session.send("two")
        assert await _ended(session) == "end_turn", wire.rejected
        found, interrupted = vendor.tool_results(wire.requests[-1])
    assert found == "found"
    assert interrupted
    assert len(vendor.signatures(wire.requests[-1])) == (1 if vendor.signs else 0)


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_the_next_message_is_answered_after_an_interrupt_in_mid_answer(stub: Stub, vendor: Vendor) -> None:
    told = (answer(Think("hm"), CALL), answer(Think("so"), Say("a"), fault=slow(60)), answer(Say("at last")))
    async with Wire(vendor, *told) as wire:
        session = await drive(stub, agent(wire, agent_pb2.THINKING_EFFORT_LOW), "one")
        (use,) = use_ids(await session.comes("agent.custom_tool_use"))
        await session.answer(use, "found")
        await wire.wait_requests(2)
        await session.interrupt()
        assert await _ended(session) == "interrupted"
        await session.send("two")
        assert await _ended(session) == "end_turn", wire.rejected


async def _ended(session: Driven) -> str | None:
    """Why the turn ended."""
    return (await session.comes("status.idle"))[-1].status_idle.stop_reason.WhichOneof("reason")


async def _through(session: Driven, case: Case) -> None:
    """The first turn, with every use answered."""
    async for event in follow(session.stub, session.session_id):
        session.seen = event.seq
        match kind(event):
            case "agent.custom_tool_use":
                result = user_event_pb2.UserCustomToolResult(
                    custom_tool_use_id=event.agent_custom_tool_use.custom_tool_use_id,
                    content=case.results,
                    is_error=case.is_error,
                )
                await session.send(user_event_pb2.UserEvent(user_custom_tool_result=result))
            case "status.idle":
                assert event.status_idle.stop_reason.WhichOneof("reason") == case.end
                return
