"""The life of a session as the contract tells it, written a second time and independently of the server: reads a log
event by event, and fails at the first one that could not stand there."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from managedagents.v1 import agent_event_pb2, event_pb2, model_pb2, session_pb2, status_event_pb2, user_event_pb2
from support.calls import Event, kind
from support.driven import told

_ANSWER = ("agent.message", "agent.thinking")
_ENDS_OF_MODEL = {
    "end_turn": _ANSWER,
    "max_tokens": _ANSWER,
    "refusal": _ANSWER,
    "retries_exhausted": ("error",),
    "error": ("error",),
    "max_tool_rounds": ("",),
    "token_budget": ("",),
    "max_outcome_iterations": ("outcome.evaluated",),
}
"""What stands just before a status.idle with this reason."""

_BY_SERVER = ("agent.tool_result", "agent.mcp_tool_result")
_BY_CLIENT = ("user.custom_tool_result", "user.tool_result", "user.tool_confirmation")
_RAN = (
    agent_event_pb2.TOOL_RESULT_CAUSE_RAN,
    agent_event_pb2.TOOL_RESULT_CAUSE_TIMED_OUT,
    agent_event_pb2.TOOL_RESULT_CAUSE_EFFECT_UNKNOWN,
)

_CUT_SHORT = (model_pb2.MODEL_STOP_REASON_MAX_TOKENS, model_pb2.MODEL_STOP_REASON_REFUSAL)
_COUNTED = [field.name for field in model_pb2.Usage.DESCRIPTOR.fields if field.name != "model_time"]


def figures(usage: model_pb2.Usage) -> Counter[str]:
    """What it counts, to be summed; times in nanoseconds."""
    counted = Counter({name: getattr(usage, name) for name in _COUNTED})
    counted["model_time"] = usage.model_time.ToNanoseconds()
    return counted


def _only_once(use: agent_event_pb2.AgentToolUse | agent_event_pb2.AgentMcpToolUse) -> bool:
    """Of the tools at the server: it must not run twice."""
    if isinstance(use, agent_event_pb2.AgentMcpToolUse):
        # As the MCP server of these tests calls what it says may be repeated.
        return not use.name.startswith("again")
    if use.name == "filesystem":
        return bool(json.loads(use.input_json)["command"] == "edit")
    return use.name in ("bash", "code_execution")


@dataclass(slots=True)
class Judge:
    """Where a session stands after the events that were read."""

    head: int = 0
    state: int = session_pb2.SESSION_STATUS_QUEUED
    queue: list[int] = field(default_factory=list)
    turn: int = 0
    uses: list[str] = field(default_factory=list)
    """Open ones, in the order of the calls."""
    asks: set[str] = field(default_factory=set)
    """Open ones that wait for a confirmation."""
    at_client: set[str] = field(default_factory=set)
    """Open ones that the client runs, once it may."""
    once: set[str] = field(default_factory=set)
    """Open ones of tools that must not run twice."""
    started: set[str] = field(default_factory=set)
    """Every use that was."""
    paused: bool = False
    ended: list[int] = field(default_factory=list)
    """Turns that ended, in order; an interrupt at rest is one, too."""
    failures: int = 0
    outcome: int = 0
    """The seq of the one that is queued or worked towards; 0: none is."""
    iterations: int = 0
    """That it may have."""
    judged: int = 0
    """Iterations of it that were."""
    further: int = 0
    """The verdict whose turn is still to begin; 0: none is."""
    done: bool = False
    """The model is, and what it did is to be judged."""
    token_budget: int | None = None
    """What the session's definition says. None: no bound."""
    spent: Counter[str] = field(default_factory=Counter)
    """What all responses cost, summaries included."""
    turn_spent: Counter[str] = field(default_factory=Counter)
    _begun: list[int] = field(default_factory=list)
    """Turns in the order in which they began."""
    _excluded: set[int] = field(default_factory=set)
    _covered: int = 0
    """How many of those that began the last summary stands for."""
    _too_long: bool = False
    """The provider said so, and no summary was made since."""
    _goes_on: bool = False
    """The open turn goes on without a summary."""
    _interrupts: dict[int, int] = field(default_factory=dict)
    """Interrupted turns without their status.idle, each with the seq below which messages are dropped."""
    _denied: set[str] = field(default_factory=set)
    """Open ones that are not to run: their results, in the same write, say so."""
    _known: set[str] = field(default_factory=set)
    """Every id that was given out, of uses and of responses."""
    _response: str = ""
    _last: Event = field(default_factory=event_pb2.SessionEvent)

    @property
    def terminal(self) -> bool:
        return self.state >= session_pb2.SESSION_STATUS_COMPLETED

    @property
    def used_up(self) -> bool:
        return self.token_budget is not None and self.spent["input_tokens"] + self.spent["output_tokens"] >= (
            self.token_budget
        )

    @property
    def to_cover(self) -> list[int]:
        """The turns that a summary made now may be said to cover up to."""
        return self._begun[self._covered : -1]

    @property
    def at_rest(self) -> bool:
        """Nothing happens any more unless somebody calls."""
        if self.terminal:
            return True
        return not (self.turn or self._interrupts) and (self.paused or not self.waits_for_its_turn)

    @property
    def waits_for_its_turn(self) -> list[int]:
        return sorted([*self.queue, *([self.further] if self.further else [])])

    @property
    def towards(self) -> bool:
        """The outcome's first turn has begun."""
        return self.outcome in self._begun

    @property
    def waiting(self) -> list[str]:
        """The uses that wait for the client, in the order of the calls."""
        return [use for use in self.uses if use in self.asks or use in self.at_client]

    @property
    def waits_for_client(self) -> bool:
        return bool(self.uses) and self.waiting == self.uses and not self._interrupts

    def read(self, events: Iterable[Event]) -> "Judge":
        for event in events:
            try:
                self._read(event)
            except AssertionError as error:
                raise AssertionError(f"seq {event.seq}, {event.turn} {told(event)}: {error}") from error
        return self

    def _read(self, event: Event) -> None:
        assert event.seq == self.head + 1, f"follows seq {self.head}"
        assert not self.terminal, "stands after a terminal status"
        self.head = event.seq
        if event.response_id:
            self._of_response(event)
        else:
            self._response = ""
        reader = getattr(self, f"_{event.WhichOneof('payload')}", None)
        if reader is not None:
            reader(event)
        self._last = event

    def _of_response(self, event: Event) -> None:
        assert event.turn == self.turn, "is of another turn than the open one"
        assert self.state == session_pb2.SESSION_STATUS_RUNNING, "comes while no turn runs"
        assert self.turn not in self._interrupts, "comes after the interrupt"
        if event.response_id != self._response:
            assert event.response_id not in self._known, "its response was there before"
            assert not self.uses, "comes while tool uses are open"
            assert event.HasField("response"), "does not say whose response it is"
            assert event.response.attempt == self.failures + 1, f"comes after {self.failures} failures"
            assert not self.used_up, "the budget was used up before"
            folds, judges = event.HasField("agent_context_compacted"), event.HasField("outcome_evaluated")
            assert not self._too_long or folds, "nothing was folded before it"
            assert self.done == judges, "is judged too late, or too early"
            if not judges and not folds:
                self.done = self.towards and event.response.stop_reason not in _CUT_SHORT
            self._known.add(event.response_id)
            self._response = event.response_id
            self.failures = 0
            self.spent += figures(event.response.usage)
            self.turn_spent += figures(event.response.usage)
        else:
            assert not event.HasField("response"), "begins its response again"

    def _agent_context_compacted(self, event: Event) -> None:
        compacted = event.agent_context_compacted
        assert event.HasField("response"), "does not say whose response it is"
        assert compacted.summary.strip(), "says nothing"
        assert compacted.last_turn in self.to_cover, "covers what it cannot cover"
        covered = self._begun.index(compacted.last_turn) + 1
        assert not self._excluded.issuperset(self._begun[self._covered : covered]), "stands for nothing"
        assert not self._goes_on, "comes in a turn that goes on without it"
        self._covered = covered
        self._too_long = False

    def _opens(self, use: str) -> None:
        self.done = False
        assert use not in self._known, "its id was given out before"
        self._known.add(use)
        self.uses.append(use)

    def _agent_custom_tool_use(self, event: Event) -> None:
        use = event.agent_custom_tool_use.custom_tool_use_id
        self._opens(use)
        self.at_client.add(use)

    def _agent_tool_use(self, event: Event) -> None:
        use = event.agent_tool_use
        self._runs_here(use)
        if use.runs_at_client and use.tool_use_id not in self._denied:
            self.at_client.add(use.tool_use_id)
            self.once.discard(use.tool_use_id)

    def _agent_mcp_tool_use(self, event: Event) -> None:
        self._runs_here(event.agent_mcp_tool_use)

    def _runs_here(self, use: agent_event_pb2.AgentToolUse | agent_event_pb2.AgentMcpToolUse) -> None:
        self._opens(use.tool_use_id)
        if use.permission == agent_event_pb2.PERMISSION_DECISION_DENY:
            self._denied.add(use.tool_use_id)
            return
        if use.permission == agent_event_pb2.PERMISSION_DECISION_ASK:
            self.asks.add(use.tool_use_id)
        if _only_once(use):
            self.once.add(use.tool_use_id)

    def _user_tool_confirmation(self, event: Event) -> None:
        given = event.user_tool_confirmation
        assert event.turn == self.turn, "is of another turn than its use"
        assert given.tool_use_id in self.asks, "decides what does not ask"
        self.asks.discard(given.tool_use_id)
        if given.decision != user_event_pb2.TOOL_CONFIRMATION_ALLOW:
            self._denied.add(given.tool_use_id)

    def _agent_tool_start(self, event: Event) -> None:
        use = event.agent_tool_start.tool_use_id
        assert event.turn == self.turn not in self._interrupts, "its turn does not run"
        assert self.state == session_pb2.SESSION_STATUS_RUNNING, "comes while no turn runs"
        assert not self.paused, "starts something while paused"
        assert use in self.once, "starts what is not open, or may run twice"
        assert use not in self.waiting, "waits for the client"
        assert use not in self._denied, "is not to run"
        assert use not in self.started, "was started before"
        self.started.add(use)

    def _closes(self, event: Event, use: str) -> None:
        assert event.turn == self.turn, "is of another turn than its use"
        assert use in self.uses, "closes what is not open"
        self.uses.remove(use)
        for those in (self.asks, self.at_client, self.once, self._denied):
            those.discard(use)

    def _user_custom_tool_result(self, event: Event) -> None:
        self._closes(event, event.user_custom_tool_result.custom_tool_use_id)

    def _user_tool_result(self, event: Event) -> None:
        use = event.user_tool_result.tool_use_id
        assert use in self.at_client - self.asks, "answers what does not wait for it"
        self._closes(event, use)

    def _agent_tool_result(self, event: Event) -> None:
        self._closed_here(event, event.agent_tool_result)

    def _agent_mcp_tool_result(self, event: Event) -> None:
        self._closed_here(event, event.agent_mcp_tool_result)

    def _closed_here(
        self, event: Event, result: agent_event_pb2.AgentToolResult | agent_event_pb2.AgentMcpToolResult
    ) -> None:
        use, cause = result.tool_use_id, result.cause
        denied, only_once, waited = use in self._denied, use in self.once, use in self.waiting
        self._closes(event, use)
        interrupted = cause == agent_event_pb2.TOOL_RESULT_CAUSE_INTERRUPTED
        assert interrupted == (self.turn in self._interrupts), "its cause is another one"
        assert interrupted or denied == (cause == agent_event_pb2.TOOL_RESULT_CAUSE_DENIED), "its cause is another one"
        assert cause not in _RAN or not waited, "ran while it waited for the client"
        assert cause not in _RAN or not only_once or use in self.started, "ran without a start"
        assert cause != agent_event_pb2.TOOL_RESULT_CAUSE_EFFECT_UNKNOWN or only_once, "could run again"

    def _user_message(self, event: Event) -> None:
        assert event.turn == event.seq, "is not its own turn"
        self.queue.append(event.seq)

    def _user_define_outcome(self, event: Event) -> None:
        assert event.turn == event.seq, "is not its own turn"
        assert not self.outcome, "there is one already"
        self.queue.append(event.seq)
        self.outcome, self.judged = event.seq, 0
        defined = event.user_define_outcome
        self.iterations = defined.max_iterations if defined.HasField("max_iterations") else 3

    def _outcome_evaluated(self, event: Event) -> None:
        evaluated = event.outcome_evaluated
        assert event.HasField("response"), "does not say whose response it is"
        assert evaluated.iteration == self.judged + 1, f"comes after {self.judged} iterations"
        self.judged += 1
        if not evaluated.met and self.judged < self.iterations:
            self.further = event.seq
        self.ended.append(event.turn)
        self.turn = self.failures = 0
        self.done = False

    def _user_interrupt(self, event: Event) -> None:
        assert event.turn == (self.turn or event.seq), "acts on another turn than the open one"
        drop = event.seq if event.user_interrupt.drop_queued else 0
        self._interrupts[event.turn] = max(drop, self._interrupts.get(event.turn, 0))

    def _status_running(self, event: Event) -> None:
        assert not self.paused, "starts something while paused"
        assert not self._interrupts, "an interrupt is not finished"
        assert not self.uses or self.waiting != self.uses, "all that is open waits for the client"
        assert event.status_running.attempt == self.failures + 1, f"comes after {self.failures} failures"
        if self.turn:
            assert event.turn == self.turn, "the open turn has not ended"
            assert self.state != session_pb2.SESSION_STATUS_RUNNING, "runs already"
        else:
            assert event.turn == min(self.waits_for_its_turn, default=0), "is not what waits for its turn"
            if event.turn == self.further:
                self.further = 0
            else:
                self.queue.remove(event.turn)
            self.turn = event.turn
            self._begun.append(event.turn)
            self.turn_spent = Counter()
            self._goes_on = self._too_long = False
        self.state = session_pb2.SESSION_STATUS_RUNNING

    def _status_rescheduling(self, event: Event) -> None:
        self._fails(event)
        assert event.status_rescheduling.attempt == self.failures, "counts attempts in another way"
        if event.status_rescheduling.cause == status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG and not self.done:
            self._too_long = True
        self.state = session_pb2.SESSION_STATUS_RESCHEDULING

    def _fails(self, event: Event) -> None:
        assert event.turn == self.turn != 0, "is of another turn than the open one"
        assert self.state == session_pb2.SESSION_STATUS_RUNNING, "comes while no turn runs"
        assert not self.uses, "tool uses are open"
        assert self.turn not in self._interrupts, "comes after the interrupt"
        self.failures += 1

    def _error(self, event: Event) -> None:
        if event.error.next == status_event_pb2.ERROR_NEXT_TURN_ENDS:
            self._fails(event)
            if event.error.turn_excluded:
                self._excluded.add(event.turn)
        elif event.error.code == status_event_pb2.ERROR_CODE_TOOL_UNAVAILABLE:
            assert event.turn == self.turn != 0, "is of another turn than the open one"
        elif event.error.next == status_event_pb2.ERROR_NEXT_TURN_GOES_ON:
            self._fails(event)
            assert not self._too_long, "goes on with what is too long"
            assert not self._goes_on, "is said twice"
            assert not event.error.turn_excluded, "leaves out a turn that goes on"
            self._goes_on = True
            self.failures = 0
        elif event.error.next == status_event_pb2.ERROR_NEXT_WAITS_FOR_ANSWERS:
            assert self.uses, "nothing is waited for"
            assert self.waiting == self.uses, "a tool use waits for nobody"
            assert not self.paused, "a deadline comes while paused"

    def _status_idle(self, event: Event) -> None:
        reason = event.status_idle.stop_reason.WhichOneof("reason") or ""
        of_judged = reason == "max_outcome_iterations"
        spent = self.turn_spent if of_judged or event.turn == self.turn else Counter()
        assert figures(event.status_idle.usage) == spent, f"the turn's responses cost {spent}"
        self.state = session_pb2.SESSION_STATUS_IDLE
        if reason == "requires_action":
            assert event.turn == self.turn, "is of another turn than the open one"
            assert list(event.status_idle.stop_reason.requires_action.ids) == self.uses, "names other uses"
            assert self.uses, "waits for nothing"
            assert kind(self._last) in ("error", "agent.tool_result", "agent.mcp_tool_result", *_BY_CLIENT), (
                "has no cause"
            )
            return
        assert not self.uses, "tool uses are open"
        assert event.turn not in self.ended or of_judged, "its turn has ended before"
        assert (reason == "interrupted") == (event.turn in self._interrupts), "its reason is another one"
        if reason == "interrupted":
            assert event.turn == (self.turn or event.turn), "the open turn has not ended"
            below = self._interrupts.pop(event.turn)
            dropped = [seq for seq in self.queue if seq < below]
            assert list(event.status_idle.stop_reason.interrupted.dropped_seqs) == dropped, f"dropped are {dropped}"
            self.queue = [seq for seq in self.queue if seq not in dropped]
            if self.outcome in dropped:
                self.outcome = 0
        else:
            assert event.turn == (self._last.turn if of_judged else self.turn) != 0, (
                "is of another turn than the open one"
            )
            assert not of_judged or not self._last.outcome_evaluated.met, "gives up what is met"
            assert not of_judged or self.judged >= self.iterations, f"gives up after {self.judged} iterations"
            assert told(self._last).startswith(_ENDS_OF_MODEL[reason]), f"comes after {told(self._last)}"
            assert self._last.error.next != status_event_pb2.ERROR_NEXT_TURN_GOES_ON, "the turn was to go on"
            assert reason != "token_budget" or self.used_up, f"the session has used only {self.spent}"
        if reason == "end_turn":
            assert not self.towards or self.waits_for_its_turn, "nothing is queued, and it was not judged"
        elif self.towards:
            self.outcome = self.further = 0
        self.ended.append(event.turn)
        self.turn = self.failures = 0
        self.done = False

    def _status_paused(self, event: Event) -> None:
        assert not self.paused, "is paused already"
        self.paused = True

    def _status_resumed(self, event: Event) -> None:
        assert self.paused, "was not paused"
        self.paused = False

    def _status_completed(self, event: Event) -> None:
        assert self._last.outcome_evaluated.met, "comes after no verdict that it is met"
        assert not self.waits_for_its_turn, "something is queued"
        self.state = session_pb2.SESSION_STATUS_COMPLETED

    def _status_failed(self, event: Event) -> None:
        self.state = session_pb2.SESSION_STATUS_FAILED

    def _status_archived(self, event: Event) -> None:
        self.state = session_pb2.SESSION_STATUS_ARCHIVED
