"""The checks of the promises find a stream that breaks them: a recorded one is spoiled, each time in one place."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from managedagents.v1 import event_pb2
from managedagents.v1 import service_pb2 as pb
from support import promises
from support.busy import Recording

Messages = list[pb.StreamEventsResponse]
Log = Sequence[event_pb2.SessionEvent]


def where(messages: Messages, wanted: Callable[[pb.StreamEventsResponse], bool]) -> int:
    return next(index for index, message in enumerate(messages) if wanted(message))


def many(message: pb.StreamEventsResponse) -> bool:
    """It holds a response of several events."""
    return sum(bool(event.response_id) for event in message.batch.events) > 1


def opened_twice(messages: Messages) -> None:
    messages.insert(3, messages[0])


def swapped(messages: Messages) -> None:
    events = messages[where(messages, many)].batch.events
    events[0].seq, events[1].seq = events[1].seq, events[0].seq


def repeated(messages: Messages) -> None:
    index = where(messages, many)
    messages.insert(index, messages[index])


def lost(messages: Messages) -> None:
    events = messages[where(messages, many)].batch.events
    del events[next(index for index, event in enumerate(events) if event.response_id)]


def changed(messages: Messages) -> None:
    messages[where(messages, many)].batch.events[0].turn += 1


def split(messages: Messages) -> None:
    index = where(messages, many)
    first, second = messages[index], pb.StreamEventsResponse()
    second.CopyFrom(first)
    middle = len(first.batch.events) // 2 + 1
    del first.batch.events[middle:]
    del second.batch.events[:middle]
    first.batch.through_seq = first.batch.events[-1].seq
    messages.insert(index + 1, second)


def told_too_early(messages: Messages) -> None:
    index = where(messages, many)
    progress = pb.StreamEventsResponse()
    progress.progress.through_seq = messages[index].batch.events[0].seq
    messages.insert(index, progress)


def logged_delta(messages: Messages) -> tuple[int, int]:
    """Where a part of a logged response begins to be told, in several pieces, and where the response comes."""
    for index, (message, following) in enumerate(pairwise(messages)):
        if not message.HasField("delta") or not following.delta.offset or message.delta.offset:
            continue
        for end, later in enumerate(messages):
            if any(event.response_id == message.delta.response_id for event in later.batch.events):
                return index, end
    raise AssertionError("no response was told piece by piece")


def delta_lost(messages: Messages) -> None:
    del messages[logged_delta(messages)[0]]


def delta_changed(messages: Messages) -> None:
    begin, _ = logged_delta(messages)
    delta = messages[begin].delta
    delta.text = "?" * len((delta.text or delta.thinking or delta.tool_input.input_json).encode())


def delta_late(messages: Messages) -> None:
    begin, end = logged_delta(messages)
    messages.insert(end + 1, messages[begin])


def framed(messages: Messages, _: Log) -> None:
    promises.framed(messages)


def ordered(messages: Messages, _: Log) -> None:
    promises.ordered(messages)


def unique(messages: Messages, _: Log) -> None:
    promises.unique(messages)


def reliable(messages: Messages, log: Log) -> None:
    promises.reliable(messages, log, 0)


def atomic(messages: Messages, log: Log) -> None:
    promises.atomic(messages, log, 0)


def resumable(messages: Messages, log: Log) -> None:
    promises.resumable([messages[:5], messages[5:]], log)


def bookmarkable(messages: Messages, _: Log) -> None:
    promises.bookmarkable(messages)


def deltas_end(messages: Messages, _: Log) -> None:
    promises.deltas_end(messages)


@pytest.mark.parametrize(
    ("spoil", "check"),
    [
        (opened_twice, framed),
        (swapped, ordered),
        (repeated, unique),
        (repeated, bookmarkable),
        (lost, reliable),
        (lost, atomic),
        (lost, resumable),
        (changed, reliable),
        (split, atomic),
        (told_too_early, bookmarkable),
        (delta_lost, deltas_end),
        (delta_changed, deltas_end),
        (delta_late, deltas_end),
    ],
)
def test_a_broken_promise_is_found(
    recording: Recording, spoil: Callable[[Messages], None], check: Callable[[Messages, Log], None]
) -> None:
    stream, whole = recording.of("slow")[0]
    messages = [pb.StreamEventsResponse.FromString(message.SerializeToString()) for message in stream.messages]
    check(messages, whole)
    spoil(messages)
    with pytest.raises(AssertionError):
        check(messages, whole)
