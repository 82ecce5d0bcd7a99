"""What ends a run, and what it answers, against a service that says what a session would say."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from managedagents import Client, ToolUse, outcome_event
from managedagents.v1 import agent_event_pb2, event_pb2, session_pb2, status_event_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.fake_service import Context, FakeService, serving
from support.stream_messages import Response, opened

Event = event_pb2.SessionEvent
MESSAGE = Event(turn=1, user_message=user_event_pb2.UserMessage())


def idle(turn: int, **reason: Any) -> Event:
    return Event(turn=turn, status_idle=status_event_pb2.StatusIdle(stop_reason=status_event_pb2.StopReason(**reason)))


def judged(turn: int, *, met: bool) -> Event:
    return Event(turn=turn, outcome_evaluated=status_event_pb2.OutcomeEvaluated(met=met))


def asks(turn: int, use_id: str) -> Event:
    ask = agent_event_pb2.PERMISSION_DECISION_ASK
    return Event(
        turn=turn, agent_tool_use=agent_event_pb2.AgentToolUse(tool_use_id=use_id, name="bash", permission=ask)
    )


def session(
    events: Sequence[Event], status: pb.StatusResponse | None = None, answered: Event | None = None
) -> FakeService:
    """A session whose log is these events; the first is what is sent. `answered` follows when more is sent."""
    sends = asyncio.Semaphore(0)

    async def send(request: pb.SendEventRequest, context: Context) -> pb.SendEventResponse:
        sends.release()
        return pb.SendEventResponse(seq=1)

    async def tell_status(request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        return status or pb.StatusResponse()

    async def follow(request: pb.StreamEventsRequest, context: Context) -> AsyncIterator[Response]:
        yield opened()
        for seq, event in enumerate([*events, *([answered] if answered else [])], start=1):
            if event is answered:
                await sends.acquire()
                await sends.acquire()
            event.seq = seq
            response = Response()
            response.batch.events.append(event)
            response.batch.through_seq = seq
            yield response

    return FakeService({"SendEvent": send, "Status": tell_status}, follow)


def sent(service: FakeService) -> list[user_event_pb2.UserEvent]:
    return [request.event for request in service.asked if isinstance(request, pb.SendEventRequest)][1:]


@pytest.mark.parametrize(
    ("events", "stop_reason"),
    [
        ([MESSAGE, idle(1, end_turn=status_event_pb2.EndTurn())], "end_turn"),
        (
            [MESSAGE, idle(9, end_turn=status_event_pb2.EndTurn()), idle(1, refusal=status_event_pb2.Refusal())],
            "refusal",
        ),
        ([MESSAGE, idle(9, interrupted=status_event_pb2.Interrupted(dropped_seqs=[1]))], "dropped"),
        ([MESSAGE, judged(1, met=False)], "outcome_evaluated"),
        ([MESSAGE, Event(status_failed=status_event_pb2.StatusFailed())], "failed"),
        ([MESSAGE, Event(status_archived=status_event_pb2.StatusArchived())], "archived"),
    ],
)
async def test_a_run_ends_with_its_turn(events: list[Event], stop_reason: str) -> None:
    async with serving(session(events)) as address, Client.connect(address) as client:
        result = await client.run("ses_1", "go")
    assert result.stop_reason == stop_reason


async def test_a_run_of_an_outcome_goes_on_over_its_iterations() -> None:
    outcome = user_event_pb2.UserDefineOutcome(criteria="good")
    log = [
        Event(turn=1, user_define_outcome=outcome),
        judged(1, met=False),
        Event(turn=2, agent_message=agent_event_pb2.AgentMessage()),
        judged(2, met=True),
        Event(status_completed=status_event_pb2.StatusCompleted()),
    ]
    async with serving(session(log)) as address, Client.connect(address) as client:
        result = await client.run("ses_1", user_event_pb2.UserEvent(user_define_outcome=outcome))
    assert result.stop_reason == "completed"
    assert [event.seq for event in result.events] == [1, 2, 3, 4]


OUTCOME = user_event_pb2.UserDefineOutcome(criteria="good")
DEFINED = [Event(turn=1, user_define_outcome=OUTCOME), Event(turn=1, status_running=status_event_pb2.StatusRunning())]
END_TURN = status_event_pb2.EndTurn()
INTERRUPTED = status_event_pb2.Interrupted()
REACHED = status_event_pb2.MaxOutcomeIterations()
ARCHIVED = Event(status_archived=status_event_pb2.StatusArchived())
WAITS = status_event_pb2.RequiresAction(ids=["use_5"])


@pytest.mark.parametrize(
    ("events", "stop_reason", "seqs"),
    [
        pytest.param(
            [*DEFINED, judged(1, met=False), idle(1, max_outcome_iterations=REACHED)],
            *("max_outcome_iterations", [1, 2, 3, 4]),
            id="not met",
        ),
        pytest.param(
            # A message is queued behind it: 4 is its turn, and what it led to is judged.
            [*DEFINED, idle(1, end_turn=END_TURN), judged(4, met=False), judged(4, met=False), idle(5, refusal={})],
            *("refusal", [1, 2, 3, 4, 5, 6]),
            id="a message within it",
        ),
        pytest.param(
            [*DEFINED, judged(1, met=False), idle(9, end_turn=END_TURN), idle(9, interrupted=INTERRUPTED)],
            *("interrupted", [1, 2, 3]),
            id="an interrupt of another turn",
        ),
        pytest.param(
            [*DEFINED, judged(1, met=False), idle(9, requires_action=WAITS), judged(3, met=True), ARCHIVED],
            *("archived", [1, 2, 3, 5]),
            id="another turn that waits",
        ),
        pytest.param(
            [DEFINED[0], idle(9, interrupted=INTERRUPTED), idle(9, interrupted={"dropped_seqs": [1]})],
            *("dropped", [1]),
            id="dropped",
        ),
    ],
)
async def test_a_run_of_an_outcome_ends_where_the_outcome_does(
    events: list[Event], stop_reason: str, seqs: list[int]
) -> None:
    async with serving(session(events)) as address, Client.connect(address) as client:
        result = await client.run("ses_1", outcome_event("good"))
    assert result.stop_reason == stop_reason
    assert [event.seq for event in result.events] == seqs


async def test_a_run_of_an_outcome_sums_up_what_its_turns_cost() -> None:
    verdict = judged(1, met=True)
    verdict.response.usage.requests = 1
    verdict.response.usage.model_time.seconds = 2
    said = Event(turn=1, agent_message=agent_event_pb2.AgentMessage())
    said.response.usage.MergeFrom(verdict.response.usage)
    said.response.usage.output_tokens = 5
    log = [*DEFINED, said, verdict, Event(status_completed=status_event_pb2.StatusCompleted())]
    async with serving(session(log)) as address, Client.connect(address) as client:
        usage = (await client.run("ses_1", outcome_event("good"))).usage
    assert (usage.requests, usage.output_tokens, usage.model_time.seconds) == (2, 5, 4)


@pytest.mark.parametrize(
    ("decision", "told", "why"),
    [
        (True, user_event_pb2.TOOL_CONFIRMATION_ALLOW, ""),
        (False, user_event_pb2.TOOL_CONFIRMATION_DENY, ""),
        ("not today", user_event_pb2.TOOL_CONFIRMATION_DENY, "not today"),
    ],
)
async def test_a_use_that_waits_for_permission_is_decided_by_confirm(decision: Any, told: int, why: str) -> None:
    asked: list[ToolUse] = []

    def confirm(use: ToolUse) -> Any:
        asked.append(use)
        return decision

    end = idle(1, end_turn=status_event_pb2.EndTurn())
    service = session([MESSAGE, asks(1, "use_2")], answered=end)
    async with serving(service) as address, Client.connect(address) as client:
        assert (await client.run("ses_1", "go", confirm=confirm)).stop_reason == "end_turn"
    confirmation = sent(service)[0].user_tool_confirmation
    assert (confirmation.tool_use_id, confirmation.decision, confirmation.deny_message) == ("use_2", told, why)
    assert [use.name for use in asked] == ["bash"]


async def test_a_turn_that_waits_for_what_nobody_here_can_answer_is_given_back() -> None:
    waits = idle(1, requires_action=status_event_pb2.RequiresAction(ids=["use_2"]))
    async with serving(session([MESSAGE, asks(1, "use_2"), waits])) as address, Client.connect(address) as client:
        result = await client.run("ses_1", "go")
    assert (result.stop_reason, result.waits_for) == ("requires_action", ("use_2",))


async def test_an_earlier_turns_use_without_a_handler_is_left_to_others() -> None:
    action = session_pb2.PendingAction(
        tool_use_id="use_0", name="theirs", kind=session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT
    )
    service = session(
        [MESSAGE, idle(1, end_turn=status_event_pb2.EndTurn())], pb.StatusResponse(pending_actions=[action])
    )
    async with serving(service) as address, Client.connect(address) as client:
        await client.run("ses_1", "go", tools={"ours": lambda given: "ok"})
    assert sent(service) == []


async def test_a_confirmation_that_status_had_told_of_stops_no_handler() -> None:
    action = session_pb2.PendingAction(
        tool_use_id="use_0", name="bash", kind=session_pb2.PENDING_ACTION_KIND_TOOL_RESULT, runs_at_client=True
    )
    confirmed = user_event_pb2.UserToolConfirmation(
        tool_use_id="use_0", decision=user_event_pb2.TOOL_CONFIRMATION_ALLOW
    )
    seen = asyncio.Event()

    async def handler(given: Any) -> str:
        # The stream tells of the confirmation only now.
        await seen.wait()
        return "made"

    service = session(
        [
            MESSAGE,
            Event(turn=1, user_tool_confirmation=confirmed),
            Event(turn=1, status_running=status_event_pb2.StatusRunning()),
        ],
        pb.StatusResponse(pending_actions=[action]),
        answered=idle(1, end_turn=status_event_pb2.EndTurn()),
    )

    def on_event(event: Event) -> None:
        if event.HasField("status_running"):
            seen.set()

    async with serving(service) as address, Client.connect(address) as client:
        await client.run("ses_1", "go", tools={"bash": handler}, on_event=on_event)
    (answer,) = sent(service)
    assert answer.user_tool_result.content[0].text.text == "made"


async def test_what_on_event_raises_reaches_the_caller() -> None:
    def on_event(event: Event) -> None:
        raise LookupError("mine")

    async with serving(session([MESSAGE])) as address, Client.connect(address) as client:
        with pytest.raises(LookupError, match="mine"):
            await client.run("ses_1", "go", on_event=on_event)


@pytest.mark.parametrize(
    ("next_", "is_told"),
    [(status_event_pb2.ERROR_NEXT_TURN_ENDS, True), (status_event_pb2.ERROR_NEXT_TURN_GOES_ON, False)],
)
async def test_an_error_that_the_turn_goes_on_from_is_not_the_runs(
    next_: status_event_pb2.ErrorNext.ValueType, is_told: bool
) -> None:
    error = Event(turn=1, error=status_event_pb2.ErrorEvent(next=next_))
    events = [MESSAGE, error, idle(1, end_turn=status_event_pb2.EndTurn())]
    async with serving(session(events)) as address, Client.connect(address) as client:
        result = await client.run("ses_1", "go")
    assert (result.error is not None) == is_told
    assert any(event.HasField("error") for event in result.events)
