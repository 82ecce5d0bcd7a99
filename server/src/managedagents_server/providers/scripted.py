"""The model that answers from a list: a provider like the others, without a network."""

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from managedagents.v1 import model_pb2, scripted_pb2
from managedagents_server.providers import statuses
from managedagents_server.providers.base import (
    Answer,
    Answered,
    Delta,
    Grading,
    ModelFailure,
    ModelRequest,
    Part,
    Results,
    Text,
    Thinking,
    ToolCall,
)
from managedagents_server.providers.names import SCRIPTED
from managedagents_server.words.clock import Clock

_PIECES = 8
"""Pieces of a part that is streamed at once."""
_PIECES_OVER_TIME = 32
"""Pieces of a part that is streamed over a delay."""


class ScriptedModel:
    """Which response is next follows from the request alone, so a restart cannot confuse it."""

    def __init__(self, script: scripted_pb2.ScriptedModel, clock: Clock) -> None:
        self._responses = script.responses
        self._verdicts = script.grader
        self._clock = clock
        # Finished requests after which each response is used up: a plain one by one, an error by `times`.
        self._used_up = list(accumulate(_uses(response) for response in script.responses))

    @property
    def provider(self) -> str:
        return SCRIPTED

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        if request.grading is not None:
            return await self._judge(request.grading)
        _check_results(request)
        response = self._responses[min(bisect_right(self._used_up, request.finished), len(self._used_up) - 1)]
        parts = tuple(_parts(response))
        if response.HasField("delay"):
            await self._stream_over(parts, response.delay.ToTimedelta().total_seconds(), on_delta)
        else:
            for delta in _deltas(parts, _PIECES):
                on_delta(delta)
        if response.HasField("error"):
            raise _failure(response.error)
        return Answer(
            parts=parts,
            stop_reason=response.stop_reason or _stop_reason(response),
            model=SCRIPTED,
            usage=_usage(response),
            verbatim=_verbatim(response),
        )

    async def _judge(self, grading: Grading) -> Answer:
        if not self._verdicts:
            raise statuses.REFUSED.failure("this scripted model has no verdicts: `grader` is empty")
        verdict = self._verdicts[min(grading.iteration, len(self._verdicts)) - 1]
        await self._sleep_until(self._clock.monotonic() + verdict.delay.ToTimedelta().total_seconds())
        if verdict.HasField("error") and grading.failures < (verdict.error.times or 1):
            raise _failure(verdict.error)
        return Answer(
            parts=(Text(json.dumps({"met": verdict.met, "reason": verdict.reason}, ensure_ascii=False)),),
            stop_reason=model_pb2.MODEL_STOP_REASON_END_TURN,
            model=SCRIPTED,
            usage=model_pb2.Usage(requests=1),
        )

    async def _stream_over(self, parts: Sequence[Part], seconds: float, on_delta: Callable[[Delta], None]) -> None:
        start = self._clock.monotonic()
        deltas = list(_deltas(parts, _PIECES_OVER_TIME))
        for number, delta in enumerate(deltas, start=1):
            await self._sleep_until(start + seconds * number / len(deltas))
            on_delta(delta)
        await self._sleep_until(start + seconds)

    async def _sleep_until(self, moment: float) -> None:
        if (left := moment - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)


def _uses(response: scripted_pb2.ScriptedResponse) -> int:
    return (response.error.times or 1) if response.HasField("error") else 1


def _parts(response: scripted_pb2.ScriptedResponse) -> Iterator[Part]:
    if response.thinking:
        yield Thinking(response.thinking)
    if response.text:
        yield Text(response.text)
    if not response.HasField("error"):
        for call in response.tool_calls:
            yield ToolCall(call.name, call.input_json or "{}")


def _deltas(parts: Sequence[Part], most: int) -> Iterator[Delta]:
    for number, part in enumerate(parts):
        match part:
            case Text(text):
                for piece in _pieces(text, most):
                    yield Delta(number, "text", piece)
            case Thinking(text):
                for piece in _pieces(text, most):
                    yield Delta(number, "thinking", piece)
            case ToolCall(name, input_json):
                for piece in _pieces(input_json, most):
                    yield Delta(number, "tool_input", piece, name)


def _pieces(text: str, most: int) -> Iterator[str]:
    """The text in at most `most` pieces, cut before a space; joined they are the text."""
    size = math.ceil(len(text) / most)
    start = 0
    while start < len(text):
        end = text.find(" ", start + size)
        if end < 0:
            end = len(text)
        yield text[start:end]
        start = end


def _stop_reason(response: scripted_pb2.ScriptedResponse) -> model_pb2.ModelStopReason.ValueType:
    if response.tool_calls:
        return model_pb2.MODEL_STOP_REASON_TOOL_USE
    return model_pb2.MODEL_STOP_REASON_END_TURN


def _usage(response: scripted_pb2.ScriptedResponse) -> model_pb2.Usage:
    usage = model_pb2.Usage(requests=1)
    if response.HasField("usage"):
        usage.MergeFrom(response.usage)
    return usage


def _failure(error: scripted_pb2.ScriptedError) -> ModelFailure:
    retry_after = error.retry_after.ToTimedelta().total_seconds() if error.HasField("retry_after") else None
    if error.code == 0:
        return statuses.BROKEN_STREAM.failure("the scripted stream broke off", retry_after=retry_after)
    return statuses.of_status(error.code).failure(f"scripted failure, HTTP {error.code}", retry_after=retry_after)


def _verbatim(response: scripted_pb2.ScriptedResponse) -> bytes | None:
    if not response.tool_calls:
        return None
    return json.dumps({"ids": [call.id for call in response.tool_calls]}).encode()


def _check_results(request: ModelRequest) -> None:
    """As real providers do, refuses results that do not answer the calls just before them, one for one."""
    if len(request.conversation) < 2:
        return
    before, last = request.conversation[-2:]
    if not isinstance(last, Results) or not isinstance(before, Answered):
        return
    if before.verbatim is None or before.verbatim.provider != SCRIPTED:
        return
    ids = json.loads(before.verbatim.blob)["ids"]
    if len(ids) != len(last.results):
        raise statuses.CONTENT_REJECTED.failure(f"{len(ids)} calls were followed by {len(last.results)} results")
