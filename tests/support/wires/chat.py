"""OpenAI's chat completions, event by event: for tests that tell a server each byte. compatible.py renders whole
scenarios.

    async with OpenAIWire(say("Hel", "lo")) as wire:
        ...
        assert wire.requests[0].json["model"] == "m"

The replies are used in the order of the requests; the last one repeats.
"""

import json
from collections.abc import Mapping
from typing import Any

from support.wires.server import Received, Reply, WireServer

USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def sse(data: object) -> bytes:
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def chunk(delta: Mapping[str, object], finish: str | None = None, *, model: str = "wire-1") -> bytes:
    return sse(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
    )


def usage(numbers: Mapping[str, object] = USAGE) -> bytes:
    return sse(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "wire-1",
            "choices": [],
            "usage": numbers,
        }
    )


DONE = sse(b"[DONE]")


def ending(finish: str = "stop", numbers: Mapping[str, object] | None = USAGE) -> tuple[bytes, ...]:
    return (chunk({}, finish), *([usage(numbers)] if numbers is not None else []), DONE)


def text(*pieces: str) -> tuple[bytes, ...]:
    return tuple(chunk({"content": piece}) for piece in pieces)


def thought(*pieces: str, name: str = "reasoning_content") -> tuple[bytes, ...]:
    return tuple(chunk({name: piece}) for piece in pieces)


def call(name: str, *fragments: str, call_id: str | None = "call_1", index: int = 0) -> tuple[bytes, ...]:
    """A tool call: first its name, then its input in fragments. None: the provider gives no id."""
    head = {"index": index, "type": "function", "function": {"name": name, "arguments": ""}}
    if call_id is not None:
        head["id"] = call_id
    return (
        chunk({"tool_calls": [head]}),
        *(chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}) for piece in fragments),
    )


def say(*pieces: str, finish: str = "stop", numbers: Mapping[str, object] | None = USAGE) -> Reply:
    """A whole answer of text."""
    return Reply((*text(*pieces), *ending(finish, numbers)))


def use(name: str, *fragments: str, call_id: str | None = "call_1") -> Reply:
    """A whole answer of one tool call."""
    return Reply((*call(name, *fragments, call_id=call_id), *ending("tool_calls")))


def refuse(status: int, message: str = "no", *, kind: str | None = None, code: object = None, **headers: str) -> Reply:
    """An error in OpenAI's form. Headers are named with underscores: `retry_after="2"`."""
    body = json.dumps({"error": {"message": message, "type": kind, "code": code, "param": None}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply((body,), status, {"content-type": "application/json", **named})


def sent(received: Received) -> list[dict[str, Any]]:
    """The messages of a request."""
    messages: list[dict[str, Any]] = received.json["messages"]
    return messages


class OpenAIWire(WireServer):
    def __init__(self, *replies: Reply) -> None:
        super().__init__("/v1")
        self.replies: list[Reply] = list(replies) or [say("ok")]

    def reply(self, received: Received) -> Reply:
        return self.replies[min(len(self.requests), len(self.replies)) - 1]
