"""How soon an interrupt takes hold, whatever the session waits for."""

import time
from typing import Any

from bench.bare import bare, echo_seconds
from bench.measure import Bench, in_turns, p50_of
from bench.report import Row
from bench.talk import Talk, serving
from managedagents.v1 import service_pb2 as pb
from support.calls import scripted, send, start
from support.server import Stub

_SLOW: dict[str, Any] = {"text": "one two three four " * 20, "delay": "600s"}
_CALL: dict[str, Any] = {"tool_calls": [{"name": "deploy"}]}
_BUSY: dict[str, Any] = {"error": {"code": 503}}


class _Case:
    """A session that is brought into one state and interrupted in it, again and again."""

    def __init__(self, talk: Talk, reached: str, *, queued: bool) -> None:
        self._talk = talk
        self._reached = reached
        self._queued = queued
        self._ask = pb.InterruptRequest(session_id=talk.session_id)

    async def seconds(self) -> float:
        """From one interrupt to the end of its turn."""
        if self._queued:
            # The next message begins by itself, and leaves room for one more.
            await self._talk.until(self._reached)
        await send(self._talk.stub, self._talk.session_id, "Go.")
        if not self._queued:
            await self._talk.until(self._reached)
        begin = time.perf_counter()
        sent = self._talk.stub.Interrupt(self._ask)
        idle = await self._talk.until("status_idle")
        seconds = time.perf_counter() - begin
        assert idle.status_idle.stop_reason.HasField("interrupted")
        await sent
        return seconds


async def interrupts(bench: Bench) -> list[Row]:
    queued = 64
    async with bare() as bare_channel, serving(bench.folder / "interrupts.db") as (_, channel):
        stub = Stub(channel)

        async def case(response: dict[str, Any], reached: str, messages: int = 0) -> _Case:
            session_id = await start(stub, scripted(response, tools=["deploy"]), *["Go."] * messages)
            return _Case(await Talk.follow(stub, session_id), reached, queued=messages > 0)

        cases = {
            "during a model stream": await case(_SLOW, "status_running"),
            "during a parked wait": await case(_CALL, "agent_custom_tool_use"),
            "during a backoff": await case(_BUSY, "status_rescheduling"),
            f"with {queued} messages queued": await case(_SLOW, "status_running", queued),
        }
        payload = pb.InterruptRequest(session_id="ses_00000000000000000000000").SerializeToString()

        async def echo() -> float:
            return await echo_seconds(bare_channel, payload)

        measures = [p50_of(10, measure) for measure in (*(case.seconds for case in cases.values()), echo)]
        *found, ceiling = await in_turns(bench.size(10, 2), *measures)
    return [
        Row("interrupts", f"{name}, p50", "ms", value * 1e3, ceiling * 1e3, "echo", at_most=50)
        for name, value in zip(cases, found, strict=True)
    ]
