"""An outcome in the state: from the event that defines it to the one that ends it."""

import pytest

from managedagents.v1 import session_pb2, status_event_pb2
from managedagents_server.providers.base import ModelFailure
from managedagents_server.session import events
from managedagents_server.session.session import fields_of
from managedagents_server.session.state import Outcome, State
from support.story import Story


@pytest.fixture
def story() -> Story:
    """The model is done with the outcome's first turn."""
    story = Story()
    story.define("a story", 2)
    story.run()
    story.answer("once")
    return story


def test_it_is_worked_towards_when_its_turn_begins() -> None:
    story = Story()
    story.define("a story")
    assert (story.state.outcome, story.state.towards, story.state.queue) == (Outcome(1, 3), None, [1])
    story.run()
    assert (story.state.towards, story.state.queue) == (Outcome(1, 3), [])


def test_an_answer_without_uses_is_to_be_graded_and_leaves_the_turn_open(story: Story) -> None:
    state = story.state
    assert (state.to_grade, state.turn, state.state) == (True, 1, session_pb2.SESSION_STATUS_RUNNING)


def test_an_answer_with_uses_is_not_to_be_graded() -> None:
    story = Story()
    story.define("a story")
    story.run()
    (use,) = story.answer("look", "a")
    assert not story.state.to_grade
    story.give(use)
    assert not story.state.to_grade
    story.answer("", "nobody?")
    assert not story.state.to_grade


def test_a_verdict_moves_neither_the_rounds_nor_the_position(story: Story) -> None:
    before = story.state.finished
    story.fail_for_now()
    story.run()
    story.evaluate(met=False)
    assert (story.state.finished, story.state.failures, story.state.rounds) == (before, 0, 1)
    assert story.state.spent.requests == 2


def test_a_grader_that_fails_for_good_moves_no_position(story: Story) -> None:
    before = story.state.finished
    story.fail(rejected=False)
    assert story.state.finished == before


def test_what_is_not_met_has_a_further_turn_and_what_is_met_has_none(story: Story) -> None:
    story.say("more")
    story.evaluate(met=False)
    assert (story.state.turn, story.state.outcome) == (0, Outcome(1, 2, judged=1, further=5))
    assert story.state.next_turn == 4
    story.run()
    story.answer("more")
    assert story.state.next_turn == 5
    story.run()
    assert story.state.outcome == Outcome(1, 2, judged=1)
    story.say("still more")
    story.answer("end")
    story.run()
    story.answer("ok")
    story.say("and more")
    story.evaluate(met=True)
    assert story.state.outcome == Outcome(1, 2, judged=2)
    assert not story.state.to_grade


def test_the_last_verdict_ends_it(story: Story) -> None:
    story.evaluate(met=False)
    story.run()
    story.answer("end")
    story.evaluate(met=False)
    state = story.state
    assert (state.outcome, state.to_grade, state.next_turn) == (None, False, 0)
    assert state.state == session_pb2.SESSION_STATUS_IDLE


def test_met_with_nothing_queued_is_the_end_of_the_session(story: Story) -> None:
    story.evaluate(met=True)
    assert story.state.state == session_pb2.SESSION_STATUS_COMPLETED


def test_an_interrupt_or_a_failure_ends_it(story: Story) -> None:
    story.interrupt()
    assert (story.state.outcome, story.state.to_grade) == (None, False)
    story.define("another")
    story.run()
    story.fail(rejected=True)
    assert story.state.outcome is None


def test_an_interrupt_before_its_turn_ends_it_only_by_dropping_it() -> None:
    story = Story()
    story.say("hi")
    story.run()
    story.define("a story")
    story.interrupt()
    assert (story.state.outcome, story.state.queue) == (Outcome(3, 3), [3])
    story.interrupt(drop_queued=True)
    assert (story.state.outcome, story.state.queue) == (None, [])


def test_a_grader_that_was_rejected_is_asked_without_a_schema_from_then_on(story: Story) -> None:
    failure = ModelFailure(status_event_pb2.ERROR_CODE_MODEL_REJECTED, "no schemas here", transient=False)
    story.add(events.rescheduling(1, failure, 1, 0.0, 0))
    story.run()
    assert story.state.outcome == Outcome(1, 2, schemaless=True)
    story.evaluate(met=False)
    story.run()
    assert story.state.outcome == Outcome(1, 2, judged=1, schemaless=True)


def test_between_two_of_its_turns_the_keys_of_the_agent_stay(story: Story) -> None:
    story.evaluate(met=False)
    assert (story.state.turn, fields_of(story.state, None).open_turn) == (0, True)
    story.interrupt()
    assert not fields_of(story.state, None).open_turn


def test_a_checkpoint_carries_it(story: Story) -> None:
    assert State.load(story.state.dump()) == story.state
    story.evaluate(met=False)
    assert State.load(story.state.dump()) == story.state
