"""Ollama's /v1/chat/completions, as its server writes it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from managedagents.v1 import agent_pb2
from support.wires.chat_rules import ChatVendor
from support.wires.faults import Event
from support.wires.server import Received, Reply
from support.wires.told import ERROR_KINDS, Answer, Call, Error, ErrorKind, Say, Think
from support.wires.vendor import CREATED, Invalid, failed, parsed, require

_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "ultra", "max"})

_ERRORS: dict[ErrorKind, tuple[int, str]] = {
    # Of its cloud; the same status and the same type for an hour's limit and for a week's.
    "rate_limited": (429, "you've reached your hourly usage limit, please wait or upgrade to continue"),
    "overloaded": (503, "server busy, please try again.  maximum pending requests exceeded"),
    "server_error": (500, "llama runner process has terminated: exit status 2"),
    "authentication": (401, "unauthorized"),
    "permission": (403, "this model requires a subscription, upgrade for access: https://ollama.com/upgrade"),
    "unknown_model": (404, 'model "{model}" not found, try pulling it first'),
    "context_too_long": (400, "the input length exceeds the context length"),
    "content_rejected": (400, "invalid image input"),
    "bad_request": (400, '"{model}" does not support tools'),
}

_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


class Ollama(ChatVendor):
    name = "ollama"
    provider = agent_pb2.PROVIDER_OLLAMA
    model = "qwen3:8b"
    whole_calls = True
    refuses = False
    kinds = frozenset(ERROR_KINDS) - {"quota"}

    def events(self, answer: Answer, number: int) -> Sequence[Event]:
        return list(self._events(answer, number))

    def _events(self, answer: Answer, number: int) -> Iterator[Event]:
        index = 0
        role: dict[str, Any] = {"role": "assistant"}
        for part in answer.parts:
            deltas: list[dict[str, Any]]
            match part:
                case Say(pieces):
                    deltas = [{"content": piece} for piece in pieces]
                case Think(pieces):
                    deltas = [{"content": "", "reasoning": piece} for piece in pieces]
                case Call():
                    deltas = [{"content": "", "tool_calls": [_call(part, f"call_{number:04d}{index:04d}", index)]}]
                    index += 1
            for delta in deltas:
                yield Event(self._chunk(number, {**role, **delta}), "piece")
                role = {}
        if role:
            yield Event(self._chunk(number, {**role, "content": ""}))
        stop = "tool_calls" if index else "stop"
        yield Event(self._chunk(number, {}, "length" if answer.stop == "max_tokens" else stop), "end")
        numbers = {
            "prompt_tokens": answer.usage.input,
            "completion_tokens": answer.usage.output,
            "total_tokens": answer.usage.input + answer.usage.output,
        }
        yield Event(_sse({**self._envelope(number), "choices": [], "usage": numbers}), "end")
        yield Event(b"data: [DONE]\n\n", "end")

    def failure(self, error: Error, received: Received) -> Reply:
        status, message = _ERRORS[error.kind]
        body = _error(status, message.format(model=self.model))
        if error.retry_after is None:
            return failed(status, body)
        return failed(status, body, retry_after=str(error.retry_after))

    def invalid(self, problem: Invalid) -> Reply:
        return failed(400, _error(400, problem.message))

    def error_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        # What its runner says is lost on the way: an empty chunk, and the stream ends.
        return (self._chunk(0, {"content": ""}),)

    def check(self, received: Received) -> None:
        """Stricter than Ollama, which takes calls without results: no model makes sense of them."""
        super().check(received)
        body = parsed(received)
        effort = body.get("reasoning_effort")
        require(effort is None or effort in _EFFORTS, f'invalid reasoning value: "{effort}"')
        for message in body["messages"]:
            for part in message["content"] if isinstance(message.get("content"), list) else []:
                require(part["type"] in ("text", "image_url", "input_audio"), "invalid message format")

    def _envelope(self, number: int) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "system_fingerprint": "fp_ollama",
        }

    def _chunk(self, number: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _sse({**self._envelope(number), "choices": [choice]})


def _call(call: Call, call_id: str, index: int) -> dict[str, Any]:
    arguments = json.dumps(json.loads(call.input_json), ensure_ascii=False, separators=(",", ":"))
    return {
        "id": call_id,
        "index": index,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": _TYPES.get(status, "api_error"), "param": None, "code": None}}


def _sse(data: object) -> bytes:
    """As Go writes JSON: nothing that a page could take for markup."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"data: {text}\n\n".encode()
