"""What the grader is asked, and which of its answers are verdicts."""

import json

import pytest
from jsonschema import Draft202012Validator

from managedagents_server.providers.base import ModelFailure
from managedagents_server.session import verdict
from managedagents_server.session.conversation import rebuild
from managedagents_server.session.verdict import Verdict
from support.story import Story


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"met": true, "reason": "it is all there"}', Verdict(True, "it is all there")),
        ('\n  {"reason": "", "met": false}\n', Verdict(False, "")),
        ('```json\n{"met": false, "reason": "no"}\n```', Verdict(False, "no")),
        (' ```\n{\n  "met": true,\n  "reason": "```"\n}\n```\n', Verdict(True, "```")),
        ('{"met": true, "reason": "half \\ud800"}', Verdict(True, "half \ufffd")),
    ],
)
def test_a_verdict(text: str, read: Verdict) -> None:
    assert verdict.read(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "met",
        "null",
        "[]",
        '"met"',
        '{"met": true}',
        '{"reason": "yes"}',
        '{"met": "true", "reason": "yes"}',
        '{"met": 1, "reason": "yes"}',
        '{"met": null, "reason": "yes"}',
        '{"met": true, "reason": 5}',
        '{"met": true, "reason": "yes", "score": 3}',
        'Here it is: {"met": true, "reason": "yes"}',
        '{"met": true, "reason": "yes"} {"met": false, "reason": "no"}',
        '{"met": true, "reason": "cut',
        '```json\n{"met": true, "reason": "cut"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_verdict_may_be_one_at_the_next_attempt(text: str) -> None:
    with pytest.raises(ModelFailure, match="no verdict") as caught:
        verdict.read(text)
    assert caught.value.transient


def test_the_schema_takes_what_is_read_and_nothing_else() -> None:
    schema = Draft202012Validator(json.loads(verdict.SCHEMA))
    assert schema.is_valid({"met": True, "reason": "yes"})
    for other in ({"met": True}, {"met": 1, "reason": "yes"}, {"met": True, "reason": "yes", "score": 3}):
        assert not schema.is_valid(other)


def told(story: Story, most_bytes: int = 10_000) -> str:
    return verdict.prompt(rebuild(story.events, {}), most_bytes)


def test_the_grader_is_told_the_criteria_what_was_done_since_and_the_last_answer() -> None:
    story = Story()
    story.say("hi there")
    story.run()
    story.answer("hello")
    story.define("a story with an end")
    story.run()
    (use,) = story.answer("let me look", "lookup")
    story.give(use, "in Lyon")
    story.answer("once")
    story.evaluate(met=False, reason="no end")
    story.run()
    story.answer("once, and it ended")
    prompt = told(story)
    assert prompt.startswith("The criteria:\n\na story with an end\n\nWhat was done:\n\nUser: Work until ")
    assert prompt.endswith("The last answer:\n\nonce, and it ended\n\nAre the criteria met?")
    for done in ("called lookup with", "Result of lookup: in Lyon", "Assistant: once\n", "no end"):
        assert done in prompt
    assert "hi there" not in prompt


def test_the_transcript_is_cut_and_the_last_answer_is_whole() -> None:
    story = Story()
    story.define("long")
    story.run()
    (use,) = story.answer("", "lookup")
    story.give(use, "begin" + "x" * 50_000)
    story.answer("y" * 5_000)
    prompt = told(story, 8_000)
    assert "y" * 5_000 in prompt
    assert "left out" in prompt
    assert len(prompt) < 9_000


def test_the_summary_is_told_where_it_stands_for_a_part_of_what_was_done() -> None:
    story = Story()
    story.define("a story")
    story.run()
    story.answer("once")
    story.evaluate(met=False)
    story.run()
    story.compact("it began well", 1)
    story.answer("the end")
    assert "What was done:\n\nit began well\n\nUser: The criteria are not met yet." in told(story)


def test_an_empty_answer_is_told_as_empty() -> None:
    story = Story()
    story.define("a story")
    story.run()
    story.answer("")
    assert told(story).endswith("The last answer:\n\n(It is empty.)\n\nAre the criteria met?")
