"""What the fakes of all vendors have in common."""

import base64
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from managedagents.v1 import agent_pb2
from support.wires.faults import Event
from support.wires.server import JSON, Received, Reply
from support.wires.told import Answer, Error, ErrorKind, Told

CREATED = 1_795_000_000
"""When all answers were made, in Unix seconds."""


class Invalid(Exception):
    """A request that the vendor refuses, in the vendor's words."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Vendor(ABC):
    """How one vendor's interface looks from outside."""

    name: str
    """As in the server's log."""
    provider: agent_pb2.Provider.ValueType
    model: str
    """A name as the vendor gives them."""
    path: str
    """The path of the base URL."""
    whole_calls = False
    """A call comes in one event."""
    signs = True
    """Answers carry something that must go back unchanged."""
    refuses = True
    """An answer can say that it is a refusal."""
    kinds: frozenset[ErrorKind]
    """The errors that it has."""

    def __repr__(self) -> str:
        return self.name

    def reply(self, told: Told, number: int, received: Received) -> Reply:
        """`number` is that of the answer on this wire, for the ids in it."""
        if isinstance(told, Error):
            return self.failure(told, received)
        events = self.events(told, number)
        if told.fault is None:
            return Reply(tuple(event.data for event in events))
        return Reply(told.fault(self, events))

    @abstractmethod
    def events(self, answer: Answer, number: int) -> Sequence[Event]:
        """A whole answer."""

    @abstractmethod
    def failure(self, error: Error, received: Received) -> Reply:
        """An error instead of an answer."""

    @abstractmethod
    def invalid(self, problem: Invalid) -> Reply:
        """The answer to a request that breaks the vendor's rules."""

    @abstractmethod
    def error_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        """An error in the middle of an answer."""

    def failed_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        """The same, where the vendor has a second way to say it."""
        return self.error_events(kind)

    @abstractmethod
    def check(self, received: Received) -> None:
        """Raises Invalid for a request that the vendor would refuse."""

    @abstractmethod
    def key(self, received: Received) -> str:
        """The key that it was sent with. Empty: none."""

    @abstractmethod
    def system(self, received: Received) -> list[Any]: ...

    @abstractmethod
    def tools(self, received: Received) -> list[Any]: ...

    @abstractmethod
    def messages(self, received: Received) -> list[Any]:
        """The conversation without the system prompt, cache marks taken out."""

    @abstractmethod
    def signatures(self, received: Received) -> list[str]:
        """What the vendor signed or encrypted, and gets back, in order."""

    @abstractmethod
    def tool_results(self, received: Received) -> list[str]:
        """The results of all calls as the model reads them, in order."""


def require(condition: object, message: str, param: str | None = None) -> None:
    if not condition:
        raise Invalid(message, param)


def parsed(received: Received) -> dict[str, Any]:
    """The body of a request, which must be a JSON object."""
    try:
        body = received.json
    except ValueError as error:
        raise Invalid("We could not parse the JSON body of your request.") from error
    require(isinstance(body, dict), "We could not parse the JSON body of your request.")
    assert isinstance(body, dict)
    return body


def bearer(received: Received) -> str:
    return received.headers.get("authorization", "").removeprefix("Bearer ")


def compact(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def failed(status: int, body: object, **headers: str) -> Reply:
    """An error as JSON. Headers are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((compact(body),), status, {**JSON, **named})


def signature(vendor: str, about: str) -> str:
    """What this fake gives as signed; nobody else can make it by chance, and the same text gives the same."""
    return base64.b64encode(f"{vendor} ".encode() + hashlib.sha256(about.encode()).digest()).decode()


def without(data: Any, *names: str) -> Any:
    """JSON without the members of these names, at any depth."""
    match data:
        case dict():
            return {name: without(value, *names) for name, value in data.items() if name not in names}
        case list():
            return [without(value, *names) for value in data]
        case _:
            return data


def texts(blocks: Iterable[Any]) -> str:
    """The texts of content blocks, joined; of a block without one, its type."""
    return "".join(str(block.get("text", f"[{block.get('type')}]")) for block in blocks)
