"""What every stream promises, each as a check over the messages that one follower got of one stream, in their order.

A broken promise is an AssertionError that says where. `log` is the session's whole log, as it was read later.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from managedagents.v1 import event_pb2, stream_pb2
from managedagents.v1 import service_pb2 as pb

Messages = Sequence[pb.StreamEventsResponse]
Log = Sequence[event_pb2.SessionEvent]
Key = tuple[str, int]
"""A model response in the making: its id and the attempt."""


def batches(messages: Messages) -> list[stream_pb2.EventBatch]:
    return [message.batch for message in messages if message.HasField("batch")]


def events(messages: Messages) -> list[event_pb2.SessionEvent]:
    return [event for batch in batches(messages) for event in batch.events]


def seqs(messages: Messages) -> list[int]:
    return [event.seq for event in events(messages)]


def framed(messages: Messages) -> None:
    """`opened` comes first and once, `caught_up` at most once, nothing after `ended`."""
    names = [message.WhichOneof("message") for message in messages]
    assert names[:1] == ["opened"], f"the stream began with {names[:1]}"
    assert names.count("opened") == 1, "opened came again"
    assert names.count("caught_up") <= 1, "caught_up came again"
    assert "ended" not in names[:-1], "something came after ended"


def ordered(messages: Messages) -> None:
    """seq rises, whatever is filtered."""
    for before, after in pairwise(seqs(messages)):
        assert before < after, f"seq {after} came after {before}"


def unique(messages: Messages) -> None:
    """No event twice."""
    got = seqs(messages)
    assert len(set(got)) == len(got), f"came twice: {sorted({seq for seq in got if got.count(seq) > 1})}"


def reliable(messages: Messages, log: Log, from_seq: int, kinds: Iterable[str] = ()) -> None:
    """Up to the last seq that the stream told of, it gave every event after `from_seq` that passes the filter,
    exactly as it is logged."""
    fields = {kind.replace(".", "_", 1) for kind in kinds}
    last = through(messages, from_seq)
    wanted = [
        event for event in log if from_seq < event.seq <= last and (not fields or event.WhichOneof("payload") in fields)
    ]
    got = events(messages)
    holes = sorted({event.seq for event in wanted} - {event.seq for event in got})
    assert not holes, f"missing after {from_seq}, though {last} was told of: {holes}"
    assert got == wanted, "an event is not as it was logged"


def atomic(messages: Messages, log: Log, from_seq: int) -> None:
    """What one model response produced came in one message: all of it that is after `from_seq`."""
    whole: dict[str, set[int]] = {}
    for event in log:
        if event.response_id and event.seq > from_seq:
            whole.setdefault(event.response_id, set()).add(event.seq)
    for batch in batches(messages):
        here: dict[str, set[int]] = {}
        for event in batch.events:
            if event.response_id:
                here.setdefault(event.response_id, set()).add(event.seq)
        for response, got in here.items():
            assert got == whole[response], f"{response} is {sorted(whole[response])}; a message had {sorted(got)}"


def resumable(streams: Sequence[Messages], log: Log) -> None:
    """Streams that were each opened with the last seq of the one before add up to the log."""
    got = [event for messages in streams for event in events(messages)]
    assert [event.seq for event in got] == list(range(1, len(got) + 1)), "the streams do not add up"
    assert got == list(log[: len(got)]), "the streams add up to another log"


def bookmarkable(messages: Messages) -> None:
    """Nothing at or below a seq that the stream gave as delivered or filtered follows; and it never goes back."""
    bookmark = 0
    for message in messages:
        for event in message.batch.events:
            assert event.seq > bookmark, f"seq {event.seq} came after the bookmark {bookmark}"
        told = _told(message)
        if told is None:
            continue
        assert told >= bookmark, f"the bookmark went back from {bookmark} to {told}"
        if message.HasField("batch") and message.batch.events:
            assert message.batch.events[-1].seq <= told, "a batch reaches beyond its through_seq"
        bookmark = told


def through(messages: Messages, from_seq: int) -> int:
    """The last seq up to which the stream said that everything was delivered or filtered."""
    return max((told for message in messages if (told := _told(message)) is not None), default=from_seq)


def _told(message: pb.StreamEventsResponse) -> int | None:
    match message.WhichOneof("message"):
        case "batch":
            return message.batch.through_seq
        case "caught_up":
            return message.caught_up.head_seq
        case "progress":
            return message.progress.through_seq
        case "ended":
            return message.ended.last_seq
        case _:
            return None


def deltas_end(messages: Messages) -> None:
    """The deltas of each response are a contiguous prefix of its parts, and end with its events or delta_discarded."""
    open_: dict[Key, list[bytes]] = {}
    over: set[Key] = set()
    for message in messages:
        match message.WhichOneof("message"):
            case "delta":
                delta = message.delta
                key = (delta.response_id, delta.attempt)
                assert key not in over, f"a delta of {key} came after its end"
                assert not open_.keys() - {key}, f"a delta of {key} came before the end of {list(open_)}"
                _extend(open_.setdefault(key, []), delta)
            case "delta_discarded":
                key = (message.delta_discarded.response_id, message.delta_discarded.attempt)
                assert key in open_, f"{key} was discarded, and nothing of it was sent"
                # The same request may be made again, say because its answer could not be written: from the beginning.
                del open_[key]
            case "batch":
                for key, parts in _responses(message.batch).items():
                    _is_prefix(open_.pop(key, []), parts)
                    over.add(key)
    ended = messages[-1].HasField("ended") and messages[-1].ended.final
    assert not (ended and open_), f"nothing ended {list(open_)}"


def _extend(parts: list[bytes], delta: stream_pb2.StreamDelta) -> None:
    match delta.WhichOneof("piece"):
        case "text":
            piece = delta.text
        case "thinking":
            piece = delta.thinking
        case _:
            piece = delta.tool_input.input_json
    if delta.part == len(parts):
        parts.append(b"")
    assert delta.part == len(parts) - 1, f"part {delta.part} came when {len(parts)} parts had begun"
    assert delta.offset == len(parts[-1]), f"a piece at {delta.offset} came when there were {len(parts[-1])} bytes"
    parts[-1] += piece.encode()


def _is_prefix(got: Sequence[bytes], parts: Sequence[bytes]) -> None:
    assert len(got) <= len(parts), f"deltas of {len(got)} parts came, and the response has {len(parts)}"
    for number, (prefix, whole) in enumerate(zip(got, parts, strict=False)):
        assert whole.startswith(prefix), f"part {number} is {whole!r}; its deltas are {prefix!r}"
        assert number == len(got) - 1 or prefix == whole, f"part {number + 1} began before part {number} was whole"


def _responses(batch: stream_pb2.EventBatch) -> dict[Key, list[bytes]]:
    """The parts of each response that is in the batch."""
    parts: dict[str, list[bytes]] = {}
    attempts: dict[str, int] = {}
    for event in batch.events:
        if not event.response_id:
            continue
        attempts.setdefault(event.response_id, event.response.attempt)
        of = parts.setdefault(event.response_id, [])
        match event.WhichOneof("payload"):
            case "agent_thinking":
                of.append(event.agent_thinking.text.encode())
            case "agent_message":
                of += [block.text.text.encode() for block in event.agent_message.content]
            case "agent_custom_tool_use":
                of.append(event.agent_custom_tool_use.input_json.encode())
            case "agent_tool_use":
                of.append(event.agent_tool_use.input_json.encode())
    return {(response, attempts[response]): of for response, of in parts.items()}
