"""What a session takes and what it refuses, by its state alone; and what the log gets of what it takes."""

from collections.abc import Callable
from typing import Any

import pytest

from managedagents.v1 import session_pb2, user_event_pb2
from managedagents_server.session import inbox
from managedagents_server.session.frames import kind_of
from managedagents_server.session.state import Next, OpenUse, Outcome, State
from managedagents_server.words.errors import (
    LimitExceeded,
    OutcomeActive,
    RuntimeFault,
    SessionTerminal,
    ToolUseClosed,
    ToolUseNotFound,
)
from managedagents_server.words.limits import Limits
from support.calls import outcome
from support.story import Story, interrupt, message, result

SMALL = Limits(queued_messages=2, session_events=1000, reserve_events=200, session_bytes=100_000, reserve_bytes=20_000)
ROOM = "room"
ALLOW = user_event_pb2.TOOL_CONFIRMATION_ALLOW


def parked(**more: Any) -> State:
    use = OpenUse("a", 3, Next.CUSTOM_RESULT)
    return State(state=2, turn=1, uses={"use_3_x": use}, **more)


def confirmation(use: str, decision: user_event_pb2.ToolConfirmation.ValueType = ALLOW) -> user_event_pb2.UserEvent:
    given = user_event_pb2.UserToolConfirmation(tool_use_id=use, decision=decision)
    return user_event_pb2.UserEvent(user_tool_confirmation=given)


def returned(use: str) -> user_event_pb2.UserEvent:
    return user_event_pb2.UserEvent(user_tool_result=user_event_pb2.UserToolResult(tool_use_id=use))


def refused(state: State, event: user_event_pb2.UserEvent) -> str:
    """Which limit says no, or ROOM."""
    fault = inbox.refusal(state, event, SMALL)
    if fault is None:
        return ROOM
    assert isinstance(fault, LimitExceeded)
    assert fault.metadata["value"] == str(getattr(SMALL, fault.metadata["limit"]))
    return fault.metadata["limit"]


@pytest.mark.parametrize(
    "event", [message("hi"), result("use_3_x"), confirmation("use_3_x"), interrupt(), interrupt(drop_queued=True)]
)
@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "ARCHIVED"])
def test_a_terminal_session_takes_nothing_and_says_which_it_is(event: user_event_pb2.UserEvent, status: str) -> None:
    state = parked()
    state.state = session_pb2.SessionStatus.Value(f"SESSION_STATUS_{status}")
    fault = inbox.refusal(state, event, SMALL)
    assert isinstance(fault, SessionTerminal)
    assert fault.metadata == {"status": status}


@pytest.mark.parametrize("outcome_", [Outcome(4, 3), Outcome(1, 3, judged=1), Outcome(1, 3, judged=1, further=5)])
def test_a_second_outcome_is_refused_until_the_first_is_over(outcome_: Outcome) -> None:
    state = State(state=2, turn=1, queue=[4], outcome=outcome_)
    fault = inbox.refusal(state, outcome("done"), SMALL)
    assert isinstance(fault, OutcomeActive)
    assert fault.metadata == {"seq": str(outcome_.seq)}
    state.outcome = None
    assert inbox.refusal(state, outcome("done"), SMALL) is None


@pytest.mark.parametrize("use", ["use_4_x", "use_3_y", ""])
def test_an_answer_to_a_use_that_is_not_open_is_refused_by_name(use: str) -> None:
    fault = inbox.refusal(parked(), result(use), SMALL)
    assert isinstance(fault, ToolUseClosed)
    assert fault.metadata == {"tool_use_id": use}


@pytest.mark.parametrize(
    ("due", "event"),
    [
        (Next.CUSTOM_RESULT, confirmation("use_3_x")),
        (Next.CUSTOM_RESULT, returned("use_3_x")),
        (Next.CONFIRMATION, result("use_3_x")),
        (Next.CONFIRMATION, returned("use_3_x")),
        (Next.RESULT, result("use_3_x")),
        (Next.RUN, result("use_3_x")),
        (Next.RUN, returned("use_3_x")),
        (Next.RUN, confirmation("use_3_x")),
        (Next.END, returned("use_3_x")),
    ],
)
def test_an_answer_of_the_wrong_kind_is_refused_as_one_that_nobody_waits_for(
    due: Next, event: user_event_pb2.UserEvent
) -> None:
    state = State(state=2, turn=1, uses={"use_3_x": OpenUse("a", 3, due)})
    assert isinstance(inbox.refusal(state, event, SMALL), ToolUseNotFound)


@pytest.mark.parametrize("due", [Next.RUN, Next.RESULT, Next.END])
def test_a_confirmation_that_was_given_is_closed(due: Next) -> None:
    state = State(state=2, turn=1, uses={"use_3_x": OpenUse("a", 3, due, patience=5)})
    assert isinstance(inbox.refusal(state, confirmation("use_3_x"), SMALL), ToolUseClosed)


