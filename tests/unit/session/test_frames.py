"""A frame is an event's wire bytes as an element of a batch: joined they are the batch."""

import pytest

from managedagents.v1 import agent_event_pb2, stream_pb2
from managedagents_server.session import events
from managedagents_server.session.frames import Event, from_frame, from_row, kind_of, to_row, varint
from managedagents_server.words.errors import EventUnreadable

# Around the places where the length takes one more byte.
SIZES = [0, 1, 100, 127, 128, 129, 16_382, 16_383, 16_384, 16_385, 2_097_151, 2_097_152, 2_097_153]


def of_size(size: int) -> Event:
    """An event of so many bytes, as near as it can be made."""
    event = Event(seq=1, turn=1, agent_message=agent_event_pb2.AgentMessage(content=[events.text("")]))
    while event.ByteSize() < size:
        event.agent_message.content[0].text.text += "x" * max(1, size - event.ByteSize() - 12)
    return event


@pytest.mark.parametrize("size", SIZES)
def test_an_event_of_any_size_comes_back(size: int) -> None:
    event = of_size(size)
    assert event.ByteSize() >= size
    row = to_row(event, 7, 1)
    assert from_frame(row.frame) == event
    assert from_row(row) == event


@pytest.mark.parametrize("size", SIZES)
def test_joined_frames_are_the_batch_that_protobuf_would_write(size: int) -> None:
    batch = stream_pb2.EventBatch(events=[of_size(size), of_size(3), of_size(size)])
    assert b"".join(to_row(event, 7, 1).frame for event in batch.events) == batch.SerializeToString()


@pytest.mark.parametrize("number", [1, 127, 128, 300, 16_383, 16_384, 2**32, 2**64 - 1])
def test_a_varint_is_what_protobuf_makes_of_the_number(number: int) -> None:
    assert b"\x10" + varint(number) == stream_pb2.EventBatch(through_seq=number).SerializeToString()


def test_a_row_says_beside_the_frame_what_filters_and_people_need() -> None:
    event = Event(seq=7, turn=5, agent_custom_tool_use=agent_event_pb2.AgentCustomToolUse(name="a"))
    row = to_row(event, 1234, 6)
    assert (row.seq, row.kind, row.create_time, row.turn, row.group) == (7, "agent.custom_tool_use", 1234, 5, 6)


def test_every_kind_is_its_field_s_name_with_the_first_underscore_read_as_a_dot() -> None:
    kinds = {}
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields:
        event = Event()
        getattr(event, field.name).SetInParent()
        kinds[field.name] = kind_of(event)
    assert kinds["agent_mcp_tool_use"] == "agent.mcp_tool_use"
    assert kinds["error"] == "error"
    assert all(kind.replace(".", "_") == name and kind.count(".") <= 1 for name, kind in kinds.items())


def test_an_event_without_a_payload_that_we_know_has_no_kind() -> None:
    assert kind_of(Event(seq=1)) == ""


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x0a",
        b"\x0a\x85",
        b"\x0a\x02\xff\xff",
        to_row(of_size(50), 0, 1).frame[:-3],
        to_row(Event(seq=2), 0, 1).frame,
    ],
    ids=["empty", "no length", "half a length", "no message", "cut off", "another seq"],
)
def test_a_frame_that_is_damaged_is_told_by_its_seq(frame: bytes) -> None:
    damaged = to_row(Event(seq=1), 0, 1)._replace(frame=frame)
    with pytest.raises(EventUnreadable) as caught:
        from_row(damaged)
    assert "1" in caught.value.message
