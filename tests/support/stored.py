"""What the server keeps of a session, read from its file beside it, against what the log alone says."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from managedagents.v1 import content_pb2
from managedagents_server.providers.base import Answered, Results, Said
from managedagents_server.session.conversation import rebuild, said_of
from managedagents_server.session.fold import apply
from managedagents_server.session.frames import from_frame
from managedagents_server.session.state import State
from support.calls import Event


def stored(db: Path, session_id: str) -> tuple[State, list[Event]]:
    """The state and the log as of one moment, after a look at each against the other."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as reading:
        reading.execute("BEGIN")
        key, head, size, status, checkpoint = reading.execute(
            "SELECT session, head_seq, log_bytes, status, checkpoint FROM sessions WHERE session_id = ?", (session_id,)
        ).fetchone()
        frames = [
            frame for (frame,) in reading.execute("SELECT frame FROM events WHERE session = ? ORDER BY seq", (key,))
        ]
    events = [from_frame(frame) for frame in frames]
    folded = State()
    for event, frame in zip(events, frames, strict=True):
        apply(folded, event, len(frame))
    assert State.load(checkpoint) == folded, "the checkpoint is not what the log says"
    assert (head, size, status) == (folded.head, folded.log_bytes, folded.status), "the row is not what the log says"
    return folded, events


def check_conversation(events: Sequence[Event]) -> None:
    """What a model would be sent: the last summary, the turns that ran and that it does not cover, in the order in
    which they began, and after each answer with uses exactly its results."""
    items = rebuild(list(events), {}).items
    excluded = {event.turn for event in events if event.error.turn_excluded}
    begun = list(dict.fromkeys(event.turn for event in events if event.HasField("status_running")))
    summary = None
    for event in events:
        if event.HasField("agent_context_compacted"):
            summary = event.agent_context_compacted
    told = begun if summary is None else begun[begun.index(summary.last_turn) + 1 :]
    said = [_texts(item.content) for item in items if isinstance(item, Said)]
    expected = [_texts(said_of(events[turn - 1])) for turn in told if turn not in excluded]
    if summary is not None:
        first = expected.pop(0) if expected else [""]
        assert summary.summary in said[0][0], "the summary is not told"
        assert said.pop(0)[0].endswith(first[0]), "the message after the summary is not told"
    assert said == expected
    for number, item in enumerate(items):
        before = items[number - 1] if number else None
        after = items[number + 1] if number + 1 < len(items) else None
        if isinstance(item, Answered) and _uses(item) and after is not None:
            assert isinstance(after, Results), "an answer with uses is followed by something else than its results"
            assert [result.tool_use_id for result in after.results] == _uses(item)
        if isinstance(item, Results):
            assert isinstance(before, Answered), "results follow something else than an answer"


def _texts(content: Iterable[content_pb2.Content]) -> list[str]:
    return [block.text.text for block in content]


def _uses(answered: Answered) -> list[str]:
    uses = [
        event.agent_custom_tool_use.custom_tool_use_id or event.agent_tool_use.tool_use_id for event in answered.events
    ]
    return [use for use in uses if use]
