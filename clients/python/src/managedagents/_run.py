"""Running one message: answer what its turn asks for, return when the turn is over."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from managedagents._errors import ManagedAgentsError, NotFoundError
from managedagents._events import stop_reason_of, text, text_of
from managedagents._follow import Follow
from managedagents._tools import Answers, Tools, call
from managedagents._uses import ToolUse, confirmation_event, result_event, use_of, use_that_waits
from managedagents.v1 import event_pb2, model_pb2, status_event_pb2, stream_pb2, user_event_pb2

if TYPE_CHECKING:
    from managedagents._client import Client

OnEvent = Callable[[event_pb2.SessionEvent], Any]
"""Is given each event of the turn; may be async, and is then awaited before the next event."""

Confirm = Callable[[ToolUse], Any]
"""Decides on a use that waits for permission, sync (run in a thread) or async: True allows it; anything else denies it,
and a text is told to the model."""

# What answers to a use that nobody waits for any more. The stream says how the turn goes on, or that it is over.
_TOO_LATE = frozenset({"TOOL_USE_CLOSED", "SESSION_TERMINAL", "SESSION_NOT_FOUND"})
_REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED})

logger = logging.getLogger("managedagents")


@dataclass(slots=True)
class RunResult:
    """How the turn of a message ended, or an outcome."""

    seq: int
    """The seq of the message, which numbers its turn; or of the outcome."""
    stop_reason: str = ""
    """As in status.idle: end_turn, max_tokens, interrupted, refusal, max_tool_rounds, retries_exhausted, error, …;
    requires_action where nothing here can answer what the turn waits for; dropped where the message was dropped from
    the queue; outcome_evaluated where the turn of a message was judged; completed, failed, archived or deleted where
    the session ended. An outcome that is met ends in completed, one that is not in max_outcome_iterations.
    """
    text: str = ""
    """What the agent said last in the turn, or for the outcome. Empty: nothing."""
    events: list[event_pb2.SessionEvent] = field(default_factory=list)
    """The events of the turn, or of the outcome's turns, in order of seq."""
    usage: model_pb2.Usage = field(default_factory=model_pb2.Usage)
    """What the turn cost, zero where it did not end with status.idle; of an outcome, what its turns cost."""
    error: status_event_pb2.ErrorEvent | None = None
    """The last error of the turn that it did not go on from. None: there was none."""
    waits_for: tuple[str, ...] = ()
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
        self._session_id = session_id
        self._tools, self._confirm, self._on_event = tools, confirm, on_event
        self._result = RunResult(seq)
        self._turns = {seq}
        self._is_outcome = False
        self._is_towards = False
        """The outcome's first turn has begun."""
        self._said_in = ""
        self._to_confirm: dict[str, ToolUse] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}

    async def result(self) -> RunResult:
        """Follow the turn to its end. Cancelling this stops the handlers and leaves the session as it is."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._answer_earlier(group)
                await self._follow(group)
                for task in self._at_work.values():
                    # What is still at work answers a use that the end of the turn has closed.
                    task.cancel()
        except ExceptionGroup as failures:
            # The first failure is the caller's to see; the group only ended what went on beside it.
            raise failures.exceptions[0] from failures
        return self._result

    async def _answer_earlier(self, group: asyncio.TaskGroup) -> None:
        """An earlier turn that waits keeps ours from beginning. Uses of our own are met again in the stream."""
        try:
            status = await self._client.status(self._session_id)
        except NotFoundError:
            # Deleted after it took our message; following it tells the same.
            return
        for action in status.pending_actions:
            use = use_that_waits(action)
            if action.seq < self._result.seq and use.id not in self._to_confirm:
                self._look(use, group)

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        async with self._client.follow(self._session_id, self._result.seq - 1) as events:
            while (event := await self._next(events)) is not None:
                # What a message's turn within the outcome led to is judged for the outcome.
                ours = event.turn in self._turns or (self._is_towards and event.HasField("outcome_evaluated"))
                self._settle(event, group)
                use = use_of(event)
                if use is not None:
                    self._look(use, group)
                if ours:
                    await self._keep(event)
                if self._is_over(event, ours=ours):
                    return
            if events.ended is not None:
                name = stream_pb2.StreamEndReason.Name(events.ended.reason)
                self._result.stop_reason = name.removeprefix("STREAM_END_REASON_").lower()

    async def _next(self, events: Follow[event_pb2.SessionEvent]) -> event_pb2.SessionEvent | None:
        """None: the session is over."""
        try:
            return await anext(events, None)
        except NotFoundError:
            # It took our message, so it was deleted.
            self._result.stop_reason = "deleted"
            return None

    def _look(self, use: ToolUse, group: asyncio.TaskGroup) -> None:
        """Begin to answer a use, if there is something to answer it with: else it is left to others."""
        if use.needs_confirmation:
            self._to_confirm[use.id] = use
            if self._confirm is not None:
                self._at_work[use.id] = group.create_task(self._decide(use, self._confirm))
        elif use.at_client:
            self._begin(use, group)

    def _begin(self, use: ToolUse, group: asyncio.TaskGroup) -> None:
        if use.name in self._tools and not self._answers.in_hand(self._session_id, use.id):
            self._at_work[use.id] = group.create_task(self._answer(use))

    def _settle(self, event: event_pb2.SessionEvent, group: asyncio.TaskGroup) -> None:
        """A use was confirmed, and its result is wanted now; or it was closed, and its handler works for nothing."""
        if event.HasField("user_tool_confirmation"):
            decided = event.user_tool_confirmation
            use = self._to_confirm.pop(decided.tool_use_id, None)
            if use is None:
                # It was decided before Status told of it: what is at work is its handler.
                return
            asking = self._at_work.pop(use.id, None)
            if asking is not None:
                # Somebody else was faster, and nobody need be asked any more; or it is our own decision that came back.
                asking.cancel()
            if use.at_client and decided.decision == user_event_pb2.TOOL_CONFIRMATION_ALLOW:
                self._begin(use, group)
        else:
            closed = event.agent_tool_result.tool_use_id or event.agent_mcp_tool_result.tool_use_id
            if closed in self._at_work:
                self._at_work[closed].cancel()

    async def _keep(self, event: event_pb2.SessionEvent) -> None:
        self._result.events.append(event)
        if self._is_outcome and event.HasField("response"):
            _add(self._result.usage, event.response.usage)
        if event.HasField("agent_message"):
            words = text_of(event.agent_message.content)
            same = bool(event.response_id) and event.response_id == self._said_in
            if words:
                self._result.text = self._result.text + words if same else words
                self._said_in = event.response_id
        elif event.HasField("error") and event.error.next != status_event_pb2.ERROR_NEXT_TURN_GOES_ON:
            self._result.error = event.error
        if self._on_event is not None:
            told = self._on_event(event)
            if inspect.isawaitable(told):
                await told

    def _is_over(self, event: event_pb2.SessionEvent, *, ours: bool) -> bool:
        which, result = event.WhichOneof("payload"), self._result
        if which == "status_idle":
            return self._is_over_at(event.status_idle, ours=ours)
        if which in ("status_completed", "status_failed", "status_archived"):
            result.stop_reason = which.removeprefix("status_")
            return True
        if which == "user_define_outcome" and event.seq == result.seq:
            self._is_outcome = True
        if which == "status_running" and ours:
            self._is_towards = self._is_outcome
        if which == "outcome_evaluated" and ours:
            if self._is_outcome:
                self._turns.add(event.seq)
            else:
                result.stop_reason = which
            return not self._is_outcome
        return False

    def _is_over_at(self, idle: status_event_pb2.StatusIdle, *, ours: bool) -> bool:
        result, reason = self._result, idle.stop_reason
        if result.seq in reason.interrupted.dropped_seqs:
            result.stop_reason = "dropped"
            return True
        if self._is_towards and reason.HasField("end_turn"):
            # A message's turn comes next, and it is judged after that one.
            return False
        if not ours and (not self._is_towards or reason.HasField("requires_action")):
            return False
        waits_for = tuple(reason.requires_action.ids)
        if any(use in self._at_work or self._answers.in_hand(self._session_id, use) for use in waits_for):
            return False
        result.stop_reason, result.waits_for = stop_reason_of(idle), waits_for
        if not self._is_outcome:
            result.usage.CopyFrom(idle.usage)
        return True

    async def _decide(self, use: ToolUse, confirm: Confirm) -> None:
        decision = await call(confirm, use)
        event = confirmation_event(use.id, decision if decision is True or isinstance(decision, str) else False)
        await self._send(event)

    async def _answer(self, use: ToolUse) -> None:
        answer = await self._answers.answer(self._session_id, use.id, self._tools[use.name], use.name, use.input_json)
        try:
            await self._send(result_event(use, answer.content, answer.is_error))
        except ManagedAgentsError as error:
            if error.code not in _REFUSED:
                raise
            # The handler's result is too large, say. The model is told, rather than left waiting.
            told = text(f"The tool ran, but its result was refused: {error.message}")
            await self._send(result_event(use, (told,), is_error=True))
        self._answers.sent(self._session_id, use.id)

    async def _send(self, event: user_event_pb2.UserEvent) -> None:
        try:
            await self._client.send(self._session_id, event)
        except ManagedAgentsError as error:
            if error.reason not in _TOO_LATE:
                raise
            logger.info("nobody waits for this answer any more: %s", error)


def _add(total: model_pb2.Usage, usage: model_pb2.Usage) -> None:
    """Sum up what responses cost."""
    time = total.model_time.ToNanoseconds() + usage.model_time.ToNanoseconds()
    for counted in usage.DESCRIPTOR.fields:
        if counted.message_type is None:
            setattr(total, counted.name, getattr(total, counted.name) + getattr(usage, counted.name))
    total.model_time.FromNanoseconds(time)
