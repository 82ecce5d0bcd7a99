"""What the provider library streams, as deltas and an Answer. Imports the library: only for modules that do, too."""

import dataclasses
import json
from collections.abc import Iterable, Iterator

from google.protobuf import duration_pb2
from pydantic import TypeAdapter
from pydantic_ai import messages as library

from managedagents.v1 import model_pb2
from managedagents_server.providers import statuses
from managedagents_server.providers.base import Answer, Delta, Part, Text, Thinking, ToolCall
from managedagents_server.providers.texts import well_formed

ASKED = "asked"
"""Under this name a verbatim answer holds the model that was asked for."""

_PARTS = 1_000
"""Of one answer: the library takes time that grows with the square of them."""

_TOKENS_MOST = 10**12
"""Of one answer: a session's usage is a sum over up to a million answers, and must not outgrow 64 bits."""

_GIVEN_UP = frozenset({"FINISH_REASON_UNSPECIFIED", "OTHER"})
"""Gemini's words for an end that it cannot explain, which the library takes for a plain one."""


_STORED = TypeAdapter(list[library.ModelResponse])
"""Writes what the library's own adapter of messages writes, without trying which kind of message each is."""

_INCOMPLETE = "incomplete"
"""Said by servers that imitate OpenAI's Responses and leave out why."""


class Deltas:
    """Numbers the parts as they will stand in the Answer: the library counts empty ones, too."""

    def __init__(self, most: int) -> None:
        """`most`: bytes that an answer may have."""
        self._most = most
        self._left = most
        self._numbers: dict[int, int] = {}
        self._names: dict[int, str] = {}

    def of(self, event: library.ModelResponseStreamEvent) -> Iterator[Delta]:
        """Raises a ModelFailure for an answer that grows too large."""
        match event:
            case library.PartStartEvent(index=index) if index >= _PARTS:
                raise statuses.TOO_LARGE.failure(f"the model's answer is too large: more than {_PARTS:,} parts")
            case library.PartStartEvent(index=index, part=library.TextPart(content=piece)):
                yield from self._piece(index, "text", piece)
            case library.PartStartEvent(index=index, part=library.ThinkingPart(content=piece, signature=signature)):
                self._hidden(index, signature)
                yield from self._piece(index, "thinking", piece)
            case library.PartStartEvent(index=index, part=library.ToolCallPart(tool_name=name, args=args) as call):
                self._numbers[index] = len(self._numbers)
                self._names[index] = _name(name)
                # Some providers send an input whole, and parsed.
                yield from self._piece(index, "tool_input", _written(call) if isinstance(args, dict) else args)
            case library.PartDeltaEvent(index=index, delta=library.TextPartDelta(content_delta=piece)):
                yield from self._piece(index, "text", piece)
            case library.PartDeltaEvent(
                index=index, delta=library.ThinkingPartDelta(content_delta=piece, signature_delta=signature)
            ):
                self._hidden(index, signature)
                yield from self._piece(index, "thinking", piece)
            case library.PartDeltaEvent(index=index, delta=library.ToolCallPartDelta(args_delta=piece)):
                yield from self._piece(index, "tool_input", piece)
            case _:
                return

    def _hidden(self, index: int, signature: str | None) -> None:
        """Thoughts that the provider hides are a part, too: an empty one, signed."""
        if signature:
            self._numbers.setdefault(index, len(self._numbers))

    def _piece(self, index: int, kind: str, piece: object) -> Iterator[Delta]:
        if not isinstance(piece, str) or not piece:
            return
        self._left -= len(piece)
        if self._left < 0:
            raise statuses.TOO_LARGE.failure(f"the model's answer is too large: more than {self._most:,} bytes")
        number = self._numbers.setdefault(index, len(self._numbers))
        match kind:
            case "text":
                yield Delta(number, "text", well_formed(piece))
            case "thinking":
                yield Delta(number, "thinking", well_formed(piece))
            case _:
                yield Delta(number, "tool_input", well_formed(piece), self._names.get(index, ""))


