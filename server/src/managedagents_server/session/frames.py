"""From event to log row and back. A frame is an event as an element of EventBatch.events (field 1, length-delimited):
joined frames are a batch's wire bytes. See protobuf.dev/programming-guides/encoding."""

from google.protobuf.message import DecodeError

from managedagents.v1 import event_pb2
from managedagents_server.log import EventRow
from managedagents_server.words.errors import EventUnreadable

Event = event_pb2.SessionEvent

_TAG = b"\x0a"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def kind_of(event: Event) -> str:
    """The kind's name: the oneof field's, with the first `_` read as a dot."""
    return (event.WhichOneof("payload") or "").replace("_", ".", 1)


def to_row(event: Event, create_time: int, group: int) -> EventRow:
    wire = event.SerializeToString()
    frame = b"".join((_TAG, varint(len(wire)), wire))
    return EventRow(event.seq, kind_of(event), create_time, event.turn, group, frame)


def from_frame(frame: bytes) -> Event:
    """Raises DecodeError."""
    start = 2
    while frame[start - 1] & 0x80:
        start += 1
    return Event.FromString(frame[start:])


def from_row(row: EventRow) -> Event:
    """Raises EventUnreadable."""
    try:
        event = from_frame(row.frame)
    except (DecodeError, IndexError) as error:
        raise EventUnreadable.of(row.seq) from error
    if event.seq != row.seq:
        raise EventUnreadable.of(row.seq)
    return event
