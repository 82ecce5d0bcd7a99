"""Messages of a stream, as a service sends them."""

from managedagents.v1 import agent_event_pb2, event_pb2, stream_pb2
from managedagents.v1 import service_pb2 as pb

Response = pb.StreamEventsResponse


def opened(head: int = 9) -> Response:
    return Response(opened=stream_pb2.StreamOpened(head_seq=head, log_id="log_1"))


def batch(first: int, last: int, response_id: str = "") -> Response:
    said = agent_event_pb2.AgentMessage()
    events = [
        event_pb2.SessionEvent(seq=seq, response_id=response_id, agent_message=said) for seq in range(first, last + 1)
    ]
    return Response(batch=stream_pb2.EventBatch(events=events, through_seq=last))


def progress(seq: int) -> Response:
    return Response(progress=stream_pb2.StreamProgress(through_seq=seq))


def delta(text: str, offset: int) -> Response:
    return Response(delta=stream_pb2.StreamDelta(response_id="rsp_1", attempt=1, offset=offset, text=text))


def ended(
    last: int,
    *,
    final: bool = True,
    reason: stream_pb2.StreamEndReason.ValueType = stream_pb2.STREAM_END_REASON_ARCHIVED,
) -> Response:
    """`final`: False is a server that is shutting down."""
    reason = reason if final else stream_pb2.STREAM_END_REASON_DRAINING
    return Response(ended=stream_pb2.StreamEnded(reason=reason, last_seq=last, final=final))
