"""A stream that follows a turn has its events, tells what is waited for, and ends with it."""

from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2, status_event_pb2, stream_pb2
from support.calls import answer, follow, kind, log, message, outcome, refused, scripted, send, start, until
from support.driven import drive
from support.followed_turn import Followed, followed, why
from support.outcomes import A_WHILE, CRITERIA, MET, NOT_MET, SLOW, begin, towards
from support.server import Stub

TOOL = {"tool_calls": [{"name": "deploy", "input_json": '{"to": "prod"}'}]}
TWO_TOOLS = {"tool_calls": [{"name": "deploy"}, {"name": "deploy"}]}
SLOWLY = {"text": "a long story", "delay": "600s"}


class Watched:
    """One stream over a turn, read up to what a test waits for."""

    def __init__(self, stub: Stub, session_id: str, turn: int) -> None:
        self._call = stub.StreamEvents(pb.StreamEventsRequest(session_id=session_id, turn=turn, from_seq=0))

    async def stands(self) -> stream_pb2.StreamTurn:
        """Where the turn stands, at the next word of it."""
        while True:
            reply = await self._call.read()
            assert isinstance(reply, pb.StreamEventsResponse), "the stream ended"
            if reply.HasField("turn"):
                return reply.turn

    async def result(self) -> stream_pb2.TurnResult:
        """When it is over: nothing is waited for any more."""
        while not (stands := await self.stands()).result.stop_reason:
            pass
        assert not stands.pending_actions
        return stands.result

    async def waits_for(self) -> list[str]:
        return [
            session_pb2.PendingActionKind.Name(action.kind)[20:] for action in (await self.stands()).pending_actions
        ]


async def test_a_turn_that_is_over_is_told_as_a_whole_though_the_session_lives_on(stub: Stub) -> None:
    responses: list[dict[str, Any]] = [
        {"thinking": "hm", "text": "one", "usage": {"input_tokens": 3, "output_tokens": 2}},
        {"text": "two"},
    ]
    session = await drive(stub, scripted(*responses), "go")
    await session.comes("status.idle")
    second = await session.send("again")
    await session.comes("status.idle")
    told = await followed(stub, session.session_id, 1)
    assert (told.seqs, told.end, told.why) == ([1, 2, 3, 4, 5], "TURN_OVER", "END_TURN")
    assert told.result is not None
    assert (told.result.text, told.result.usage.input_tokens, told.result.usage.requests) == ("one", 3, 1)
    later = await followed(stub, session.session_id, second)
    assert later.seqs == [second, second + 1, second + 2, second + 3]
    assert later.result is not None
    assert later.result.text == "two"


async def test_any_event_of_the_turn_names_it(stub: Stub) -> None:
    session = await drive(stub, scripted(TOOL, {"text": "done"}, tools=["deploy"]), "go")
    use = (await session.comes("agent.custom_tool_use"))[-1]
    answered = await send(stub, session.session_id, answer(use.agent_custom_tool_use.custom_tool_use_id))
    for seq in (1, 2, use.seq, answered):
        told = await followed(stub, session.session_id, seq)
        assert (told.seqs[0], told.why) == (1, "END_TURN")


async def test_an_interrupt_at_rest_is_a_turn_of_its_own(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "one"}), "go")
    await session.comes("status.idle")
    seq = (await stub.Interrupt(pb.InterruptRequest(session_id=session.session_id))).seq
    told = await followed(stub, session.session_id, seq)
    assert (told.seqs, told.why) == ([seq, seq + 1], "INTERRUPTED")


async def test_a_turn_that_has_not_begun_is_waited_for_behind_the_one_that_has(stub: Stub) -> None:
    session = await drive(stub, scripted(TOOL, {"text": "one"}, {"text": "two"}, tools=["deploy"]), "go")
    use = (await session.comes("agent.custom_tool_use"))[-1]
    queued = await session.send("and then?")
    watched = Watched(stub, session.session_id, queued)
    stands = await watched.stands()
    assert [action.tool_use_id for action in stands.pending_actions] == [use.agent_custom_tool_use.custom_tool_use_id]
    assert not stands.HasField("result")
    await send(stub, session.session_id, answer(use.agent_custom_tool_use.custom_tool_use_id))
    assert await watched.waits_for() == []
    told = await followed(stub, session.session_id, queued)
    assert (told.seqs[0], told.why) == (queued, "END_TURN")
    assert told.result is not None
    assert told.result.text == "two"


