"""The server dies anywhere between an outcome and its end, and is started again: the log is that of one that lived."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import user_event_pb2
from support.calls import Event, grading, message, outcome, scripted
from support.driven import Driven, lines, texts
from support.judge import Judge
from support.server import Server, Stub
from support.stored import check_conversation, stored
from support.stubborn import Stubborn, raised, stubborn

FLAGS = ("--limit", "retry_first=0.05")
RESPONSES: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "nobody"}]},
    {"text": "one"},
    {"text": "two"},
    {"text": "three"},
]
NOT_MET: dict[str, Any] = {"reason": "the end is missing"}
MET: dict[str, Any] = {"met": True, "reason": "all is there"}

pytestmark = pytest.mark.long

FIRST = """
1 user.define_outcome
1 status.running
1 agent.tool_use
1 agent.tool_result denied
1 agent.message
1 status.rescheduling 1 model_unavailable
1 status.running attempt 2
1 outcome.evaluated 1 not met
8 status.running
8 agent.message
""".strip().splitlines()
ENDS = {
    "met at the second iteration": (MET, ["8 outcome.evaluated 2 met", "0 status.completed"]),
    "never met": (NOT_MET, ["8 outcome.evaluated 2 not met", "8 status.idle max_outcome_iterations"]),
}

PLACES = [
    # The turn's two answers, then the further turn's.
    *(f"model_answered@{n}" for n in (1, 2, 3)),
    # A failure, the first verdict, the second one.
    *(f"{place}@{n}" for place in ("grader_asked", "grader_answered") for n in (1, 2, 3)),
    "before_commit:user.define_outcome",
    "after_commit:user.define_outcome",
    *(
        f"{where}:{write}"
        for where in ("before_commit", "after_commit")
        for write in ("agent.message", "agent.message@2")
    ),
    *(f"{where}:status.rescheduling" for where in ("before_commit", "after_commit")),
    *(f"{where}:outcome.evaluated" for where in ("before_commit", "after_commit")),
    *(f"{where}:outcome.evaluated@2" for where in ("before_commit", "after_commit")),
    # Of the first turn, of the grader's second attempt, of the further turn.
    *(f"{where}:status.running@{n}" for where in ("before_commit", "after_commit") for n in (1, 2, 3)),
    "waiting",
]


async def begin(client: Stubborn, verdicts: Sequence[Mapping[str, Any]], *events: user_event_pb2.UserEvent) -> str:
    definition = grading(scripted(*RESPONSES), *verdicts)
    agent_id = (await client.call(client.stub.Create, pb.CreateRequest(definition=definition))).agent_id
    session: str = (await client.call(client.stub.StartSession, pb.StartSessionRequest(agent_id=agent_id))).session_id
    for event in events:
        await client.send(session, event)
    return session


def judge(server: Server, session: str) -> list[Event]:
    _, events = stored(server.db, session)
    Judge().read(events)
    check_conversation(events)
    return events


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("place", PLACES)
async def test_a_death_anywhere_changes_nothing_of_how_an_outcome_ends(tmp_path: Path, place: str, end: str) -> None:
    verdict, ended = ENDS[end]
    server = Server(tmp_path / "log.db", FLAGS)
    await server.start(MANAGEDAGENTS_TEST_FAILPOINT=place)
    try:
        async with stubborn(server) as client, raised(server) as codes:
            first = {**NOT_MET, "error": {"code": 500}}
            session = await begin(client, [first, verdict], outcome("a story with an end", 2))
            events = await client.comes(session, ended[-1].partition(" ")[2])
            assert lines(events) == [*FIRST, *ended]
            assert texts(events) == ["one", "two"]
            assert judge(server, session) == events
            client.check(session, events)
            assert codes == [-signal.SIGKILL]
    finally:
        await server.kill()


async def test_a_message_that_came_while_the_grader_worked_runs_first_after_a_death_too(
    server: Server, client: Stubborn
) -> None:
    session = await begin(client, [{**NOT_MET, "delay": "0.7s"}, MET], outcome("a story with an end"))
    await client.comes(session, "agent.message")
    await client.send(session, message("make it short"))
    await again(server, client, session)
    await client.comes(session, "status.completed")
    events = judge(server, session)
    assert lines(events)[4:] == [
        "1 agent.message",
        "6 user.message",
        "1 outcome.evaluated 1 not met",
        "6 status.running",
        "6 agent.message",
        "6 status.idle end_turn",
        "7 status.running",
        "7 agent.message",
        "7 outcome.evaluated 2 met",
        "0 status.completed",
    ]


async def test_an_interrupt_of_the_grader_that_was_logged_is_finished_after_a_death(server: Server, stub: Stub) -> None:
    client = Stubborn(stub)
    session = Driven(stub, await begin(client, [{**MET, "delay": "600s"}], outcome("a story with an end")))
    await session.comes("agent.message")
    await session.pause()
    await session.interrupt()
    await again(server, client, session.session_id)
    await session.comes("status.idle interrupted")
    await session.resume()
    seq = await session.send("and you?")
    assert texts(await session.comes("status.idle end_turn")) == ["two"]
    assert (await session.lines())[-1] == f"{seq} status.idle end_turn"
    judge(server, session.session_id)


async def test_a_verdict_that_is_due_in_a_pause_is_asked_for_after_the_pause_and_a_death(
    server: Server, stub: Stub
) -> None:
    client = Stubborn(stub)
    session = Driven(stub, await begin(client, [{**MET, "delay": "0.7s"}], outcome("a story with an end")))
    await session.comes("agent.message")
    await session.pause()
    await again(server, client, session.session_id)
    assert (await session.lines())[-1] == "0 status.paused"
    await session.resume()
    await session.comes("status.completed")
    assert (await session.lines())[-3:] == ["0 status.resumed", "1 outcome.evaluated 1 met", "0 status.completed"]
    judge(server, session.session_id)


async def again(server: Server, client: Stubborn, session: str) -> None:
    """A crash, a restart, and a channel that has found the server again."""
    await server.kill()
    await server.start()
    await client.log(session)
