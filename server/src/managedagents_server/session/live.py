"""A model response in the making. Never logged; followers that ask for deltas read it by a cursor."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from managedagents.v1 import stream_pb2
from managedagents_server.providers.base import Delta


class LiveEnd(Enum):
    LOGGED = 1
    """Its events are in the log."""
    DISCARDED = 2


@dataclass(slots=True)
class _Part:
    kind: str
    name: str
    text: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class LiveCursor:
    """How far a follower has read one response: the part, and the bytes of it."""

    part: int = 0
    offset: int = 0


class LiveResponse:
    """One attempt at one response."""

    def __init__(self, response_id: str, attempt: int) -> None:
        self.response_id = response_id
        self.attempt = attempt
        self.end: LiveEnd | None = None
        self.closed = False
        """The answer is whole and on its way to the log: nothing more of it is told before its events."""
        self._parts: list[_Part] = []

    def add(self, delta: Delta) -> None:
        while len(self._parts) <= delta.part:
            self._parts.append(_Part(delta.kind, delta.name))
        self._parts[delta.part].text += delta.piece.encode()

    def after(self, cursor: LiveCursor) -> Iterator[stream_pb2.StreamDelta]:
        """What the cursor has not read yet, one piece a part; moves it on."""
        while not self.closed and cursor.part < len(self._parts):
            part = self._parts[cursor.part]
            piece = bytes(part.text[cursor.offset :])
            if piece:
                # It may have grown by the time that this piece is sent: look again before the next part.
                yield self._delta(part, cursor, piece.decode())
                cursor.offset += len(piece)
            elif cursor.part == len(self._parts) - 1:
                return
            else:
                cursor.part += 1
                cursor.offset = 0

    def _delta(self, part: _Part, cursor: LiveCursor, piece: str) -> stream_pb2.StreamDelta:
        delta = stream_pb2.StreamDelta(
            response_id=self.response_id, attempt=self.attempt, part=cursor.part, offset=cursor.offset
        )
        match part.kind:
            case "text":
                delta.text = piece
            case "thinking":
                delta.thinking = piece
            case _:
                delta.tool_input.name = part.name
                delta.tool_input.input_json = piece
        return delta
