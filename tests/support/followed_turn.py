"""A stream over one turn, as it was told."""

from typing import Any

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import stream_pb2
from support.server import Stub


class Followed:
    """One stream over a turn, read to its end."""

    def __init__(self, messages: list[pb.StreamEventsResponse]) -> None:
        self.events = [event for message in messages for event in message.batch.events]
        self.seqs = [event.seq for event in self.events]
        self.turns = [message.turn for message in messages if message.HasField("turn")]
        self.result = self.turns[-1].result if self.turns else None
        self.end = stream_pb2.StreamEndReason.Name(messages[-1].ended.reason).removeprefix("STREAM_END_REASON_")

    @property
    def why(self) -> str:
        assert self.result is not None
        return why(self.result)


def why(result: stream_pb2.TurnResult) -> str:
    return stream_pb2.TurnStopReason.Name(result.stop_reason).removeprefix("TURN_STOP_REASON_")


async def followed(stub: Stub, session_id: str, turn: int, from_seq: int | None = 0, **request: Any) -> Followed:
    asked = pb.StreamEventsRequest(session_id=session_id, turn=turn, from_seq=from_seq, **request)
    return Followed([reply async for reply in stub.StreamEvents(asked)])
