"""A conversation of several times the model's window goes on, and what was said at its beginning is still known: a real
server and a real model, whose window is small so that it is soon full."""

import json
from collections.abc import AsyncIterator, Sequence
from itertools import cycle
from pathlib import Path

import grpc.aio
import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2
from managedagents_server.session import transcript
from support.calls import Event
from support.driven import Driven, drive, texts
from support.relay import relay
from support.server import Server, Stub, running
from support.small_model import MODEL, small_model

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]

WINDOW = 768
TIMES = 4

LETTER = (
    "Hello. I work at the desk of a small shop for pets, and I write to you because of a parcel. A customer came in "
    "this morning and told me a long story. She had ordered a warm blanket and a new basket for her dog last week, and "
    "until today nothing came. She waited at the window every day, she asked the neighbours on both sides of the "
    "house, and she walked to the post office twice in the rain. The people there were friendly but they knew nothing "
    "of a parcel. I promised her that somebody would look after it, that she need not come again, and that we call her "
    "as soon as there is news. I will ask you about other things in between, because it is quiet here. Please remember "
    "this well. For the files: the customer's name is Anna. The dog's name is Bruno. The order number is 7431."
)
FACTS = {
    "What is the customer's name?": "Anna",
    "What is the dog's name?": "Bruno",
    "What is the order number?": "7431",
}
TASKS = [
    f"Describe {thing} in one sentence."
    for thing in (
        *("bread", "a train", "the sea", "the moon", "music", "a river", "a garden", "winter"),
        *("a mountain", "honey", "a bridge", "a library", "rain", "a clock", "tea", "a forest"),
    )
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running(tmp_path / "log.db", "--allow-address", "127.0.0.1") as server:
        yield server


def clerk(base_url: str) -> agent_pb2.AgentDefinition:
    return json_format.ParseDict(
        {
            "name": "clerk",
            "system": "You are a helpful assistant. You answer in one short sentence.",
            "model": {
                "provider_model": {"provider": "PROVIDER_OPENAI_COMPATIBLE", "model": MODEL, "base_url": base_url}
            },
            "model_settings": {"temperature": 0, "seed": 1, "max_tokens": 60},
            "compaction": {"window_tokens": WINDOW},
        },
        agent_pb2.AgentDefinition(),
    )


async def say(session: Driven, text: str) -> list[Event]:
    """Gives what came up to the end of the turn."""
    await session.send(text)
    return await session.comes("status.idle")


async def talk(session: Driven) -> None:
    """Until the server is gone."""
    for task in cycle(TASKS):
        await say(session, task)


async def asked(session: Driven) -> list[Event]:
    """Asks for everything that was said at the beginning; each answer must be right."""
    events: list[Event] = []
    for question, fact in FACTS.items():
        turn = await say(session, question)
        (answer,) = texts(turn)
        assert fact in answer
        events += turn
    return events


def folds(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.HasField("agent_context_compacted")]


def tokens(events: Sequence[Event]) -> int:
    """Of the conversation, as the provider counted: how much more a request and its answer are than the one before and
    its answer. The first, and one after a summary, have none before to compare with: only their answer counts."""
    total = before = 0
    for event in events:
        usage = event.response.usage
        if event.HasField("agent_context_compacted"):
            before = 0
        elif event.HasField("agent_message"):
            both = usage.input_tokens + usage.output_tokens
            total += both - before if before else usage.output_tokens
            before = both
    return total


async def test_what_was_said_first_is_known_after_four_windows(server: Server) -> None:
    async with small_model(WINDOW) as base_url, server.channel() as channel:
        session = await drive(Stub(channel), clerk(base_url), LETTER)
        log = await session.comes("status.idle")
        tasks = cycle(TASKS)
        while tokens(log) <= TIMES * WINDOW:
            log += await say(session, next(tasks))
        log += await asked(session)
        assert log == await session.log()
    assert tokens(log) > TIMES * WINDOW
    assert len(folds(log)) > TIMES
    # The letter is the first turn: no request holds it any more, and the facts were never said again by the user.
    covered = [event.agent_context_compacted.last_turn for event in folds(log)]
    assert covered == sorted(set(covered))
    assert covered[0] >= log[0].turn
    assert not any(event.HasField("error") or event.HasField("status_rescheduling") for event in log)
    requests = [event.response.usage.input_tokens for event in log if event.response_id]
    assert min(requests) > 0
    assert max(requests) < WINDOW


async def test_a_summary_that_a_crash_cut_off_is_made_again(server: Server) -> None:
    notes_asked = 0

    async def strike(request: bytes) -> None:
        nonlocal notes_asked
        if json.loads(request)["messages"][0]["content"] == transcript.SYSTEM:
            notes_asked += 1
            if notes_asked == 2:
                await server.kill()

    async with small_model(WINDOW) as model_url, relay(model_url, strike) as base_url:
        async with server.channel() as channel:
            session = await drive(Stub(channel), clerk(base_url), LETTER)
            await session.comes("status.idle")
            with pytest.raises(grpc.aio.AioRpcError):
                await talk(session)
        await server.start()
        async with server.channel() as channel:
            session = Driven(Stub(channel), session.session_id, session.seen)
            await session.comes("status.idle")
            log = await session.log()
            assert (notes_asked, len(folds(log))) == (3, 2)
            await asked(session)
