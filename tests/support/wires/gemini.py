"""Gemini's streamGenerateContent, as it is streamed."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from managedagents.v1 import agent_pb2
from support.wires import gemini_rules
from support.wires.faults import Event
from support.wires.server import Received, Reply
from support.wires.told import ERROR_KINDS, Answer, Call, Error, ErrorKind, Say, Think, Usage
from support.wires.vendor import Invalid, Vendor, failed, signature

_FINISH = {"end": "STOP", "max_tokens": "MAX_TOKENS", "refusal": "SAFETY", "filtered": "SAFETY"}

_ERRORS: dict[ErrorKind, tuple[int, str, str]] = {
    "rate_limited": (
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "quota": (
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "overloaded": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "server_error": (
        500,
        "INTERNAL",
        (
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting"
        ),
    ),
    "authentication": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "permission": (403, "PERMISSION_DENIED", "The caller does not have permission"),
    "unknown_model": (
        404,
        "NOT_FOUND",
        (
            "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call "
            "ListModels to see the list of available models and their supported methods."
        ),
    ),
    "context_too_long": (
        400,
        "INVALID_ARGUMENT",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "bad_request": (400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
}
"""HTTP status, status, message. Content is not rejected by an error: the prompt is blocked in an answer of none."""


class Gemini(Vendor):
    name = "gemini"
    provider = agent_pb2.PROVIDER_GEMINI
    model = "gemini-3.1-pro-preview"
    path = ""
    whole_calls = True
    kinds = frozenset(ERROR_KINDS)

    def events(self, answer: Answer, number: int) -> Sequence[Event]:
        return list(self._events(answer, number))

    def _events(self, answer: Answer, number: int) -> Iterator[Event]:
        unsigned_call = True
        for part in answer.parts:
            parts: list[dict[str, Any]]
            match part:
                case Say(pieces):
                    parts = [{"text": piece} for piece in pieces]
                case Think(pieces):
                    parts = [{"text": piece, "thought": True} for piece in pieces]
                case Call(name):
                    call: dict[str, Any] = {"functionCall": {"name": name, "args": json.loads(part.input_json)}}
                    if unsigned_call:
                        call["thoughtSignature"] = signature("gemini", name)
                    unsigned_call = False
                    parts = [call]
            for content in parts:
                yield Event(_sse(self._chunk(number, _candidate(content), _begun(answer.usage))), "piece")
        last: dict[str, Any] = {"text": ""}
        if unsigned_call and answer.stop == "end":
            last["thoughtSignature"] = signature("gemini", "")
        candidate = {**_candidate(last), "finishReason": _FINISH[answer.stop]}
        if candidate["finishReason"] == "SAFETY":
            candidate["safetyRatings"] = [_RATING]
            del candidate["content"]
        yield Event(_sse(self._chunk(number, candidate, _usage(answer.usage))), "end")

    def failure(self, error: Error, received: Received) -> Reply:
        if error.kind == "content_rejected":
            return Reply((_sse(self._blocked()),))
        status, body = self._error(error)
        return failed(status, body)

    def invalid(self, problem: Invalid) -> Reply:
        return failed(400, {"error": {"code": 400, "message": problem.message, "status": "INVALID_ARGUMENT"}})

    def error_events(self, kind: ErrorKind) -> tuple[bytes, ...]:
        if kind == "content_rejected":
            return (_sse(self._blocked()),)
        return (_sse(self._error(Error(kind))[1]),)

    def check(self, received: Received) -> None:
        gemini_rules.check(received)

    def key(self, received: Received) -> str:
        return received.headers.get("x-goog-api-key", "")

    def system(self, received: Received) -> list[Any]:
        return list(received.json.get("systemInstruction", {}).get("parts", []))

    def tools(self, received: Received) -> list[Any]:
        return gemini_rules.declarations(received.json)

    def messages(self, received: Received) -> list[Any]:
        return list(received.json["contents"])

    def signatures(self, received: Received) -> list[str]:
        parts = (part for content in received.json["contents"] for part in content["parts"])
        return [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]

    def tool_results(self, received: Received) -> list[str]:
        parts = (part for content in received.json["contents"] for part in content["parts"])
        responses = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
        return ["".join(_leaves(response)) for response in responses]

    def _chunk(self, number: int, candidate: dict[str, Any], usage: dict[str, Any]) -> dict[str, Any]:
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": self.model,
            "responseId": f"Resp{number:018d}",
        }

    def _blocked(self) -> dict[str, Any]:
        return {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 100, "totalTokenCount": 100},
            "modelVersion": self.model,
        }

    def _error(self, error: Error) -> tuple[int, dict[str, Any]]:
        code, status, message = _ERRORS[error.kind]
        detail: dict[str, Any] = {"code": code, "message": message.format(model=self.model), "status": status}
        details: list[dict[str, Any]] = []
        if error.kind == "authentication":
            reason = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", **reason})
        if error.kind in ("rate_limited", "quota"):
            window = "PerDay" if error.kind == "quota" else "PerMinute"
            violation = {
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
                "quotaId": f"GenerateRequests{window}PerProjectPerModel-FreeTier",
                "quotaDimensions": {"location": "global", "model": self.model},
                "quotaValue": "10",
            }
            details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]})
        if error.retry_after is not None:
            details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{error.retry_after}s"})
        return code, {"error": {**detail, "details": details} if details else detail}


_RATING = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}


def _candidate(part: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"parts": [part], "role": "model"}, "index": 0}


def _begun(usage: Usage) -> dict[str, Any]:
    return {
        "promptTokenCount": usage.input,
        "totalTokenCount": usage.input,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
    }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.input + usage.output,
        "cachedContentTokenCount": usage.cached,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.input}],
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": usage.cached}],
        "thoughtsTokenCount": usage.reasoning,
    }


def _leaves(data: Any) -> Iterator[str]:
    match data:
        case dict():
            for value in data.values():
                yield from _leaves(value)
        case list():
            for value in data:
                yield from _leaves(value)
        case str():
            yield data
        case _:
            yield json.dumps(data)


def _sse(data: dict[str, Any]) -> bytes:
    """Lines end as they do on this wire."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ": ")).encode() + b"\r\n\r\n"
