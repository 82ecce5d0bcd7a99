"""Anthropic's Messages, as they are streamed."""

from collections.abc import Iterator, Sequence
from typing import Any

from managedagents.v1 import agent_pb2
from support.wires import anthropic_rules
from support.wires.faults import Event
from support.wires.server import Received, Reply
from support.wires.told import ERROR_KINDS, Answer, Call, Error, ErrorKind, Part, Say, Think, Usage
from support.wires.vendor import Invalid, Vendor, bearer, compact, failed, signature, texts, without

_STOP = {"end": "end_turn", "max_tokens": "max_tokens", "refusal": "refusal", "filtered": "refusal"}

_ERRORS: dict[ErrorKind, tuple[int, str, str]] = {
    "rate_limited": (
        429,
        "rate_limit_error",
        "This request would exceed the rate limit for your organization of 50 requests per minute.",
    ),
    "quota": (
        400,
        "invalid_request_error",
        (
            "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or "
            "purchase credits."
        ),
    ),
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "server_error": (500, "api_error", "Internal server error"),
    "authentication": (401, "authentication_error", "invalid x-api-key"),
    "permission": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "unknown_model": (404, "not_found_error", "model: {model}"),
    "context_too_long": (400, "invalid_request_error", "prompt is too long: 212001 tokens > 200000 maximum"),
    "content_rejected": (400, "invalid_request_error", "Output blocked by content filtering policy"),
    "bad_request": (400, "invalid_request_error", "temperature: range: 0..1"),
}
"""HTTP status, type, message."""


class Anthropic(Vendor):
    name = "anthropic"
    provider = agent_pb2.PROVIDER_ANTHROPIC
    model = "claude-haiku-4-5"
    path = ""
    kinds = frozenset(ERROR_KINDS)

    def events(self, answer: Answer, number: int) -> Sequence[Event]:
        return list(self._events(answer, number))

    def _events(self, answer: Answer, number: int) -> Iterator[Event]:
        usage = _usage(answer.usage)
        message: dict[str, Any] = {
            "id": f"msg_{number:024d}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**usage, "output_tokens": 1, "service_tier": "standard"},
        }
        yield _event("message_start", {"message": message})
        yield _event("ping", {})
        for index, part in enumerate(answer.parts):
            yield from _block(part, index, number)
        stop = "tool_use" if answer.calls and answer.stop == "end" else _STOP[answer.stop]
        ended: dict[str, Any] = {"stop_reason": stop, "stop_sequence": None}
        if stop == "refusal":
            ended["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
        yield Event(_sse("message_delta", {"delta": ended, "usage": usage}), "end")
        yield Event(_sse("message_stop", {}), "end")

    def failure(self, error: Error, received: Received) -> Reply:
        status, body = self._error(error.kind)
        if error.retry_after is None:
            return failed(status, body)
        return failed(status, body, retry_after=str(error.retry_after))

    def invalid(self, problem: Invalid) -> Reply:
        return failed(400, _error("invalid_request_error", problem.message))

    def error_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        _, body = self._error(kind)
        return (b"event: error\ndata: " + compact(body) + b"\n\n",)

    def check(self, received: Received) -> None:
        anthropic_rules.check(received)

    def key(self, received: Received) -> str:
        """In either of the headers that this interface takes."""
        return received.headers.get("x-api-key") or bearer(received)

    def system(self, received: Received) -> list[Any]:
        prompt = received.json.get("system", [])
        return [{"type": "text", "text": prompt}] if isinstance(prompt, str) else list(without(prompt, "cache_control"))

    def tools(self, received: Received) -> list[Any]:
        return list(without(received.json.get("tools", []), "cache_control"))

    def messages(self, received: Received) -> list[Any]:
        return [
            {"role": message["role"], "content": without(anthropic_rules.blocks(message), "cache_control")}
            for message in received.json["messages"]
        ]

    def signatures(self, received: Received) -> list[str]:
        blocks = (block for message in received.json["messages"] for block in anthropic_rules.blocks(message))
        return [block.get("signature") or block["data"] for block in blocks if block["type"] in anthropic_rules.THOUGHT]

    def tool_results(self, received: Received) -> list[str]:
        blocks = (block for message in received.json["messages"] for block in anthropic_rules.blocks(message))
        contents = (block.get("content", "") for block in blocks if block["type"] == "tool_result")
        return [content if isinstance(content, str) else texts(content) for content in contents]

    def _error(self, kind: ErrorKind) -> tuple[int, dict[str, Any]]:
        status, error_type, message = _ERRORS[kind]
        return status, _error(error_type, message.format(model=self.model))


def _block(part: Part, index: int, number: int) -> Iterator[Event]:
    match part:
        case Say(pieces):
            yield _start(index, {"type": "text", "text": ""})
            for piece in pieces:
                yield _delta(index, {"type": "text_delta", "text": piece})
        case Think(()):
            yield _start(
                index, {"type": "redacted_thinking", "data": signature("anthropic redacted", f"{number} {index}")}
            )
        case Think(pieces, text=text):
            yield _start(index, {"type": "thinking", "thinking": "", "signature": ""})
            for piece in pieces:
                yield _delta(index, {"type": "thinking_delta", "thinking": piece})
            signed = {"type": "signature_delta", "signature": signature("anthropic", text)}
            yield _event("content_block_delta", {"index": index, "delta": signed})
        case Call(name, fragments):
            tool_use = {"type": "tool_use", "id": f"toolu_{number:020d}{index:04d}", "name": name, "input": {}}
            yield _start(index, tool_use)
            yield _event(
                "content_block_delta", {"index": index, "delta": {"type": "input_json_delta", "partial_json": ""}}
            )
            for fragment in fragments:
                yield _delta(index, {"type": "input_json_delta", "partial_json": fragment})
    yield _event("content_block_stop", {"index": index})


def _start(index: int, block: dict[str, Any]) -> Event:
    return _event("content_block_start", {"index": index, "content_block": block})


def _delta(index: int, delta: dict[str, Any]) -> Event:
    return Event(_sse("content_block_delta", {"index": index, "delta": delta}), "piece")


def _event(name: str, data: dict[str, Any]) -> Event:
    return Event(_sse(name, data))


def _sse(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: ".encode() + compact({"type": name, **data}) + b"\n\n"


def _error(error_type: str, message: str) -> dict[str, Any]:
    error = {"type": error_type, "message": message}
    return {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input - usage.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }
