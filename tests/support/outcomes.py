"""Sessions that work towards an outcome."""

from typing import Any

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import user_event_pb2
from support.calls import grading, outcome, scripted
from support.driven import Driven
from support.server import Stub

MET = {"met": True, "reason": "all is there"}
NOT_MET = {"met": False, "reason": "the end is missing"}
SLOW = {**MET, "delay": "600s"}
A_WHILE = {**NOT_MET, "delay": "0.4s"}
CRITERIA = "a story with an end"
WORK = ["status.running", "agent.message"]
ENDED = ["user.interrupt", "status.idle interrupted"]


def turn(seq: int, *rest: str) -> list[str]:
    return [f"{seq} {line}" for line in rest]


async def begin(stub: Stub, *events: user_event_pb2.UserEvent, responses: Any, verdicts: Any, **more: Any) -> Driven:
    """A new session that begins with these events."""
    agent = await stub.Create(pb.CreateRequest(definition=grading(scripted(*responses, **more), *verdicts)))
    session = await stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=events))
    return Driven(stub, session.session_id)


async def towards(stub: Stub, *verdicts: Any, most: int | None = None, **more: Any) -> Driven:
    """A session that works towards an outcome, and says `one`, `two` and so on."""
    responses = more.pop("responses", [{"text": "one"}, {"text": "two"}, {"text": "three"}, {"text": "more"}])
    return await begin(stub, outcome(CRITERIA, most), responses=responses, verdicts=verdicts, **more)


async def lives_on(session: Driven) -> None:
    """A message is a turn as ever, and nobody judges it."""
    seq = await session.send("are you there?")
    await session.comes("status.idle end_turn")
    lines = await session.lines()
    assert lines[-4:] == turn(seq, "user.message", *WORK, "status.idle end_turn")
