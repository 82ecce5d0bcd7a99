"""Running one message: answer what its turn asks for, return when the turn is over."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from managedagents._errors import ManagedAgentsError, NotFoundError
from managedagents._events import confirmation_event, result_event, stop_reason_of, text
from managedagents._follow import Follow, TurnItem
from managedagents._tools import STOPPED, Answer, Answers, Tools, ask, call
from managedagents.v1 import event_pb2, model_pb2, session_pb2, status_event_pb2, stream_pb2, user_event_pb2

if TYPE_CHECKING:
    from managedagents._client import Client

OnEvent = Callable[[event_pb2.SessionEvent], Any]
"""Is given each event of the turn; may be async, and is then awaited before the next event."""

Confirm = Callable[[session_pb2.PendingAction], Any]
"""Decides on a tool use that waits for permission, sync (run in a thread) or async: True allows it; anything else
denies it, and a text is told to the model."""

# What answers to a use that nobody waits for any more. The stream says how the turn goes on, or that it is over.
_TOO_LATE = frozenset({"TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"})
_REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED})

_RESULTS = frozenset({session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT, session_pb2.PENDING_ACTION_KIND_TOOL_RESULT})

logger = logging.getLogger("managedagents")


@dataclass(frozen=True, slots=True)
class RunResult:
    """How the turn of a message ended, or an outcome."""

    seq: int
    """The seq of the message, which numbers its turn; or of the outcome."""
    stop_reason: str
    """As in status.idle: end_turn, max_tokens, interrupted, refusal, max_tool_rounds, retries_exhausted, error, …;
    requires_action where nothing here can answer what the turn waits for; dropped where the message was dropped from
    the queue; outcome_evaluated where the turn of a message was judged; completed, failed, archived or deleted where
    the session ended. An outcome that is met ends in completed, one that is not in max_outcome_iterations.
    """
    text: str
    """What the agent said last in the turn, or for the outcome. Empty: nothing."""
    events: list[event_pb2.SessionEvent]
    """The events of the turn, or of the outcome's turns, in order of seq."""
    usage: model_pb2.Usage
    """What the turn cost, or the outcome's turns."""
    error: status_event_pb2.ErrorEvent | None
    """The last error of the turn that it did not go on from. None: there was none."""
    waits_for: tuple[str, ...]
    """With requires_action, the ids of the tool uses that the turn waits for."""