def answer(response: library.ModelResponse, asked: str, seconds: float) -> Answer:
    """`asked`: the model as it was asked for, which an alias hides. `seconds`: from the request to the end of the
    answer. Raises a ModelFailure for an answer that is not whole."""
    response = dataclasses.replace(response, parts=[_mended(part) for part in response.parts], metadata={ASKED: asked})
    stop_reason = _stop_reason(response)
    if stop_reason in (model_pb2.MODEL_STOP_REASON_MAX_TOKENS, model_pb2.MODEL_STOP_REASON_REFUSAL):
        # The end of the answer may be missing: a call that was cut off is none.
        whole = [part for part in response.parts if not isinstance(part, library.ToolCallPart) or _is_whole(part)]
        response = dataclasses.replace(response, parts=whole)
    elif not all(_is_whole(part) for part in response.tool_calls):
        raise statuses.BROKEN_STREAM.failure("the input of a tool call is no JSON object")
    return Answer(
        parts=tuple(_parts(response)),
        stop_reason=stop_reason,
        model=_name(response.model_name or ""),
        usage=_usage(response, seconds),
        verbatim=_STORED.dump_json([response]),
    )


def _stop_reason(response: library.ModelResponse) -> model_pb2.ModelStopReason.ValueType:
    """In this order: a stream that ends early looks complete to the library, and a filter may end one with calls."""
    details = response.provider_details or {}
    if blocked := details.get("block_reason"):
        # Gemini's way to say what others say with a 400: there is no answer, and there would be none to the same again.
        raise statuses.CONTENT_REJECTED.failure(f"the provider blocked what was said: {blocked}")
    if response.finish_reason == "length":
        return model_pb2.MODEL_STOP_REASON_MAX_TOKENS
    if response.finish_reason == "content_filter":
        return model_pb2.MODEL_STOP_REASON_REFUSAL
    reason = details.get("finish_reason")
    if response.finish_reason == "error" or response.state != "complete" or reason in _GIVEN_UP:
        raise statuses.BROKEN_STREAM.failure("the provider gave up on the answer")
    if reason == _INCOMPLETE:
        return model_pb2.MODEL_STOP_REASON_MAX_TOKENS
    if not reason:
        raise statuses.BROKEN_STREAM.failure("the answer ended without a reason")
    if response.tool_calls:
        return model_pb2.MODEL_STOP_REASON_TOOL_USE
    if response.finish_reason == "tool_call":
        raise statuses.BROKEN_STREAM.failure("the answer announced a tool call that is not there")
    return model_pb2.MODEL_STOP_REASON_END_TURN


def _mended(part: library.ModelResponsePart) -> library.ModelResponsePart:
    """The part with what must be stored: UTF-8 text, and an input that is never empty."""
    match part:
        case library.TextPart() | library.ThinkingPart():
            return dataclasses.replace(part, content=well_formed(part.content))
        case library.ToolCallPart():
            _name(part.tool_name)
            return dataclasses.replace(part, args=well_formed(_written(part)))
        case _:
            return part


def _written(call: library.ToolCallPart) -> str:
    """The input as the model wrote it; the library's own rendering would take the spaces out."""
    if isinstance(call.args, str) and call.args.strip():
        return call.args
    return call.args_as_json_str()


def _name(given: object) -> str:
    """The name, which the libraries hand on without looking at its type. Raises a ModelFailure."""
    if not isinstance(given, str):
        raise statuses.BROKEN_STREAM.failure(f"a name in the answer is no text: {type(given).__name__}")
    return well_formed(given)


def _is_whole(call: library.ToolCallPart) -> bool:
    try:
        return isinstance(json.loads(_written(call), parse_constant=_refuse_constant), dict)
    except (ValueError, RecursionError):
        return False


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _parts(response: library.ModelResponse) -> Iterable[Part]:
    for part in response.parts:
        match part:
            case library.TextPart(content=text) if text:
                yield Text(text)
            case library.ThinkingPart(content=text, signature=signature) if text or signature:
                # Empty and signed: thoughts that the provider hides.
                yield Thinking(text)
            case library.ToolCallPart(tool_name=name):
                yield ToolCall(name, _written(part))
    refusal = (response.provider_details or {}).get("refusal")
    if isinstance(refusal, str) and refusal:
        yield Text(well_formed(refusal))


def _usage(response: library.ModelResponse, seconds: float) -> model_pb2.Usage:
    model_time = duration_pb2.Duration()
    model_time.FromNanoseconds(int(seconds * 1e9))
    usage = response.usage
    return model_pb2.Usage(
        input_tokens=_count(usage.input_tokens),
        output_tokens=_count(usage.output_tokens),
        cache_read_tokens=_count(usage.cache_read_tokens),
        cache_write_tokens=_count(usage.cache_write_tokens),
        reasoning_tokens=_count(usage.output_reasoning_tokens or usage.details.get("reasoning_tokens", 0)),
        requests=1,
        model_time=model_time,
    )


def _count(tokens: int) -> int:
    return max(0, min(tokens, _TOKENS_MOST))
