"""The server dies at a named place and is started again: the log is the same as if it had not.

The life that it is killed in never depends on how long anything takes, so its log is known to the letter.
"""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from managedagents.v1 import service_pb2 as pb
from support.calls import answer, message, scripted
from support.driven import lines, use_ids
from support.judge import Judge
from support.server import Server, running
from support.stubborn import Stubborn, eventually, raised, stubborn

FLAGS = ("--limit", "deadline_grace=0", "--limit", "retry_first=0.05")
ONE_USE = {"tool_calls": [{"name": "ask"}], "usage": {"input_tokens": 900}}
AGENT = scripted(
    {"tool_calls": [{"name": "ask"}, {"name": "ask"}]},
    {"error": {"code": 500}},
    {"text": "a"},
    {"tool_calls": [{"name": "nothing"}]},
    {"thinking": "hm", "text": "b"},
    ONE_USE,
    {"text": "what was said before"},
    {"text": "c"},
    tools=["ask"],
    custom_tool_timeout="0.1s",
    compaction={"window_tokens": "1000"},
)
LIFE = """
1 user.message
1 status.running
1 agent.custom_tool_use
1 agent.custom_tool_use
1 error tool_timeout
1 status.idle requires_action
1 user.custom_tool_result
1 status.idle requires_action
1 user.custom_tool_result
1 status.running
1 status.rescheduling 1 model_unavailable
1 status.running attempt 2
1 agent.message
1 status.idle end_turn
15 user.message
15 status.running
15 agent.tool_use
15 agent.tool_result denied
15 agent.thinking
15 agent.message
15 status.idle end_turn
22 user.message
22 status.running
22 agent.custom_tool_use
22 error tool_timeout
22 status.idle requires_action
22 user.interrupt
22 agent.tool_result interrupted
22 status.idle interrupted
30 user.interrupt
30 status.idle interrupted
0 status.paused
33 user.message
0 status.resumed
33 status.running
33 agent.context_compacted
33 agent.message
33 status.idle end_turn
0 status.archived
""".strip().splitlines()

WRITES = [
    "agent",
    "session",
    "user.message",
    "user.message@2",
    "status.running",
    "status.running@2",
    "status.running@3",
    "agent.custom_tool_use",
    "error",
    "user.custom_tool_result",
    "user.custom_tool_result@2",
    "status.rescheduling",
    "agent.message",
    "agent.tool_use",
    "agent.thinking",
    "user.interrupt",
    "agent.tool_result",
    "agent.context_compacted",
    "user.interrupt@2",
    "status.idle",
    "status.paused",
    "status.resumed",
    "status.archived",
    "tombstone",
    "purge",
    "purge@2",
]
PLACES = [
    *(f"{where}:{write}" for write in WRITES for where in ("before_commit", "after_commit")),
    *(f"model_answered@{n}" for n in range(1, 10)),
    # The first wait is between a use and its result, the second one in a backoff.
    *(f"waiting@{n}" for n in (1, 2)),
    *(f"hand_over@{n}" for n in (1, 2)),
    "purge",
    "purge@2",
]


async def live(client: Stubborn) -> str:
    """Gives the session that can be read at the end; the other one is deleted."""
    agent_id = (await client.call(client.stub.Create, pb.CreateRequest(definition=AGENT))).agent_id
    begin = pb.StartSessionRequest(agent_id=agent_id, initial_events=[message("1")])
    session: str = (await client.call(client.stub.StartSession, begin)).session_id
    client.keep(session, 1, message("1"))
    events = await client.comes(session, "status.idle requires_action")
    for use in use_ids(events):
        await client.send(session, answer(use))
        events = await client.comes(session, "status.idle", from_seq=7)
    await client.comes(session, "status.idle end_turn")
    head = await client.send(session, message("2"))
    await client.comes(session, "status.idle end_turn", head)
    head = await client.send(session, message("3"))
    await client.comes(session, "status.idle requires_action", head)
    for _ in range(2):
        head = await client.interrupt(session)
        await client.comes(session, "status.idle interrupted", head)
    await client.call(client.stub.Pause, pb.PauseRequest(session_id=session))
    head = await client.send(session, message("4"))
    await client.call(client.stub.Resume, pb.ResumeRequest(session_id=session))
    await client.comes(session, "status.idle end_turn", head)
    await client.call(client.stub.Archive, pb.ArchiveRequest(session_id=session))
    other: str = (await client.call(client.stub.StartSession, begin)).session_id
    await client.comes(other, "status.idle")
    await client.call(client.stub.DeleteSession, pb.DeleteSessionRequest(session_id=other))
    return session


def is_purged(db: Path, but: str) -> bool:
    """Nothing is left of any other session."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as log:
        sessions = log.execute("SELECT session_id FROM sessions").fetchall()
        (strays,) = log.execute(
            "SELECT count(*) FROM events WHERE session <> (SELECT session FROM sessions WHERE session_id = ?)", (but,)
        ).fetchone()
    return sessions == [(but,)] and strays == 0


async def a_life(server: Server) -> list[int]:
    """Runs it, and judges its log. Gives the exit codes of the servers that died on the way."""
    async with stubborn(server) as client, raised(server) as codes:
        session = await live(client)
        events = await client.log(session)
        assert lines(events) == LIFE
        Judge().read(events)
        client.check(session, events)
        assert [event async for event in client.follow(session)] == events
        await eventually(lambda: is_purged(server.db, session))
        return list(codes)


async def test_nobody_dies_where_no_failpoint_is_armed(tmp_path: Path) -> None:
    async with running(tmp_path / "log.db", *FLAGS) as server:
        assert await a_life(server) == []


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
async def test_a_server_that_dies_anywhere_leaves_the_log_of_one_that_lived(tmp_path: Path, place: str) -> None:
    server = Server(tmp_path / "log.db", FLAGS)
    await server.start(MANAGEDAGENTS_TEST_FAILPOINT=place)
    try:
        assert await a_life(server) == [-signal.SIGKILL]
    finally:
        await server.kill()


def test_every_kind_of_this_life_begins_a_write_at_which_a_server_dies() -> None:
    assert {line.split()[1] for line in LIFE} <= {write.partition("@")[0] for write in WRITES}
