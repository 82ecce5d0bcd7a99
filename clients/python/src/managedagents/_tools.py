"""Answering tool uses: from a handler of the caller to what the model is told."""

import asyncio
import contextvars
import inspect
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from managedagents._events import text
from managedagents.v1 import content_pb2

Handler = Callable[[Any], Any]
"""Answers a tool use: a function, sync (run in a thread) or async, of the input that the model gave."""

Tools = Mapping[str, Handler]
"""Handlers by the tool's name."""

_REMEMBERED = 100_000

logger = logging.getLogger("managedagents")
_current: contextvars.ContextVar[str] = contextvars.ContextVar("managedagents_tool_use_id")


def current_tool_use_id() -> str:
    """Inside a handler: the id of the tool use that it answers. The same use may come again to another process."""
    return _current.get()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model is told."""

    content: tuple[content_pb2.Content, ...]
    is_error: bool = False


_BROKEN_OFF = Answer((text("The tool was stopped before it was done; what it did is not known."),), is_error=True)


class Answers:
    """Calls each handler at most once for a use, however many runs of this client see it."""

    def __init__(self) -> None:
        # None: at work, or sent.
        self._known: OrderedDict[tuple[str, str], Answer | None] = OrderedDict()

    async def answer(self, session_id: str, use_id: str, handler: Handler, name: str, input_json: str) -> Answer:
        """The answer to a use that is not yet in hand (`in_hand`). It is kept until `sent`, in case sending fails."""
        key = (session_id, use_id)
        known = self._known.get(key)
        if known is not None:
            return known
        self._known[key] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        answer = _BROKEN_OFF
        try:
            answer = await _ask(use_id, handler, name, input_json)
        finally:
            self._known[key] = answer
        return answer

    def in_hand(self, session_id: str, use_id: str) -> bool:
        """A handler is at work on the use, or its answer was sent."""
        return self._known.get((session_id, use_id), _BROKEN_OFF) is None

    def sent(self, session_id: str, use_id: str) -> None:
        """The answer is in the log, or the use is closed: it need not be kept."""
        self._known[session_id, use_id] = None


async def _ask(use_id: str, handler: Handler, name: str, input_json: str) -> Answer:
    try:
        given = json.loads(input_json) if input_json else {}
    except ValueError:
        return _failed("The input is no JSON.")
    # The same words in every language: they are what the model reads, and what the log keeps.
    words, token = "The tool failed: {}", _current.set(use_id)
    try:
        result = await call(handler, given)
        words = "The tool's answer is no JSON."
        return Answer(_content(result))
    except Exception as error:
        logger.warning("the handler of %s failed on %s", name, use_id, exc_info=True)
        return _failed(words.format(error))
    finally:
        _current.reset(token)


async def call(handler: Handler, given: Any) -> Any:
    """What the handler returns.

    A sync one runs in a thread, so that it does not hold up the stream. A thread cannot be stopped: when the use is
    closed meanwhile, it runs to its end and nobody hears of it.
    """
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        return await handler(given)
    result = await asyncio.to_thread(handler, given)
    return await result if inspect.isawaitable(result) else result


def _content(result: Any) -> tuple[content_pb2.Content, ...]:
    if isinstance(result, content_pb2.Content):
        return (result,)
    if result is None or result == "":
        return ()
    if isinstance(result, str):
        return (text(result),)
    if isinstance(result, Sequence) and result and all(isinstance(item, content_pb2.Content) for item in result):
        return tuple(result)
    return (text(json.dumps(result, ensure_ascii=False, separators=(",", ":"))),)


def _failed(words: str) -> Answer:
    return Answer((text(words),), is_error=True)