async def test_it_is_told_what_is_waited_for_and_when_it_no_longer_is(stub: Stub) -> None:
    session = await drive(stub, scripted(TWO_TOOLS, {"text": "done"}, tools=["deploy"]), "go")
    watched = Watched(stub, session.session_id, 1)
    stands = await watched.stands()
    while not stands.pending_actions:
        stands = await watched.stands()
    first, second = stands.pending_actions
    assert (
        await stub.Status(pb.StatusRequest(session_id=session.session_id))
    ).pending_actions == stands.pending_actions
    await send(stub, session.session_id, answer(second.tool_use_id))
    assert (await watched.stands()).pending_actions == [first]
    await send(stub, session.session_id, answer(first.tool_use_id))
    last = await watched.result()
    assert (why(last), last.text) == ("END_TURN", "done")


async def test_a_use_at_the_client_waits_for_its_confirmation_then_for_its_result(stub: Stub) -> None:
    policy = {"tools": {"bash": "PERMISSION_MODE_PROMPT"}}
    definition = scripted(
        {"tool_calls": [{"name": "bash", "input_json": '{"command": "ls"}'}]},
        {"text": "done"},
        tool_host="TOOL_HOST_CLIENT",
        permission_policy=policy,
    )
    json_format.ParseDict({"tools": [{"bash": {}}]}, definition)
    session = await drive(stub, definition, "go")
    use = (await session.comes("agent.tool_use"))[-1].agent_tool_use.tool_use_id
    watched = Watched(stub, session.session_id, 1)
    assert await watched.waits_for() == ["TOOL_CONFIRMATION"]
    confirmed = {"user_tool_confirmation": {"tool_use_id": use, "decision": "TOOL_CONFIRMATION_ALLOW"}}
    await send(stub, session.session_id, json_format.ParseDict(confirmed, message("")))
    assert await watched.waits_for() == ["TOOL_RESULT"]
    given = {"user_tool_result": {"tool_use_id": use, "content": [{"text": {"text": "a file"}}]}}
    await send(stub, session.session_id, json_format.ParseDict(given, message("")))
    assert why(await watched.result()) == "END_TURN"


async def test_a_turn_that_waits_beyond_its_deadline_says_so_and_goes_on_with_the_answer(stub: Stub) -> None:
    definition = scripted(TOOL, {"text": "done"}, tools=["deploy"], custom_tool_timeout="0.05s")
    session = await drive(stub, definition, "go")
    await session.comes("status.idle")
    watched = Watched(stub, session.session_id, 1)
    stands = await watched.stands()
    (action,) = stands.pending_actions
    assert (why(stands.result), list(stands.result.waits_for)) == ("REQUIRES_ACTION", [action.tool_use_id])
    assert stands.result.error.code
    await send(stub, session.session_id, answer(action.tool_use_id))
    goes_on = await watched.stands()
    while goes_on.HasField("result") and why(goes_on.result) == "REQUIRES_ACTION":
        goes_on = await watched.stands()
    told = await followed(stub, session.session_id, 1)
    assert told.why == "END_TURN"
    assert told.result is not None
    assert not told.result.waits_for
    assert not told.result.HasField("error"), "it went on from it"


@pytest.mark.parametrize("verdicts", [[MET], [NOT_MET, MET], [NOT_MET, NOT_MET, MET]])
async def test_an_outcome_is_all_its_turns(stub: Stub, verdicts: list[Any]) -> None:
    session = await towards(stub, *verdicts)
    told = await followed(stub, session.session_id, 1)
    assert (told.end, told.why) == ("TURN_OVER", "COMPLETED")
    assert sum(kind(event) == "outcome.evaluated" for event in told.events) == len(verdicts)
    assert told.result is not None
    assert told.result.text == ["one", "two", "three"][len(verdicts) - 1]
    assert told.result.usage.requests == 2 * len(verdicts)


async def test_an_outcome_that_is_not_met_ends_with_its_iterations(stub: Stub) -> None:
    session = await towards(stub, NOT_MET, most=2)
    told = await followed(stub, session.session_id, 1)
    assert (told.end, told.why) == ("TURN_OVER", "MAX_OUTCOME_ITERATIONS")
    assert told.seqs == list(range(1, told.seqs[-1] + 1))


async def test_a_message_within_an_outcome_ends_where_it_is_judged_and_the_outcome_goes_on(stub: Stub) -> None:
    session = await towards(stub, A_WHILE, MET, responses=[{"text": "one", "delay": "0.3s"}, {"text": "two"}])
    queued = await session.send("and a dog")
    message_told = await followed(stub, session.session_id, queued)
    assert message_told.why == "OUTCOME_EVALUATED"
    assert message_told.seqs[0] == queued
    told = await followed(stub, session.session_id, 1)
    assert told.why == "COMPLETED"
    # Its own turns, and the verdict over what came between.
    assert kind(told.events[-1]) == "outcome.evaluated"


async def test_an_outcome_that_is_interrupted_is_over(stub: Stub) -> None:
    session = await towards(stub, SLOW)
    await session.comes("agent.message")
    await stub.Interrupt(pb.InterruptRequest(session_id=session.session_id))
    told = await followed(stub, session.session_id, 1)
    assert told.why == "INTERRUPTED"


