"""OpenAI's Responses, as they are streamed."""

from collections.abc import Iterator, Sequence
from typing import Any

from managedagents.v1 import agent_pb2
from support.wires import responses_items, responses_rules
from support.wires.faults import Event
from support.wires.server import Received, Reply
from support.wires.told import ERROR_KINDS, Answer, Error, ErrorKind
from support.wires.vendor import CREATED, Invalid, Vendor, bearer, compact, failed, texts

_INCOMPLETE = {"max_tokens": "max_output_tokens", "filtered": "content_filter"}

_ERRORS: dict[ErrorKind, tuple[int, str, str | None, str]] = {
    "rate_limited": (
        429,
        "requests",
        "rate_limit_exceeded",
        (
            "Rate limit reached for {model} in organization org-1 on requests per min (RPM): Limit 3, Used 3, "
            "Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more."
        ),
    ),
    "quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        (
            "You exceeded your current quota, please check your plan and billing details. For more information on this "
            "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
        ),
    ),
    "overloaded": (
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        "Our servers are currently overloaded. Please try again later.",
    ),
    "server_error": (
        500,
        "server_error",
        "server_error",
        "An error occurred while processing your request. You can retry your request.",
    ),
    "authentication": (
        401,
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided: {key}. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    "permission": (
        403,
        "request_forbidden",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    "unknown_model": (
        404,
        "invalid_request_error",
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
    ),
    "context_too_long": (
        400,
        "invalid_request_error",
        "context_length_exceeded",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    "content_rejected": (
        400,
        "invalid_request_error",
        "invalid_prompt",
        (
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again with "
            "a different prompt: https://platform.openai.com/docs/guides/reasoning#advice-on-prompting"
        ),
    ),
    "bad_request": (
        400,
        "invalid_request_error",
        None,
        "Unsupported parameter: 'temperature' is not supported with this model.",
    ),
}
"""HTTP status, type, code, message."""


class Responses(Vendor):
    name = "openai"
    provider = agent_pb2.PROVIDER_OPENAI
    model = "gpt-5.6-terra"
    path = "/v1"
    kinds = frozenset(ERROR_KINDS)

    def events(self, answer: Answer, number: int) -> Sequence[Event]:
        """The events are numbered where they stand, so that none can be left out by mistake."""
        told = enumerate(self._events(answer, number))
        return [Event(_sse({**data, "sequence_number": place}), kind) for place, (kind, data) in told]

    def _events(self, answer: Answer, number: int) -> Iterator[responses_items.Unnumbered]:
        begun = self._response(number, "in_progress")
        yield "frame", {"type": "response.created", "response": begun}
        yield "frame", {"type": "response.in_progress", "response": begun}
        items = responses_items.items(answer, number)
        for index, item in enumerate(items):
            yield from responses_items.events(item, index)
        output = [item.done for item in items]
        reason = _INCOMPLETE.get(answer.stop)
        ended = self._response(number, "incomplete" if reason else "completed")
        ended |= {
            "incomplete_details": {"reason": reason} if reason else None,
            "output": output,
            "usage": {
                "input_tokens": answer.usage.input,
                "input_tokens_details": {"cached_tokens": answer.usage.cached, "cache_write_tokens": 0},
                "output_tokens": answer.usage.output,
                "output_tokens_details": {"reasoning_tokens": answer.usage.reasoning},
                "total_tokens": answer.usage.input + answer.usage.output,
            },
        }
        yield "end", {"type": f"response.{ended['status']}", "response": ended}

    def failure(self, error: Error, received: Received) -> Reply:
        status, detail = self._error(error.kind, self.key(received))
        if error.retry_after is None:
            return failed(status, {"error": detail})
        return failed(status, {"error": detail}, retry_after=str(error.retry_after))

    def invalid(self, problem: Invalid) -> Reply:
        detail = {"message": problem.message, "type": "invalid_request_error", "param": problem.param, "code": None}
        return failed(400, {"error": detail})

    def error_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        """As it comes: its reference shows `code`, `message` and `param` without an `error` around them."""
        _, detail = self._error(kind, "")
        return (_sse({"type": "error", "error": detail, "sequence_number": 5}),)

    def failed_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        _, detail = self._error(kind, "")
        response = self._response(0, "failed") | {"error": {"code": detail["code"], "message": detail["message"]}}
        return (_sse({"type": "response.failed", "response": response, "sequence_number": 5}),)

    def check(self, received: Received) -> None:
        responses_rules.check(received)

    def key(self, received: Received) -> str:
        return bearer(received)

    def system(self, received: Received) -> list[Any]:
        given = [received.json["instructions"]] if received.json.get("instructions") else []
        return given + [item for item in received.json["input"] if responses_rules.is_system(item)]

    def tools(self, received: Received) -> list[Any]:
        return list(received.json.get("tools", []))

    def messages(self, received: Received) -> list[Any]:
        return [item for item in received.json["input"] if not responses_rules.is_system(item)]

    def signatures(self, received: Received) -> list[str]:
        return [item["encrypted_content"] for item in received.json["input"] if item.get("type") == "reasoning"]

    def tool_results(self, received: Received) -> list[str]:
        outputs = [item["output"] for item in received.json["input"] if item.get("type") == "function_call_output"]
        return [output if isinstance(output, str) else texts(output) for output in outputs]

    def _error(self, kind: ErrorKind, key: str) -> tuple[int, dict[str, Any]]:
        status, error_type, code, message = _ERRORS[kind]
        message = message.format(key=_masked(key), model=self.model)
        return status, {"message": message, "type": error_type, "param": None, "code": code}

    def _response(self, number: int, status: str) -> dict[str, Any]:
        return {
            "id": f"resp_{number:048x}",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "model": self.model,
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": "medium", "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
            "user": None,
            "metadata": {},
        }


def _masked(key: str) -> str:
    """As it is shown: its first eight characters and its last four."""
    return key[:8] + "*" * (len(key) - 12) + key[-4:] if len(key) > 12 else key


def _sse(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: ".encode() + compact(data) + b"\n\n"
