"""A session goes on after its server was killed, with a history that its vendor takes: what was signed goes back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from providers.cell import LOCAL, agent
from support.driven import Driven, drive, use_ids
from support.server import Server, Stub
from support.stubborn import Stubborn
from support.wires import VENDORS, Vendor, Wire
from support.wires.faults import stalls_between
from support.wires.told import Answer, Call, Say, Think, Told, answer, error

pytestmark = pytest.mark.long

USES = answer(Think("let me"), Say("I look"), Call("lookup", '{"z": 1}'))
USES_TWO = answer(Think("let me"), Call("lookup", '{"z": 1}'), Call("other"))
WHOLE = answer(Say("Hello"))

PLACES: dict[str, tuple[Told, ...]] = {
    "in mid-stream": (USES, answer(Think("so"), Say("Hel", "lo"), fault=stalls_between()), WHOLE),
    "with one of two results": (USES_TWO, WHOLE),
    "in a backoff": (USES, error("overloaded"), WHOLE),
}
BEGUN = ["user.message", "status.running", "agent.thinking"]
USED = ["agent.message", "agent.custom_tool_use", "user.custom_tool_result"]
ENDED = ["agent.message", "status.idle end_turn"]
LOGS = {
    "in mid-stream": [*BEGUN, *USED, *ENDED],
    "with one of two results": [*BEGUN, *["agent.custom_tool_use"] * 2, *["user.custom_tool_result"] * 2, *ENDED],
    "in a backoff": [*BEGUN, *USED, "status.rescheduling 1 model_unavailable", "status.running attempt 2", *ENDED],
}
LONG_BACKOFF = ("--limit", "retry_first=100", "--limit", "retry_most=100")
AN_HOUR_LATER = {"MANAGEDAGENTS_TEST_CLOCK_AHEAD": "3600"}


@dataclass
class Killed:
    """A session that goes through the death of its server."""

    vendor: Vendor
    place: str
    wire: Wire
    session: Driven
    uses: Sequence[str] = ()

    async def come_to_the_place(self) -> None:
        told = PLACES[self.place][0]
        assert isinstance(told, Answer)
        uses: list[str] = []
        while len(uses) < len(told.calls):
            uses += use_ids(await self.session.comes("agent.custom_tool_use"))
        self.uses = uses
        await self.session.answer(uses[0], "first")
        match self.place:
            case "in mid-stream":
                await self._delta()
            case "in a backoff":
                await self.session.comes("status.rescheduling")

    async def go_on(self) -> None:
        for use in self.uses[1:]:
            await self.session.answer(use, "second")
        await self.session.comes("status.idle end_turn")

    async def _delta(self) -> None:
        """A piece of the answer that came after the result."""
        request = pb.StreamEventsRequest(
            session_id=self.session.session_id, from_seq=self.session.seen, include_deltas=True
        )
        async for reply in self.session.stub.StreamEvents(request):
            if reply.HasField("delta"):
                return


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def killed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[tuple[str, str], Killed]]:
    """A session at each place with each vendor, all of one server, which died once and was started again."""
    async with AsyncExitStack() as stack:
        server = Server(tmp_path_factory.mktemp("killed") / "log.db", LOCAL)
        stack.push_async_callback(server.end)
        await server.start(*LONG_BACKOFF)
        cells = await _begun(server, stack)
        await server.kill()
        await server.start(**AN_HOUR_LATER)
        channel = await stack.enter_async_context(server.channel())
        for cell in cells:
            cell.session.stub = Stub(channel)
            await Stubborn(cell.session.stub).log(cell.session.session_id)
            await cell.go_on()
        yield {(cell.vendor.name, cell.place): cell for cell in cells}


async def _begun(server: Server, stack: AsyncExitStack) -> list[Killed]:
    cells = []
    stub = Stub(await stack.enter_async_context(server.channel()))
    for vendor in VENDORS:
        for place, told in PLACES.items():
            wire = await stack.enter_async_context(Wire(vendor, *told))
            session = await drive(stub, agent(wire, agent_pb2.THINKING_EFFORT_LOW), "one")
            cells.append(Killed(vendor, place, wire, session))
            await cells[-1].come_to_the_place()
    return cells


every_place = pytest.mark.parametrize("place", PLACES)
every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=str)


@every_vendor
@every_place
async def test_what_was_signed_goes_back(killed: dict[tuple[str, str], Killed], vendor: Vendor, place: str) -> None:
    cell = killed[vendor.name, place]
    told = PLACES[place][0]
    assert isinstance(told, Answer)
    given = b"".join(event.data for event in vendor.events(told, 1)).decode()
    signatures = vendor.signatures(cell.wire.requests[-1])
    assert not cell.wire.rejected
    assert len(signatures) == (1 if vendor.signs else 0)
    assert all(signature.replace("-", "+").replace("_", "/") in given for signature in signatures)
    assert vendor.tool_results(cell.wire.requests[-1]) == ["first", "second"][: len(cell.uses)]


@every_vendor
@pytest.mark.parametrize("place", ["in mid-stream", "in a backoff"])
async def test_the_model_is_asked_again_in_the_same_words(
    killed: dict[tuple[str, str], Killed], vendor: Vendor, place: str
) -> None:
    _, before, after = killed[vendor.name, place].wire.requests
    assert after.body == before.body


@every_vendor
@every_place
async def test_the_log_is_the_same_of_every_vendor(
    killed: dict[tuple[str, str], Killed], vendor: Vendor, place: str
) -> None:
    seen = [line.partition(" ")[2] for line in await killed[vendor.name, place].session.lines()]
    assert seen == LOGS[place]
