"""What ends a run, and what it answers, against a service that says where a turn stands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from managedagents import Client
from managedagents.v1 import event_pb2, session_pb2, status_event_pb2, stream_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.fake_service import Context, FakeService, serving
from support.stream_messages import Response, ended, opened

Event = event_pb2.SessionEvent
Stop = stream_pb2.TurnStopReason
Step = Response | int
"""A message of the stream, or a number: of what has to have been sent to the session by then, the message included."""

KINDS = {"bash": "TOOL_RESULT", "deploy": "CUSTOM_TOOL_RESULT", "asks": "TOOL_CONFIRMATION"}


def message(seq: int = 1) -> Response:
    response = Response()
    response.batch.events.append(Event(seq=seq, turn=1, user_message=user_event_pb2.UserMessage()))
    response.batch.through_seq = seq
    return response


def waits(*uses: str, result: stream_pb2.TurnResult | None = None) -> Response:
    """What is waited for, each as KIND:ID, the kind as in KINDS."""
    actions = []
    for use in uses:
        name, _, id_ = use.partition(":")
        kind = session_pb2.PendingActionKind.Value(f"PENDING_ACTION_KIND_{KINDS[name]}")
        tool = "bash" if name == "asks" else name
        actions.append(session_pb2.PendingAction(tool_use_id=id_, name=tool, kind=kind, input_json="{}"))
    return Response(turn=stream_pb2.StreamTurn(pending_actions=actions, result=result))


def over(stop_reason: str = "end_turn", **more: Any) -> list[Response]:
    result = stream_pb2.TurnResult(stop_reason=Stop.Value(f"TURN_STOP_REASON_{stop_reason.upper()}"), **more)
    return [waits(result=result), ended(9, reason=stream_pb2.STREAM_END_REASON_TURN_OVER)]


def session(*steps: Step) -> FakeService:
    """A session whose stream is these steps, once it was sent something."""
    sent = 0
    news = asyncio.Condition()

    async def send(request: pb.SendEventRequest, context: Context) -> pb.SendEventResponse:
        nonlocal sent
        async with news:
            sent += 1
            news.notify_all()
        return pb.SendEventResponse(seq=1)

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        assert (request.turn, request.from_seq) == (1, 0)
        yield opened()
        for step in steps:
            if isinstance(step, int):
                async with news:
                    while sent < step:
                        await news.wait()
            else:
                yield step

    return FakeService({"SendEvent": send}, follow)


def sent(service: FakeService) -> list[user_event_pb2.UserEvent]:
    """What was sent after the message."""
    return [request.event for request in service.asked if isinstance(request, pb.SendEventRequest)][1:]


def results(service: FakeService) -> list[str]:
    events = [event.user_custom_tool_result for event in sent(service) if event.HasField("user_custom_tool_result")]
    return [event.content[0].text.text for event in events]


@pytest.mark.parametrize("stop_reason", ["end_turn", "dropped", "outcome_evaluated", "completed", "archived"])
async def test_a_run_ends_with_its_turn(stop_reason: str) -> None:
    usage = {"requests": 2}
    error = status_event_pb2.ErrorEvent(message="too bad")
    steps = [message(), message(3), *over(stop_reason, text="so", usage=usage, error=error)]
    async with serving(session(*steps)) as address, Client.connect(address) as client:
        result = await client.run("ses_1", "go")
    assert (result.seq, result.stop_reason, result.text, result.usage.requests) == (1, stop_reason, "so", 2)
    assert result.error == error
    assert [event.seq for event in result.events] == [1, 3]


@pytest.mark.parametrize("stood", [None, stream_pb2.TURN_STOP_REASON_REQUIRES_ACTION])
async def test_a_run_ends_with_the_deletion_of_its_session(stood: stream_pb2.TurnStopReason.ValueType | None) -> None:
    result_so_far = None if stood is None else stream_pb2.TurnResult(stop_reason=stood)
    steps = [message(), waits(result=result_so_far), ended(9, reason=stream_pb2.STREAM_END_REASON_DELETED)]
    async with serving(session(*steps)) as address, Client.connect(address) as client:
        result = await client.run("ses_1", "go")
    assert (result.stop_reason, result.error) == ("deleted", None)


@pytest.mark.parametrize(
    ("decision", "told", "why"),
    [
        (True, user_event_pb2.TOOL_CONFIRMATION_ALLOW, ""),
        (False, user_event_pb2.TOOL_CONFIRMATION_DENY, ""),
        (None, user_event_pb2.TOOL_CONFIRMATION_DENY, ""),
        ("not today", user_event_pb2.TOOL_CONFIRMATION_DENY, "not today"),
    ],
)
async def test_a_use_that_waits_for_permission_is_decided_by_confirm(decision: Any, told: int, why: str) -> None:
    asked: list[session_pb2.PendingAction] = []

    def confirm(use: session_pb2.PendingAction) -> Any:
        asked.append(use)
        return decision

    service = session(message(), waits("asks:use_2"), 2, *over())
    async with serving(service) as address, Client.connect(address) as client:
        assert (await client.run("ses_1", "go", confirm=confirm)).stop_reason == "end_turn"
    confirmation = sent(service)[0].user_tool_confirmation
    assert (confirmation.tool_use_id, confirmation.decision, confirmation.deny_message) == ("use_2", told, why)
    assert [use.name for use in asked] == ["bash"]


async def test_a_use_that_was_confirmed_is_then_answered() -> None:
    service = session(message(), waits("asks:use_2"), 2, waits("bash:use_2"), 3, *over())
    async with serving(service) as address, Client.connect(address) as client:
        await client.run("ses_1", "go", tools={"bash": lambda given: "made"}, confirm=lambda use: True)
    confirmed, answered = sent(service)
    assert confirmed.HasField("user_tool_confirmation")
    assert answered.user_tool_result.content[0].text.text == "made"


async def test_a_turn_that_waits_for_what_nobody_here_can_answer_is_given_back() -> None:
    result = stream_pb2.TurnResult(stop_reason=stream_pb2.TURN_STOP_REASON_REQUIRES_ACTION, waits_for=["use_2"])
    service = session(message(), waits("asks:use_2", result=result), 9)
    async with serving(service) as address, Client.connect(address) as client:
        run = await client.run("ses_1", "go", tools={"bash": lambda given: "ok"})
    assert (run.stop_reason, run.waits_for) == ("requires_action", ("use_2",))
    assert sent(service) == []


async def test_a_turn_is_not_given_back_for_a_use_that_others_answered_since() -> None:
    result = stream_pb2.TurnResult(stop_reason=stream_pb2.TURN_STOP_REASON_REQUIRES_ACTION, waits_for=["use_2"])
    async with serving(session(message(), waits(result=result), *over())) as address, Client.connect(address) as client:
        assert (await client.run("ses_1", "go")).stop_reason == "end_turn"


async def test_a_turn_that_waits_for_a_handler_here_is_not_given_back() -> None:
    result = stream_pb2.TurnResult(stop_reason=stream_pb2.TURN_STOP_REASON_REQUIRES_ACTION, waits_for=["use_2"])
    waited = asyncio.Event()

    async def deploy(given: Any) -> str:
        await waited.wait()
        return "late"

    def on_event(event: Event) -> None:
        if event.seq == 3:
            waited.set()

    steps: list[Step] = [message(), waits("deploy:use_2"), waits("deploy:use_2", result=result)]
    steps += [message(3), 2, *over()]
    service = session(*steps)
    async with serving(service) as address, Client.connect(address) as client:
        run = await client.run("ses_1", "go", tools={"deploy": deploy}, on_event=on_event)
    assert (run.stop_reason, results(service)) == ("end_turn", ["late"])


async def test_a_use_that_is_told_of_again_is_answered_once() -> None:
    service = session(message(), waits("deploy:use_2"), waits("deploy:use_2", "deploy:use_3"), 3, *over())
    calls: list[Any] = []
    async with serving(service) as address, Client.connect(address) as client:
        await client.run("ses_1", "go", tools={"deploy": calls.append})
    assert len(calls) == 2
    assert {event.user_custom_tool_result.custom_tool_use_id for event in sent(service)} == {"use_2", "use_3"}


async def test_two_runs_that_meet_the_same_use_call_its_handler_once() -> None:
    calls: list[Any] = []
    service = session(message(), waits("deploy:use_0"), 3, *over())
    async with serving(service) as address, Client.connect(address) as client, asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(client.run("ses_1", "go", tools={"deploy": calls.append}))
    assert len(calls) == 1


async def test_a_use_without_a_handler_is_left_to_others() -> None:
    service = session(message(), waits("deploy:use_0"), waits(), *over())
    async with serving(service) as address, Client.connect(address) as client:
        await client.run("ses_1", "go", tools={"ours": lambda given: "ok"})
    assert sent(service) == []


@pytest.mark.parametrize("after", [[waits(), message(3), *over()], over("interrupted")])
async def test_a_handler_is_stopped_when_nobody_waits_for_it_any_more(after: Sequence[Step]) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def deploy(given: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def on_event(event: Event) -> None:
        await (begun if event.seq == 2 else stopped).wait()

    steps = [waits("deploy:use_0"), message(2), *after]
    async with serving(session(*steps)) as address, Client.connect(address) as client:
        await client.run("ses_1", "go", tools={"deploy": deploy}, on_event=on_event)
    assert stopped.is_set()


async def test_a_handler_that_was_stopped_with_its_run_is_not_called_again_and_the_model_is_told() -> None:
    begun = asyncio.Event()

    async def deploy(given: Any) -> None:
        assert not begun.is_set()
        begun.set()
        await asyncio.Event().wait()

    service = session(waits("deploy:use_0"), 3, *over())
    async with serving(service) as address, Client.connect(address) as client:
        run = asyncio.create_task(client.run("ses_1", "go", tools={"deploy": deploy}))
        await begun.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await client.run("ses_1", "again", tools={"deploy": deploy})
    assert results(service) == ["The tool was stopped before it was done; what it did is not known."]


async def test_what_on_event_raises_reaches_the_caller() -> None:
    def on_event(event: Event) -> None:
        raise LookupError("mine")

    async with serving(session(message(), 9)) as address, Client.connect(address) as client:
        with pytest.raises(LookupError, match="mine"):
            await client.run("ses_1", "go", on_event=on_event)


async def test_what_confirm_raises_reaches_the_caller() -> None:
    def confirm(use: session_pb2.PendingAction) -> Any:
        raise LookupError("mine")

    service = session(message(), waits("asks:use_2"), 9)
    async with serving(service) as address, Client.connect(address) as client:
        with pytest.raises(LookupError, match="mine"):
            await client.run("ses_1", "go", confirm=confirm)
