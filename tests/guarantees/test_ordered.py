"""Ordered: seq rises; by one where nothing is filtered."""

from support import promises
from support.busy import MANNERS, Recording


def test_seq_rises_for_every_follower(recording: Recording) -> None:
    for stream, _ in recording.of(*MANNERS):
        promises.framed(stream.messages)
        promises.ordered(stream.messages)


def test_seq_rises_by_one_where_nothing_is_filtered(recording: Recording) -> None:
    for stream, _ in recording.of("prompt", "slow", "resuming", "jumping"):
        seqs = promises.seqs(stream.messages)
        assert seqs == list(range(stream.from_seq + 1, stream.from_seq + 1 + len(seqs)))


def test_the_log_itself_begins_at_one_and_has_no_gap(recording: Recording) -> None:
    for log in recording.logs.values():
        assert [event.seq for event in log] == list(range(1, len(log) + 1))


def test_the_recording_has_what_it_is_meant_to_have(recording: Recording) -> None:
    """Else the promises would be kept by nothing having happened."""
    seen = {event.WhichOneof("payload") for log in recording.logs.values() for event in log}
    assert seen >= {
        "user_message",
        "user_interrupt",
        "user_custom_tool_result",
        "agent_message",
        "agent_thinking",
        "agent_custom_tool_use",
        "agent_tool_result",
        "status_running",
        "status_idle",
        "status_rescheduling",
        "status_paused",
        "status_resumed",
        "status_archived",
    }
    assert all(len(followed.streams) > 3 for followed in recording.followed if followed.manner == "resuming")
    messages = [message for stream, _ in recording.of("slow", "resuming") for message in stream.messages]
    assert {message.WhichOneof("message") for message in messages} >= {"delta", "delta_discarded", "caught_up", "ended"}
