"""A provider finds in its cache what it has read before: each request begins with the bytes of the one before."""

import json
from itertools import pairwise
from typing import Any

import pytest

from managedagents.v1 import agent_pb2
from providers.cell import agent
from support.driven import Driven, drive, use_ids
from support.server import Stub
from support.wires import VENDORS, Vendor, Wire
from support.wires.told import Call, Say, Think, answer

pytestmark = pytest.mark.long

ANSWERS = (
    answer(Think("let me"), Say("I look"), Call("lookup", '{"z": 1}'), Call("other")),
    answer(Think("and "), Call("lookup", '{"z":2}')),
    answer(Think("so"), Say("Hello")),
    answer(Say("and bye")),
)


def begins_with(later: list[Any], earlier: list[Any]) -> bool:
    return json.dumps(later).startswith(json.dumps(earlier)[:-1])


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_each_request_begins_with_the_one_before(stub: Stub, vendor: Vendor) -> None:
    async with Wire(vendor, *ANSWERS) as wire:
        session = await drive(stub, agent(wire, agent_pb2.THINKING_EFFORT_LOW), "one")
        first, second = await _uses(session, 2)
        await session.answer(second, "second")
        await session.answer(first, "first")
        (third,) = await _uses(session, 1)
        await session.answer(third, "third")
        await session.comes("status.idle end_turn")
        await session.send("two")
        await session.comes("status.idle end_turn")
        requests = wire.requests
    assert len(requests) == len(ANSWERS)
    for earlier, later in pairwise(requests):
        assert vendor.system(earlier)
        assert json.dumps(vendor.system(later)) == json.dumps(vendor.system(earlier))
        assert vendor.tools(earlier)
        assert json.dumps(vendor.tools(later)) == json.dumps(vendor.tools(earlier))
        assert begins_with(vendor.messages(later), vendor.messages(earlier))
        assert vendor.signatures(later)[: len(vendor.signatures(earlier))] == vendor.signatures(earlier)
    assert vendor.tool_results(requests[-1]) == ["first", "second", "third"]
    # Three answers before the last request, each of them with a thought.
    assert len(vendor.signatures(requests[-1])) == (3 if vendor.signs else 0)


async def _uses(session: Driven, count: int) -> list[str]:
    """The next uses, so many."""
    uses: list[str] = []
    while len(uses) < count:
        uses += use_ids(await session.comes("agent.custom_tool_use"))
    return uses