@pytest.mark.parametrize(
    ("state", "event", "limit"),
    [
        pytest.param(parked(queue=[4]), message("hi"), ROOM, id="one queued"),
        pytest.param(parked(queue=[4, 5]), message("hi"), "queued_messages", id="as many queued as may be"),
        pytest.param(
            parked(queue=[4, 5]), outcome("done"), "queued_messages", id="an outcome is queued as a message is"
        ),
        pytest.param(parked(head=800), outcome("done"), "session_events", id="an outcome into the reserve of events"),
        pytest.param(parked(queue=[4, 5]), result("use_3_x"), ROOM, id="an answer passes a full queue"),
        pytest.param(parked(queue=[4, 5]), interrupt(), ROOM, id="an interrupt passes a full queue"),
        pytest.param(parked(head=799), message("hi"), ROOM, id="one event before the reserve"),
        pytest.param(parked(head=800), message("hi"), "session_events", id="a message into the reserve of events"),
        pytest.param(parked(head=800), result("use_3_x"), ROOM, id="an answer into the reserve of events"),
        pytest.param(parked(head=800), interrupt(), ROOM, id="an interrupt into the reserve of events"),
        pytest.param(
            parked(head=900), result("use_3_x"), "session_events", id="an answer into the server's own events"
        ),
        pytest.param(parked(head=900), interrupt(), "session_events", id="an interrupt into the server's own events"),
        pytest.param(parked(log_bytes=79_000), message("x" * 900), ROOM, id="a message that fits"),
        pytest.param(
            parked(log_bytes=79_000), message("x" * 1100), "session_bytes", id="a message too large for the rest"
        ),
        pytest.param(parked(log_bytes=80_000), result("use_3_x"), ROOM, id="an answer into the reserve of bytes"),
        pytest.param(parked(log_bytes=100_000), interrupt(), "session_bytes", id="an interrupt into a full log"),
    ],
)
def test_limits_refuse_messages_first_and_answers_and_interrupts_last(
    state: State, event: user_event_pb2.UserEvent, limit: str
) -> None:
    assert refused(state, event) == limit


@pytest.mark.parametrize(
    ("state", "waiting_helps"),
    [(parked(queue=[4, 5]), True), (parked(head=800), False), (parked(log_bytes=99_999), False)],
)
def test_only_a_full_queue_is_worth_waiting_for(state: State, waiting_helps: bool) -> None:
    fault = inbox.refusal(state, message("hi"), SMALL)
    assert isinstance(fault, RuntimeFault)
    assert (fault.retry_after is not None) == waiting_helps


Told = list[tuple[str, int]]


def logged(story: Story, event: user_event_pb2.UserEvent) -> Told:
    return [(kind_of(added), added.turn) for added in inbox.logged(story.state, event)]


def at_rest(_: Story) -> None: ...


def in_a_turn(story: Story) -> None:
    story.say("hi")
    story.run()


def waiting(story: Story) -> None:
    in_a_turn(story)
    story.answer("", "a", "b")


def in_requires_action(story: Story) -> None:
    waiting(story)
    story.give_up_waiting()


def in_requires_action_for_one(story: Story) -> None:
    in_requires_action(story)
    story.give(next(iter(story.state.uses)))


@pytest.mark.parametrize(
    ("tell", "event", "gets"),
    [
        (at_rest, message("hi"), [("user.message", 1)]),
        (in_a_turn, message("hi"), [("user.message", 3)]),
        (in_a_turn, outcome("done"), [("user.define_outcome", 3)]),
        (at_rest, interrupt(), [("user.interrupt", 1)]),
        (in_a_turn, interrupt(), [("user.interrupt", 1)]),
        (waiting, result("first"), [("user.custom_tool_result", 1)]),
        (in_requires_action, result("first"), [("user.custom_tool_result", 1), ("status.idle", 1)]),
        (in_requires_action_for_one, result("first"), [("user.custom_tool_result", 1)]),
    ],
)
def test_an_event_is_logged_in_the_turn_that_it_belongs_to(
    tell: Callable[[Story], None], event: user_event_pb2.UserEvent, gets: Told
) -> None:
    story = Story()
    tell(story)
    if event.HasField("user_custom_tool_result"):
        event = result(next(iter(story.state.uses)))
    assert logged(story, event) == gets


def test_a_partial_answer_in_requires_action_says_what_remains() -> None:
    story = Story()
    in_requires_action(story)
    first, second = story.state.uses
    _, idle = inbox.logged(story.state, result(first))
    assert idle.status_idle.stop_reason.requires_action.ids == [second]
