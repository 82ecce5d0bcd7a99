"""The older part of a conversation, as the model reads it that is to summarise it."""

from managedagents.v1 import content_pb2
from managedagents_server.session import transcript
from managedagents_server.session.conversation import rebuild
from support.story import Story, message


def test_everybody_is_told_apart_and_nothing_is_lost() -> None:
    story = Story()
    story.say("where is order 7431?")
    story.run()
    (use,) = story.answer("let me look", "lookup")
    story.give(use, "in Lyon")
    story.run()
    story.answer("it is in Lyon")
    told = transcript.prompt("the user is Ada", rebuild(story.events, {}).turns, 10_000)
    assert told == (
        "The conversation:\n\n"
        "User: where is order 7431?\n"
        "Assistant: let me look\n"
        'The assistant called lookup with {"lookup":1}\n'
        "Result of lookup: in Lyon\n"
        "Assistant: it is in Lyon\n\n"
        "The notes so far:\nthe user is Ada\n\n"
        "Write the notes now."
    )


def test_attachments_are_named_and_their_bytes_left_out() -> None:
    story = Story()
    event = message("see here")
    image = content_pb2.ImageContent(data=b"\x89PNG" * 1000, media_type="image/png")
    file = content_pb2.FileContent(data=b"%PDF" * 1000, media_type="application/pdf", name="bill.pdf")
    event.user_message.content.extend([content_pb2.Content(image=image), content_pb2.Content(file=file)])
    story.take(event)
    story.run()
    told = transcript.prompt("", rebuild(story.events, {}).turns, 10_000)
    assert "User: see here [a picture, image/png] [a file, bill.pdf, application/pdf]\n" in told
    assert len(told) < 1000


def test_what_is_too_long_loses_the_middle_of_its_longest_turns() -> None:
    story = Story()
    for text in ("short one", "begin" + "é" * 50_000 + "end", "short two"):
        story.say(text)
        story.run()
        story.answer("ok")
    told = transcript.prompt("", rebuild(story.events, {}).turns, 6_000)
    assert len(told.encode()) < 6_000
    for kept in ("User: short one", "User: begin", "end\nAssistant: ok", "User: short two", "left out"):
        assert kept in told


def test_notes_that_are_too_long_themselves_lose_their_middle() -> None:
    story = Story()
    story.say("and now?")
    story.run()
    notes = "begin" + "é" * 50_000 + "end"
    told = transcript.prompt(notes, rebuild(story.events, {}).turns, 6_000)
    assert len(told.encode()) < 6_000
    for kept in ("User: and now?", "begin", "left out", "end\n\n"):
        assert kept in told
