"""What a provider is told to do, in words that fit all of them: each vendor's module renders them as its own bytes.

answer(Think("let me"), Call("lookup", '{"z":', ' 1}'))
answer(Say("Hel", "lo"), stop="max_tokens", usage=Usage(output=9))
answer(Say("Hel", "lo"), fault=cut(after=3))
error("rate_limited", retry_after=2)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from support.wires.faults import Fault

Stop = Literal["end", "max_tokens", "refusal", "filtered"]
"""`end`: by itself, or with calls. `refusal`: what was said is the model's own refusal. `filtered`: a filter stepped in
after what was said."""

ErrorKind = Literal[
    "rate_limited",
    "quota",
    "overloaded",
    "server_error",
    "authentication",
    "permission",
    "unknown_model",
    "context_too_long",
    "content_rejected",
    "bad_request",
]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)


@dataclass(frozen=True)
class Say:
    """Text, in pieces as they are streamed."""

    pieces: tuple[str, ...]

    def __init__(self, *pieces: str) -> None:
        object.__setattr__(self, "pieces", pieces)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Think:
    """A thought, in pieces, signed where the vendor signs. Without pieces it is hidden: only its signature is sent."""

    pieces: tuple[str, ...]

    def __init__(self, *pieces: str) -> None:
        object.__setattr__(self, "pieces", pieces)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True)
class Call:
    """A tool call, its input in fragments of JSON. Some vendors send it whole."""

    name: str
    fragments: tuple[str, ...]

    def __init__(self, name: str, *fragments: str) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "fragments", fragments or ("{}",))

    @property
    def input_json(self) -> str:
        return "".join(self.fragments)


Part = Say | Think | Call


@dataclass(frozen=True)
class Usage:
    """As the log counts: `cached` is part of `input`, `reasoning` part of `output`."""

    input: int = 100
    output: int = 20
    cached: int = 64
    reasoning: int = 12


@dataclass(frozen=True)
class Answer:
    parts: tuple[Part, ...]
    stop: Stop = "end"
    usage: Usage = Usage()
    fault: "Fault | None" = None

    @property
    def calls(self) -> list[Call]:
        return [part for part in self.parts if isinstance(part, Call)]


@dataclass(frozen=True)
class Error:
    kind: ErrorKind
    retry_after: int | None = None
    """Seconds, in the vendor's own way to say it; a vendor that has none says nothing."""


Told = Answer | Error


def answer(*parts: Part, stop: Stop = "end", usage: Usage | None = None, fault: "Fault | None" = None) -> Answer:
    return Answer(parts, stop, usage or Usage(), fault)


def error(kind: ErrorKind, *, retry_after: int | None = None) -> Error:
    return Error(kind, retry_after)
