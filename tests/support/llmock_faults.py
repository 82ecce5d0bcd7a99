"""Every fault that llmock knows, and what a session makes of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from managedagents.v1 import status_event_pb2 as codes
from support.llmock import Behavior, LLMock, Route
from support.mocked import WEATHER, Turn, agent, first_turn
from support.server import Stub

REPLY = "one two three four five six seven eight"
"""What the model says in the end: long enough to be broken in its middle."""
QUESTION = "What is the weather in Paris?"
CITY = "Paris, under a November sky"
"""What a tool is called with, long enough for that, too."""


@dataclass(frozen=True, slots=True)
class Fault:
    name: str
    behavior: Behavior
    """What one request meets."""
    code: codes.ErrorCode.ValueType = codes.ERROR_CODE_UNSPECIFIED
    """What the log calls it. UNSPECIFIED: nothing."""
    retry_after: float = 0.0
    """Seconds that the provider asks for."""
    calls: bool = False
    """The model calls a tool before it says anything."""
    not_on: frozenset[str] = frozenset()
    """Routes on which it cannot happen."""

    def __str__(self) -> str:
        return self.name


_WHOLE_CALLS = frozenset({"gemini"})
"""Where a call comes in one chunk, its input as JSON and not as text: half a call cannot be told from a whole one."""
_OTHER_WORDS = frozenset({"gemini"})
"""Where llmock sends these statuses, which Gemini has not, with the words of another failure; and words say more."""

_PASSING = {
    408: codes.ERROR_CODE_MODEL_TIMEOUT,
    409: codes.ERROR_CODE_MODEL_UNAVAILABLE,
    429: codes.ERROR_CODE_MODEL_RATE_LIMITED,
    500: codes.ERROR_CODE_MODEL_UNAVAILABLE,
    501: codes.ERROR_CODE_MODEL_UNAVAILABLE,
    502: codes.ERROR_CODE_MODEL_UNAVAILABLE,
    503: codes.ERROR_CODE_MODEL_UNAVAILABLE,
    504: codes.ERROR_CODE_MODEL_UNAVAILABLE,
    520: codes.ERROR_CODE_MODEL_UNAVAILABLE,
    529: codes.ERROR_CODE_MODEL_UNAVAILABLE,
}
_STAYING = {
    400: codes.ERROR_CODE_MODEL_REJECTED,
    401: codes.ERROR_CODE_MODEL_AUTHENTICATION,
    402: codes.ERROR_CODE_MODEL_QUOTA,
    403: codes.ERROR_CODE_MODEL_AUTHENTICATION,
    404: codes.ERROR_CODE_MODEL_NOT_FOUND,
    413: codes.ERROR_CODE_MODEL_CONTEXT_TOO_LONG,
    418: codes.ERROR_CODE_MODEL_REJECTED,
    422: codes.ERROR_CODE_MODEL_REJECTED,
}
_ASKED_FOR = {429: 1.0, 503: 1.0, 504: 1.0, 529: 1.0}
"""llmock's Retry-After where none is named."""


def statuses_that_pass() -> Iterator[Fault]:
    for status, code in _PASSING.items():
        yield Fault(f"HTTP {status}", {"type": "fail", "status": status}, code, _ASKED_FOR.get(status, 0.0))
    limited: Behavior = {"type": "fail", "status": 429, "retry_after": 2}
    yield Fault("HTTP 429, Retry-After 2", limited, codes.ERROR_CODE_MODEL_RATE_LIMITED, 2.0)


def statuses_that_stay() -> Iterator[Fault]:
    for status, code in _STAYING.items():
        not_on = _OTHER_WORDS if status in (402, 413) else frozenset()
        yield Fault(f"HTTP {status}", {"type": "fail", "status": status}, code, not_on=not_on)


def broken_streams() -> Iterator[Fault]:
    """Before the first chunk, when the answer has begun, and when words of it were told."""
    code = codes.ERROR_CODE_MODEL_BROKEN_STREAM
    yield Fault("disconnect at chunk 0", _broken("disconnect", 0), codes.ERROR_CODE_MODEL_CONNECTION)
    yield Fault("disconnect at chunk 1", _broken("disconnect", 1), code)
    yield Fault("disconnect at chunk 4", _broken("disconnect", 4), code)
    for chunk in (0, 1, 4):
        yield Fault(f"truncate at chunk {chunk}", _broken("truncate", chunk), code)


def malformed_streams() -> Iterator[Fault]:
    for chunk in (0, 1, 4):
        fault = _broken("malformed", chunk)
        yield Fault(f"malformed at chunk {chunk}", fault, codes.ERROR_CODE_MODEL_BROKEN_STREAM)


def broken_calls() -> Iterator[Fault]:
    code = codes.ERROR_CODE_MODEL_BROKEN_STREAM
    for kind in ("disconnect", "truncate"):
        yield Fault(f"{kind} in a call", _broken(kind, 4), code, calls=True, not_on=_WHOLE_CALLS)
    cut: Behavior = {"type": "tool_fault", "kind": "malformed_arguments"}
    yield Fault("malformed arguments", cut, code, calls=True, not_on=_WHOLE_CALLS)


def unknown_tool() -> Iterator[Fault]:
    yield Fault("unknown tool", {"type": "tool_fault", "kind": "unknown_tool"}, calls=True)


def silences(seconds: float) -> Iterator[Fault]:
    """Of the model, in every place."""
    code = codes.ERROR_CODE_MODEL_TIMEOUT
    yield Fault("delay", {"type": "delay", "seconds": seconds}, code)
    yield Fault("slow first token", {"type": "slow_first_token", "seconds": seconds}, code)
    yield Fault("stall", {**_broken("stall", 4), "stall_seconds": seconds}, code)


def _broken(kind: str, chunk: int) -> Behavior:
    return {"type": "stream_fault", "kind": kind, "after_chunks": chunk}


async def meet(stub: Stub, mock: LLMock, route: Route, fault: Fault) -> Turn:
    """The first turn of a new session, whose first request meets the fault. Routes may be at it at the same time."""
    match = {"path": route.path}
    replies: list[Behavior] = [{"type": "reply", "text": REPLY, "times": None, "match": match}]
    if fault.calls:
        call = {"name": WEATHER.custom.name, "arguments": {"city": CITY}}
        # Once with the fault, once without.
        replies.insert(0, {"type": "reply", "tool_calls": [call], "times": 2, "match": match})
    await mock.next({**fault.behavior, "match": match}, *replies)
    tools = [WEATHER] if fault.calls else []
    return await first_turn(stub, agent(route.provider, mock.url + route.base, "m-1", tools=tools), QUESTION)
