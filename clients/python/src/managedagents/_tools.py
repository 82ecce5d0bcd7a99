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


STOPPED = Answer((text("The tool was stopped before it was done; what it did is not known."),), is_error=True)


class Answers:
    """Sees to it that a handler is called at most once for a use, however many runs of this client meet it."""

    def __init__(self) -> None:
        # None: in hand.
        self._known: OrderedDict[tuple[str, str], Answer | None] = OrderedDict()

    def take(self, session_id: str, use_id: str) -> tuple[bool, Answer | None]:
        """Take a use in hand, with the answer that was kept for it. False: it is in hand already, or was answered."""
        if self.in_hand(session_id, use_id):
            return False, None
        kept, self._known[session_id, use_id] = self._known.get((session_id, use_id)), None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return True, kept

    def in_hand(self, session_id: str, use_id: str) -> bool:
        """A handler is at work on the use, or its answer was sent."""
        return self._known.get((session_id, use_id), STOPPED) is None

    def keep(self, session_id: str, use_id: str, answer: Answer) -> None:
        """Give a use out of hand, with the answer that could not be sent."""
        self._known[session_id, use_id] = answer


async def ask(use_id: str, handler: Handler, name: str, input_json: str) -> Answer:
    """What the handler answers to a use. The words are the same in every language: the model reads them, and the log
    keeps them."""
    try:
        given = json.loads(input_json) if input_json else {}
    except ValueError:
        return _failed("The input is no JSON.")
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
    return (text(json.dumps(result, allow_nan=False, ensure_ascii=False, separators=(",", ":"))),)


def _failed(words: str) -> Answer:
    return Answer((text(words),), is_error=True)
