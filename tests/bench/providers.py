"""How soon a turn ends once its model's answer has ended: of every real provider, beside the scripted model.

A provider's answer has ended with the last byte that its server writes. The scripted model is a function in the server
and writes no byte: its answer has ended with its last piece, and stamped.py says when that was. Nothing that shows
outside would do: the end that the script announces, status.running and the delay, comes up to a millisecond before the
real one, because sleeps end late, which would flatter us; the time on the answer's events is some later, which would
not; and the last piece may reach a follower only with the events.

The turns are alike: the same text in the same pieces at the same pace, and the last piece ends it. What a vendor sends
after that, to frame the answer, it sends at once.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from bench import stamped
from bench.measure import Bench, Measure, in_turns, p50_of
from bench.report import Row
from bench.talk import Talk
from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from support import keys
from support.calls import scripted
from support.server import Server, Stub
from support.wires import VENDORS, Vendor, Wire, faults
from support.wires.server import Pause, Step
from support.wires.told import Say, answer

_PIECES = ("sunny", *[" sunny"] * 9)
"""The scripted model cuts the text in the same places."""
_PACE = 0.002
"""Seconds before each piece."""


async def providers(bench: Bench) -> list[Row]:
    script = scripted({"text": "".join(_PIECES), "delay": f"{_PACE * len(_PIECES)}s"})
    async with AsyncExitStack() as stack:
        moment = bench.folder / "moment"
        server = Server(
            bench.folder / "providers.db",
            ("--allow-address", "127.0.0.0/8"),
            wrapper=(sys.executable, "-m", "bench.stamped", str(moment)),
        )
        stack.push_async_callback(server.end)
        await server.start()
        stub = Stub(await stack.enter_async_context(server.channel()))
        measures = []
        for vendor in VENDORS:
            wire = await stack.enter_async_context(Wire(vendor, answer(Say(*_PIECES), fault=_paced)))
            measures.append(await _measure(stub, _definition(wire), _last_byte(wire)))
        measures.append(await _measure(stub, script, lambda: stamped.moment(moment)))
        *real, ceiling = await in_turns(bench.size(15, 1), *measures)
    return [
        Row(
            "providers",
            f"{vendor}, last byte to status.idle, p50",
            "ms",
            seconds * 1e3,
            ceiling * 1e3,
            "scripted",
            at_most=2,
        )
        for vendor, seconds in zip(VENDORS, real, strict=True)
    ]


async def _measure(stub: Stub, definition: agent_pb2.AgentDefinition, ended_at: Callable[[], int]) -> Measure:
    """The median of some turns in a session of their own, so that requests stay short. `ended_at`: when an answer
    ended, on time.monotonic_ns."""
    agent = await stub.Create(pb.CreateRequest(definition=definition))

    async def some() -> float:
        session = await stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id))
        talk = await Talk.follow(stub, session.session_id)

        async def after_the_answer() -> float:
            sent = stub.SendEvent(talk.say)
            await talk.until("status_idle")
            nanoseconds = time.monotonic_ns() - ended_at()
            await sent
            return nanoseconds / 1e9

        seconds = await p50_of(20, after_the_answer)()
        talk.leave()
        return seconds

    return some


def _last_byte(wire: Wire) -> Callable[[], int]:
    return lambda: wire.requests[-1].answered_at


def _paced(vendor: Vendor, events: Sequence[faults.Event]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for event in events:
        if event.kind == "piece":
            steps.append(Pause(_PACE))
        steps.append(event.data)
    return tuple(steps)


def _definition(wire: Wire) -> agent_pb2.AgentDefinition:
    reference = agent_pb2.ProviderModel(
        provider=wire.vendor.provider,
        model=wire.vendor.model,
        base_url=wire.base_url,
        api_key=keys.key(wire.vendor.name),
    )
    return agent_pb2.AgentDefinition(name="bench", model=agent_pb2.Model(provider_model=reference))
