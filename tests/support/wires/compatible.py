"""A server that speaks OpenAI's chat completions, as DeepSeek, vLLM and many others send them."""

from collections.abc import Iterator, Sequence
from typing import Any

from managedagents.v1 import agent_pb2
from support.wires.chat_rules import ChatVendor
from support.wires.faults import Event
from support.wires.server import Received, Reply
from support.wires.told import ERROR_KINDS, Answer, Call, Error, ErrorKind, Say, Think
from support.wires.vendor import CREATED, Invalid, compact, failed

_FINISH = {"end": "stop", "max_tokens": "length", "refusal": "stop", "filtered": "content_filter"}

_ERRORS: dict[ErrorKind, tuple[int, str, str | None, str]] = {
    "rate_limited": (429, "rate_limit_error", "rate_limit_exceeded", "Rate limit reached, please slow down."),
    "quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "overloaded": (503, "service_unavailable_error", None, "The server is overloaded or not ready yet."),
    "server_error": (500, "server_error", None, "The server had an error while processing your request."),
    # As some such servers do: the whole key comes back.
    "authentication": (401, "authentication_error", "invalid_api_key", "Incorrect API key provided: {key}"),
    "permission": (403, "permission_error", None, "Your key may not use this model."),
    "unknown_model": (404, "invalid_request_error", "model_not_found", "The model `{model}` does not exist."),
    "context_too_long": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        (
            "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens. Please reduce "
            "the length of the messages."
        ),
    ),
    "content_rejected": (400, "invalid_request_error", "content_filter", "The content was rejected."),
    "bad_request": (400, "invalid_request_error", None, "temperature must be at most 2."),
}
"""HTTP status, type, code, message."""


class Compatible(ChatVendor):
    name = "openai-compatible"
    provider = agent_pb2.PROVIDER_OPENAI_COMPATIBLE
    model = "deepseek-reasoner"
    kinds = frozenset(ERROR_KINDS)

    def events(self, answer: Answer, number: int) -> Sequence[Event]:
        return list(self._events(answer, number))

    def _events(self, answer: Answer, number: int) -> Iterator[Event]:
        yield Event(self._chunk(number, {"role": "assistant", "content": ""}))
        index = 0
        for part in answer.parts:
            match part:
                case Say(pieces):
                    for piece in pieces:
                        field = "refusal" if answer.stop == "refusal" else "content"
                        yield Event(self._chunk(number, {field: piece}), "piece")
                case Think(pieces):
                    for piece in pieces:
                        yield Event(self._chunk(number, {"reasoning_content": piece}), "piece")
                case Call(name, fragments):
                    head = {"id": f"call_{number}_{index}", "type": "function", "function": _function(name, "")}
                    yield Event(self._chunk(number, {"tool_calls": [{"index": index, **head}]}))
                    for fragment in fragments:
                        call = {"index": index, "function": {"arguments": fragment}}
                        yield Event(self._chunk(number, {"tool_calls": [call]}), "piece")
                    index += 1
        finish = "tool_calls" if answer.calls and answer.stop == "end" else _FINISH[answer.stop]
        yield Event(self._chunk(number, {}, finish), "end")
        yield Event(_sse({**self._envelope(number), "choices": [], "usage": _usage(answer)}), "end")
        yield Event(b"data: [DONE]\n\n", "end")

    def failure(self, error: Error, received: Received) -> Reply:
        status, body = self._error(error.kind, self.key(received))
        if error.retry_after is None:
            return failed(status, body)
        return failed(status, body, retry_after=str(error.retry_after))

    def invalid(self, problem: Invalid) -> Reply:
        detail = {"message": problem.message, "type": "invalid_request_error", "param": problem.param, "code": None}
        return failed(400, {"error": detail})

    def error_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        _, body = self._error(kind, "")
        return (_sse(body),)

    def _error(self, kind: ErrorKind, key: str) -> tuple[int, dict[str, Any]]:
        status, error_type, code, message = _ERRORS[kind]
        message = message.format(key=key, model=self.model)
        return status, {"error": {"message": message, "type": error_type, "param": None, "code": code}}

    def _envelope(self, number: int) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": self.model,
            "system_fingerprint": "fp_8802369eaa",
        }

    def _chunk(self, number: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _sse({**self._envelope(number), "choices": [choice]})


def _sse(data: object) -> bytes:
    return b"data: " + compact(data) + b"\n\n"


def _function(name: str, arguments: str) -> dict[str, str]:
    return {"name": name, "arguments": arguments}


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.usage
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
