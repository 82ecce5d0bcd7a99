"""The model gets the log grouped by turn, in the order in which the turns began."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from managedagents_server.providers.base import Answered, Item, Results, Said, Verbatim
from managedagents_server.session.conversation import Conversation, rebuild
from managedagents_server.session.frames import Event
from support.story import Story, a_random_story


@pytest.fixture
def story() -> Story:
    return Story()


def told(items: Sequence[Item]) -> list[str]:
    """Each item as a line: who, and what."""
    lines = []
    for item in items:
        match item:
            case Said(content):
                lines.append("user: " + " ".join(block.text.text for block in content))
            case Answered(events):
                lines.append("model: " + " ".join(map(_part, events)))
            case Results(results):
                lines.append("tools: " + " ".join(f"{result.name}={result.content[0].text.text}" for result in results))
    return lines


def _part(event: Event) -> str:
    match event.WhichOneof("payload"):
        case "agent_message":
            return "".join(block.text.text for block in event.agent_message.content)
        case "agent_custom_tool_use":
            return f"{event.agent_custom_tool_use.name}()"
        case "agent_tool_use":
            return f"{event.agent_tool_use.name}()"
    raise AssertionError(event)


def lines(story: Story) -> list[str]:
    return told(rebuild(story.events, {}).items)


def test_a_turn_is_what_was_said_and_what_was_answered(story: Story) -> None:
    story.say("hi")
    story.run()
    story.answer("hello")
    assert lines(story) == ["user: hi", "model: hello"]


def test_a_queued_message_is_not_told_before_its_turn(story: Story) -> None:
    story.say("one", "two")
    assert lines(story) == []
    story.run()
    assert lines(story) == ["user: one"]


def test_a_message_queued_in_mid_turn_never_stands_between_a_use_and_its_result(story: Story) -> None:
    story.say("one")
    story.run()
    first, second = story.answer("wait", "a", "b")
    story.say("two")
    story.give(first, "1")
    story.say("three")
    story.give(second, "2")
    story.answer("done")
    story.run()
    story.answer("also done")
    assert lines(story) == [
        "user: one",
        "model: wait a() b()",
        "tools: a=1 b=2",
        "model: done",
        "user: two",
        "model: also done",
    ]


def test_results_stand_in_the_order_of_the_calls_once_all_are_there(story: Story) -> None:
    story.say("go")
    story.run()
    uses = story.answer("", "a", "b", "c")
    for use, text in ((uses[2], "3"), (uses[0], "1")):
        story.give(use, text)
        assert lines(story)[-1] == "model: a() b() c()"
    story.give(uses[1], "2")
    assert lines(story)[-1] == "tools: a=1 b=2 c=3"


def test_a_call_of_no_tool_is_told_as_denied_beside_the_answers(story: Story) -> None:
    story.say("go")
    story.run()
    (use,) = story.answer("", "nobody?", "a")
    story.give(use, "1")
    assert lines(story)[-1] == "tools: nobody?=There is no tool named nobody?. a=1"


def test_an_interrupted_turn_is_told_with_a_result_for_every_use(story: Story) -> None:
    story.say("go")
    story.run()
    _, second = story.answer("", "a", "b")
    story.give(second, "2")
    story.interrupt()
    story.say("and now?")
    story.run()
    closed = "The user interrupted the turn before this was done."
    assert lines(story) == ["user: go", "model: a() b()", f"tools: a={closed} b=2", "user: and now?"]


def test_a_turn_interrupted_before_any_answer_is_told_as_it_stands(story: Story) -> None:
    story.say("one", "two")
    story.run()
    story.interrupt()
    story.run()
    assert lines(story) == ["user: one", "user: two"]


def test_dropped_messages_are_never_told(story: Story) -> None:
    story.say("one", "two", "three")
    story.run()
    story.interrupt(drop_queued=True)
    story.say("four")
    story.run()
    assert lines(story) == ["user: one", "user: four"]


def test_a_rejected_turn_is_left_out_whole_and_what_was_queued_in_it_stays(story: Story) -> None:
    story.say("fine")
    story.run()
    story.answer("yes")
    story.say("bad")
    story.run()
    (use,) = story.answer("", "a")
    story.say("queued")
    story.give(use, "1")
    story.fail(rejected=True)
    story.run()
    assert lines(story) == ["user: fine", "model: yes", "user: queued"]


def test_a_turn_that_failed_otherwise_stays(story: Story) -> None:
    story.say("one", "two")
    story.run()
    story.fail_for_now()
    story.run()
    story.fail(rejected=False)
    story.run()
    assert lines(story) == ["user: one", "user: two"]


def test_going_on_after_requires_action_begins_no_new_turn(story: Story) -> None:
    story.say("go")
    story.run()
    (use,) = story.answer("", "a")
    story.give_up_waiting()
    story.give(use, "late")
    story.run()
    story.answer("done")
    assert lines(story) == ["user: go", "model: a()", "tools: a=late", "model: done"]


def test_what_a_provider_needs_back_stands_beside_its_answer(story: Story) -> None:
    story.say("go")
    story.run()
    story.answer("one", "a")
    blob = Verbatim("scripted", b"signed")
    answered = rebuild(story.events, {3: blob}).items[-1]
    assert isinstance(answered, Answered)
    assert answered.verbatim == blob


def three_turns(story: Story) -> None:
    for text in ("one", "two", "three"):
        story.say(text)
        story.run()
        story.answer(f"{text}!")


def test_folded_turns_are_told_as_their_summary_at_the_head_of_the_first_message(story: Story) -> None:
    three_turns(story)
    story.say("four")
    story.run()
    story.compact("counted to two", 5)
    summary = "[Summary of the conversation before this message]\ncounted to two"
    assert lines(story) == [f"user: {summary}\n\nthree", "model: three!", "user: four"]
    story.answer("four!")
    assert lines(story)[:3] == [f"user: {summary}\n\nthree", "model: three!", "user: four"]


def test_a_later_summary_takes_the_place_of_the_earlier_one(story: Story) -> None:
    three_turns(story)
    story.say("four")
    story.run()
    story.compact("counted to one", 1)
    story.compact("counted to three", 9)
    assert lines(story) == ["user: [Summary of the conversation before this message]\ncounted to three\n\nfour"]


def test_a_summary_outlives_the_turn_that_it_was_made_in(story: Story) -> None:
    story.say("one")
    story.run()
    story.answer("one!")
    story.say("bad")
    story.run()
    story.compact("counted to one", 1)
    story.fail(rejected=True)
    story.say("and now?")
    story.run()
    assert lines(story) == ["user: [Summary of the conversation before this message]\ncounted to one\n\nand now?"]


def test_an_outcome_is_told_as_its_criteria_and_a_verdict_as_its_reason(story: Story) -> None:
    story.define("a story with an end")
    story.run()
    story.answer("once upon a time")
    story.evaluate(met=False, reason="it has no end")
    assert len(lines(story)) == 2
    story.run()
    story.answer("the end")
    first, one, second, two = lines(story)
    assert first.startswith("user: Work until ")
    assert first.endswith("\n\na story with an end")
    assert second.startswith("user: The criteria are not met yet.")
    assert "\n\nit has no end\n\n" in second
    assert (one, two) == ("model: once upon a time", "model: the end")


def test_a_verdict_of_met_is_not_told(story: Story) -> None:
    story.define("a story")
    story.run()
    story.answer("once")
    story.say("longer")
    story.evaluate(met=True)
    story.run()
    assert lines(story)[1:] == ["model: once", "user: longer"]


def test_a_further_turn_runs_behind_the_messages_that_came_before_its_verdict_and_before_later_ones(
    story: Story,
) -> None:
    story.define("a story")
    story.run()
    story.answer("once")
    story.say("before")
    story.evaluate(met=False, reason="short")
    story.say("behind")
    for text in ("two", "three", "four"):
        story.run()
        story.answer(text)
    said = [line.split("\n")[0] for line in lines(story)[2:]]
    go_on = "user: The criteria are not met yet. The judgement:"
    assert said == ["user: before", "model: two", go_on, "model: three", "user: behind", "model: four"]


def test_what_was_done_towards_an_outcome_are_the_turns_since_it_began(story: Story) -> None:
    story.say("hi")
    story.run()
    story.answer("hello")
    story.define("a story")
    story.run()
    story.answer("once")
    story.evaluate(met=False)
    story.run()
    conversation = rebuild(story.events, {})
    assert (conversation.criteria, [turn.turn for turn in conversation.towards]) == ("a story", [5, 8])
    story.compact("it began", 5)
    assert [turn.turn for turn in rebuild(story.events, {}).towards] == [8]


def test_what_the_grader_read_is_no_part_of_the_size(story: Story) -> None:
    story.define("a story")
    story.run()
    story.answer("once")
    story.events[2].response.usage.input_tokens = 500
    story.say("x" * 30)
    story.evaluate(met=True)
    story.events[-1].response.usage.input_tokens = 9000
    assert rebuild(story.events, {}).tokens(4, beside=7) == 500 + 11


def test_what_the_provider_counted_is_the_size_and_only_what_came_later_is_guessed(story: Story) -> None:
    story.say("x" * 300)
    assert rebuild(story.events, {}).tokens(1, beside=7) == 7 + 101
    story.run()
    assert rebuild(story.events, {}).tokens(1, beside=7) == 7 + 101
    story.answer("y" * 30)
    story.events[2].response.usage.input_tokens = 5000
    story.events[2].response.usage.output_tokens = 50
    story.say("z" * 30)
    assert rebuild(story.events, {}).tokens(5, beside=7) == 5050 + 11
    story.run()
    story.compact("s" * 3, 1)
    assert rebuild(story.events, {}).tokens(5, beside=7) == 7 + 2 + 11


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_every_call_is_followed_by_its_results_and_messages_keep_their_order(seed: int) -> None:
    story = a_random_story(seed)
    conversation = Conversation()
    longest = 0
    for event in story.events:
        conversation.add(event)
        check(conversation.items)
        longest = max(longest, len(conversation.items))
    assert longest > 10


def check(items: Sequence[Item]) -> None:
    # What goes on towards an outcome ends in no number.
    said = [line.split()[-1] for line in told(items) if line.startswith("user: ")]
    numbers = [int(word) for word in said if word.isdigit()]
    assert numbers == sorted(numbers)
    for before, after in pairwise(items):
        assert isinstance(after, Results) == bool(calls(before))
        if isinstance(after, Results):
            assert [result.tool_use_id for result in after.results] == calls(before)


def calls(item: Item) -> list[str]:
    events = item.events if isinstance(item, Answered) else []
    uses = [event.agent_custom_tool_use.custom_tool_use_id or event.agent_tool_use.tool_use_id for event in events]
    return [use for use in uses if use]