class Run:
    """One message's turn (or an outcome's turns), from its seq to its end."""

    def __init__(
        self,
        client: "Client",
        answers: Answers,
        session_id: str,
        seq: int,
        *,
        tools: Tools,
        confirm: Confirm | None,
        on_event: OnEvent | None,
    ) -> None:
        self._client, self._answers = client, answers
        self._session_id, self._seq = session_id, seq
        self._tools, self._confirm, self._on_event = tools, confirm, on_event
        self._events: list[event_pb2.SessionEvent] = []
        self._at_work: dict[tuple[str, int], asyncio.Task[None]] = {}
        """By the id of the use, and what it waits for."""

    async def result(self) -> RunResult:
        """Follow the turn to its end. Cancelling this stops the handlers and leaves the session as it is."""
        try:
            async with asyncio.TaskGroup() as group:
                result = await self._follow(group)
                # What is still at work answers a use that the end of the turn has closed.
                self._answer((), group)
        except ExceptionGroup as failures:
            # The first failure is the caller's to see; the group only ended what went on beside it.
            raise failures.exceptions[0] from failures
        stop_reason = "deleted" if result is None else stop_reason_of(result)
        result = result or stream_pb2.TurnResult()
        return RunResult(
            seq=self._seq,
            stop_reason=stop_reason,
            text=result.text,
            events=self._events,
            usage=result.usage,
            error=result.error if result.HasField("error") else None,
            waits_for=tuple(result.waits_for),
        )

    async def _follow(self, group: asyncio.TaskGroup) -> stream_pb2.TurnResult | None:
        """How the turn ended. None: with the deletion of its session."""
        result = stream_pb2.TurnResult()
        async with self._client.follow(self._session_id, self._seq - 1, turn=self._seq) as items:
            while (item := await self._next(items)) is not None:
                if isinstance(item, event_pb2.SessionEvent):
                    await self._keep(item)
                elif isinstance(item, stream_pb2.StreamTurn):
                    self._answer(item.pending_actions, group)
                    result = item.result
                    if self._is_given_back(item):
                        return result
        # That the turn was over was told before its session was deleted.
        is_over = result.stop_reason not in (0, stream_pb2.TURN_STOP_REASON_REQUIRES_ACTION)
        return result if is_over else None

    @staticmethod
    async def _next(items: Follow[TurnItem]) -> TurnItem | None:
        """None: the turn is over, or its session was deleted."""
        try:
            return await anext(items, None)
        except NotFoundError:
            # It took our message, so it was there.
            return None

    def _is_given_back(self, stands: stream_pb2.StreamTurn) -> bool:
        """Whether it waits beyond its deadline for what is not answered here, nor was answered by others since."""
        waits = {action.tool_use_id for action in stands.pending_actions}.intersection(stands.result.waits_for)
        return bool(waits) and not any(map(self._is_answered_here, waits))

    async def _keep(self, event: event_pb2.SessionEvent) -> None:
        self._events.append(event)
        if self._on_event is not None:
            told = self._on_event(event)
            if inspect.isawaitable(told):
                await told

    def _answer(self, pending: Iterable[session_pb2.PendingAction], group: asyncio.TaskGroup) -> None:
        """Work on what is waited for, and on nothing else. What nobody here can answer is left to others."""
        wanted = {(action.tool_use_id, action.kind): action for action in pending}
        for key in self._at_work.keys() - wanted.keys():
            # Decided, answered or closed, be it by us.
            self._at_work.pop(key).cancel()
        for key, action in wanted.items():
            task = None if key in self._at_work else self._task(action)
            if task is not None:
                self._at_work[key] = group.create_task(task)

    def _task(self, action: session_pb2.PendingAction) -> Coroutine[Any, Any, None] | None:
        if action.kind == session_pb2.PENDING_ACTION_KIND_TOOL_CONFIRMATION:
            return None if self._confirm is None else self._decide(action, self._confirm)
        is_ours = action.kind in _RESULTS and action.name in self._tools
        return self._call(action) if is_ours else None

    def _is_answered_here(self, use_id: str) -> bool:
        deciding = (use_id, session_pb2.PENDING_ACTION_KIND_TOOL_CONFIRMATION)
        return deciding in self._at_work or self._answers.in_hand(self._session_id, use_id)

    async def _decide(self, action: session_pb2.PendingAction, confirm: Confirm) -> None:
        decision = await call(confirm, action)
        event = confirmation_event(action.tool_use_id, decision if isinstance(decision, bool | str) else False)
        await self._send(event)

    async def _call(self, action: session_pb2.PendingAction) -> None:
        # Here, not before: a task that is cancelled before its first step must not leave the use in hand.
        is_taken, answer = self._answers.take(self._session_id, action.tool_use_id)
        if not is_taken:
            return
        is_sent = False
        try:
            if answer is None:
                answer = await ask(action.tool_use_id, self._tools[action.name], action.name, action.input_json)
            await self._tell(action, answer)
            is_sent = True
        finally:
            if not is_sent:
                self._answers.keep(self._session_id, action.tool_use_id, STOPPED if answer is None else answer)

    async def _tell(self, action: session_pb2.PendingAction, answer: Answer) -> None:
        try:
            await self._send(result_event(action, answer.content, answer.is_error))
        except ManagedAgentsError as error:
            if error.code not in _REFUSED:
                raise
            # The handler's result is too large, say. The model is told, rather than left waiting.
            told = text(f"The tool ran, but its result was refused: {error.message}")
            await self._send(result_event(action, (told,), is_error=True))

    async def _send(self, event: user_event_pb2.UserEvent) -> None:
        try:
            await self._client.send(self._session_id, event)
        except ManagedAgentsError as error:
            if error.reason not in _TOO_LATE:
                raise
            logger.info("nobody waits for this answer any more: %s", error)