@pytest.mark.parametrize("queued", [message("and then?"), outcome(CRITERIA)])
async def test_what_is_dropped_from_the_queue_never_runs(stub: Stub, queued: Any) -> None:
    session = await begin(stub, message("go"), responses=[SLOWLY], verdicts=[MET])
    await session.comes("status.running")
    seq = await send(stub, session.session_id, queued)
    await stub.Interrupt(pb.InterruptRequest(session_id=session.session_id, drop_queued=True))
    told = await followed(stub, session.session_id, seq)
    assert (told.seqs, told.end, told.why) == ([seq], "TURN_OVER", "DROPPED")
    assert (await followed(stub, session.session_id, 1)).why == "INTERRUPTED"


async def test_a_failure_is_in_the_result(stub: Stub) -> None:
    session = await drive(stub, scripted({"error": {"code": 401}}), "go")
    told = await followed(stub, session.session_id, 1)
    assert told.why == "ERROR"
    assert told.result is not None
    assert told.result.error == next(event.error for event in told.events if event.HasField("error"))


async def test_a_turn_ends_with_its_session(stub: Stub) -> None:
    session = await drive(stub, scripted(SLOWLY), "go")
    await session.comes("status.running")
    await stub.Archive(pb.ArchiveRequest(session_id=session.session_id))
    told = await followed(stub, session.session_id, 1)
    assert (told.end, told.why) == ("TURN_OVER", "ARCHIVED")


async def test_a_turn_ends_with_the_deletion_of_its_session(stub: Stub) -> None:
    session_id = await start(stub, scripted(SLOWLY), "go")
    replies: list[pb.StreamEventsResponse] = []
    async for reply in stub.StreamEvents(pb.StreamEventsRequest(session_id=session_id, turn=1, from_seq=0)):
        if not replies:
            await stub.DeleteSession(pb.DeleteSessionRequest(session_id=session_id))
        replies.append(reply)
    told = Followed(replies)
    assert told.end == "DELETED"
    assert told.result is None or not told.result.stop_reason


async def test_the_result_is_the_same_wherever_it_is_followed_from(stub: Stub) -> None:
    session = await towards(stub, NOT_MET, MET)
    await session.comes("status.completed")
    whole = await followed(stub, session.session_id, 1)
    for from_seq in range((await session.status()).head_seq + 1):
        told = await followed(stub, session.session_id, 1, from_seq)
        assert (told.result, told.end) == (whole.result, whole.end)
        assert told.seqs == [seq for seq in whole.seqs if seq > from_seq]
    live = await followed(stub, session.session_id, 1, None)
    assert (live.result, live.seqs) == (whole.result, [])


async def test_kinds_filter_the_events_and_not_the_result(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "one"}), "go")
    told = await followed(stub, session.session_id, 1, kinds=["agent.message"])
    assert [kind(event) for event in told.events] == ["agent.message"]
    assert told.result is not None
    assert (told.why, told.result.text) == ("END_TURN", "one")


async def test_the_events_are_those_of_the_log_by_their_turn(stub: Stub) -> None:
    session = await drive(stub, scripted(TWO_TOOLS, {"text": "one"}, {"text": "two"}, tools=["deploy"]), "go")
    await session.comes("agent.custom_tool_use")
    uses = [event for event in await log(stub, session.session_id) if kind(event) == "agent.custom_tool_use"]
    await session.send("and then?")
    for use in reversed(uses):
        await send(stub, session.session_id, answer(use.agent_custom_tool_use.custom_tool_use_id))
    await until(stub, session.session_id, lambda event: kind(event) == "status.idle" and event.turn != 1)
    for turn in (1, 5):
        told = await followed(stub, session.session_id, turn)
        assert told.events == [event for event in await log(stub, session.session_id) if event.turn == turn]


async def test_what_is_no_turn_is_refused(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "one"}), "go")
    await session.comes("status.idle")
    paused = (await stub.Pause(pb.PauseRequest(session_id=session.session_id))).seq
    refusal = await refused(anext(follow(stub, session.session_id, turn=paused)))
    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["turn"])
    refusal = await refused(anext(follow(stub, session.session_id, turn=paused + 1)))
    assert (refusal.reason, refusal.metadata) == ("FROM_SEQ_BEYOND_HEAD", {"head_seq": str(paused)})


def test_every_stop_reason_of_an_idle_session_is_one_of_a_turn() -> None:
    reasons = status_event_pb2.StopReason.DESCRIPTOR.fields
    assert {f"TURN_STOP_REASON_{field.name.upper()}" for field in reasons} <= set(stream_pb2.TurnStopReason.keys())
