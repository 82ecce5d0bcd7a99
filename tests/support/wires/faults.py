"""How a streamed answer goes wrong. A fault makes, of the events of a whole answer, the steps that are sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Literal

from support.wires.server import Cut, Pause, Stall, Step
from support.wires.told import ErrorKind

if TYPE_CHECKING:
    from support.wires.vendor import Vendor


@dataclass(frozen=True)
class Event:
    """One server-sent event.

    `piece` carries a piece of the answer: of a text, a thought or an input. `frame` is what stands around them. `end`
    tells how the answer ended, and what comes after that.
    """

    data: bytes
    kind: Literal["frame", "piece", "end"] = "frame"


Fault = Callable[["Vendor", Sequence[Event]], tuple[Step, ...]]


def cut(after: int = 2) -> Fault:
    """The connection is reset after so many events."""
    return lambda vendor, events: (*_data(events[:after]), Cut())


def ends_early() -> Fault:
    """A clean end without a word on why the answer ended."""
    return lambda vendor, events: tuple(_data([event for event in events if event.kind != "end"]))


def half_a_call() -> Fault:
    """A clean end in the middle of a call's input, for an answer of one call; where calls come whole, of its event."""

    def halved(vendor: "Vendor", events: Sequence[Event]) -> tuple[Step, ...]:
        sent = _through_first_piece(events)
        if vendor.whole_calls:
            sent[-1] = sent[-1][: len(sent[-1]) // 2]
        return tuple(sent)

    return halved


def malformed() -> Fault:
    """After the first piece, an event that is no JSON; then the answer goes on."""

    def broken(vendor: "Vendor", events: Sequence[Event]) -> tuple[Step, ...]:
        sent = _through_first_piece(events)
        torn = events[len(sent) - 1].data
        return (*sent, torn.replace(b"{", b"{oops", 1), *_data(events[len(sent) :]))

    return broken


def error_in_stream(kind: ErrorKind = "overloaded") -> Fault:
    """After the first piece, the vendor's own word that it gives up."""
    return lambda vendor, events: (*_through_first_piece(events), *vendor.error_events(kind))


def fails_in_stream(kind: ErrorKind = "overloaded") -> Fault:
    """The same in the vendor's other words, where it has some."""
    return lambda vendor, events: (*_through_first_piece(events), *vendor.failed_events(kind))


def stalls_first() -> Fault:
    """Silence before the first piece of the answer, though its frame was begun."""
    return lambda vendor, events: (*_data(_frames(events)), Stall())


def stalls_between() -> Fault:
    """Silence after the first piece."""
    return lambda vendor, events: (*_through_first_piece(events), Stall())


def slow(seconds: float = 0.05) -> Fault:
    """So much time between the events."""

    def paused(vendor: "Vendor", events: Sequence[Event]) -> tuple[Step, ...]:
        return tuple(step for event in events for step in (Pause(seconds), event.data))

    return paused


def _data(events: Sequence[Event]) -> list[bytes]:
    return [event.data for event in events]


def _frames(events: Sequence[Event]) -> list[Event]:
    """Up to the first piece, without it."""
    return list(takewhile(lambda event: event.kind == "frame", events))


def _through_first_piece(events: Sequence[Event]) -> list[bytes]:
    return _data(events[: len(_frames(events)) + 1])
