"""Where a session stands, as `fold` makes it from its log.

A snapshot of it (the checkpoint) is written with every append; it is a cache and can always be made anew from the
events.
"""

import json
from dataclasses import astuple, dataclass, field, fields, replace
from enum import IntEnum

from managedagents.v1 import model_pb2, session_pb2

FOLD = 4
"""The version of the fold. Raise it when the fold changes: checkpoints of another version are thrown away."""

_encode = json.JSONEncoder(separators=(",", ":")).encode

TERMINAL = frozenset(
    {
        session_pb2.SESSION_STATUS_COMPLETED,
        session_pb2.SESSION_STATUS_FAILED,
        session_pb2.SESSION_STATUS_ARCHIVED,
    }
)

SECOND = 1_000_000_000


class Next(IntEnum):
    """What an open tool use needs next. Values stand in checkpoints."""

    CUSTOM_RESULT = 1
    """user.custom_tool_result."""
    CONFIRMATION = 2
    """user.tool_confirmation."""
    RESULT = 3
    """user.tool_result."""
    RUN = 4
    """The server runs it."""
    END = 5
    """The server began to run it, and it must not run twice."""


@dataclass(slots=True)
class OpenUse:
    """A tool use without a result. Kept in the order of the calls."""

    name: str
    seq: int
    next: Next
    deadline: int = 0
    """Wall time in nanoseconds at which its wait for the client goes to requires_action."""
    patience: int = 0
    """Of a use that asks, the nanoseconds from it to its deadline: a client that has confirmed it has them once more.
    0: nobody was asked."""
    overdue: bool = False
    """A status.idle has said that it is waited for."""
    mcp: bool = False
    at_client: bool = False
    """The client runs it, once it may."""

    @property
    def waits(self) -> bool:
        """For the client."""
        return self.next < Next.RUN


@dataclass(slots=True)
class Spent:
    """Usage, summed. Times in nanoseconds."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    requests: int = 0
    model_time: int = 0

    @property
    def tokens(self) -> int:
        """What a budget counts."""
        return self.input_tokens + self.output_tokens

    def add(self, usage: model_pb2.Usage) -> None:
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cache_read_tokens += usage.cache_read_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.reasoning_tokens += usage.reasoning_tokens
        self.requests += usage.requests
        self.model_time += usage.model_time.ToNanoseconds()

    def values(self) -> list[int]:
        return [getattr(self, name) for name in _SPENT]

    def plus(self, usage: model_pb2.Usage) -> "Spent":
        total = replace(self)
        total.add(usage)
        return total

    def message(self) -> model_pb2.Usage:
        usage = model_pb2.Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens,
            requests=self.requests,
        )
        if self.model_time:
            usage.model_time.FromNanoseconds(self.model_time)
        return usage


DEFAULT_ITERATIONS = 3
"""Of an outcome that does not say."""


@dataclass(slots=True)
class Outcome:
    """What the session is to work towards. It is over when it is no longer there."""

    seq: int
    """Of user.define_outcome."""
    most: int
    """Iterations."""
    judged: int = 0
    """Iterations that were."""
    schemaless: bool = False
    """The provider rejected the grader's request, perhaps for its schema: it is asked without one."""
    further: int = 0
    """The verdict that numbers the next turn, which has not begun; 0: none."""


@dataclass(slots=True)
class State:
    head: int = 0
    log_bytes: int = 0
    state: int = session_pb2.SESSION_STATUS_QUEUED
    """The SessionStatus underneath the pause flag."""
    queue: list[int] = field(default_factory=list)
    """The seqs of the messages that wait for their turn, an outcome among them."""
    outcome: Outcome | None = None
    """Queued, or worked towards."""
    to_grade: bool = False
    """The model is done with the open turn, which the grader is to judge."""
    turn: int = 0
    """The open turn; 0: none."""
    uses: dict[str, OpenUse] = field(default_factory=dict)
    rounds: int = 0
    """Model answers in the open turn."""
    failures: int = 0
    """Failures in a row of the model request that is due."""
    must_compact: bool = False
    """The provider said that the conversation is too long: older turns are folded before the next request."""
    too_long: int = 0
    """How often it said so in the open turn."""
    compaction_failed: bool = False
    """The model would not make the summary in the open turn, which goes on without."""
    retry_time: int = 0
    """Rescheduling: wall time in nanoseconds at which the next attempt is due."""
    finished: int = 0
    """Model requests that the log shows as finished: answered, or failed. Without the grader's."""
    response: str = ""
    """The id of the last model response."""
    interrupted: dict[int, int] = field(default_factory=dict)
    """The turns that a logged interrupt ends and that have no status.idle yet, each with the seq below which queued
    messages are dropped with it; 0: none are."""
    paused_seq: int = 0
    """The seq of the status.paused in force; 0: not paused."""
    paused_time: int = 0
    """Its wall time in nanoseconds."""
    resumed_seq: int = 0
    spent: Spent = field(default_factory=Spent)
    turn_spent: Spent = field(default_factory=Spent)

    @property
    def status(self) -> int:
        """As Status gives it."""
        if self.paused_seq and self.state not in TERMINAL:
            return session_pb2.SESSION_STATUS_PAUSED
        return self.state

    @property
    def next_turn(self) -> int:
        """The turn that begins when none is open: the oldest of what waits. 0: nothing does."""
        waiting = self.queue[:1]
        if self.outcome is not None and self.outcome.further:
            waiting.append(self.outcome.further)
        return min(waiting, default=0)

    @property
    def towards(self) -> Outcome | None:
        """The outcome whose first turn has begun."""
        return None if self.outcome is None or self.outcome.seq in self.queue else self.outcome

    @property
    def waiting(self) -> list[str]:
        """The uses that wait for the client."""
        return [use_id for use_id, use in self.uses.items() if use.waits]

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL

    def dump(self) -> str:
        values = {name: getattr(self, name) for name in _PLAIN}
        values["fold"] = FOLD
        values["uses"] = [
            [id_, use.name, use.seq, use.next, use.deadline, use.patience, use.overdue, use.mcp, use.at_client]
            for id_, use in self.uses.items()
        ]
        values["outcome"] = None if self.outcome is None else astuple(self.outcome)
        values["interrupted"] = list(self.interrupted.items())
        values["spent"] = self.spent.values()
        values["turn_spent"] = self.turn_spent.values()
        return _encode(values)

    @classmethod
    def load(cls, checkpoint: str) -> "State | None":
        """None: made by another version of the fold, or unreadable. Then the log itself says it."""
        try:
            values = json.loads(checkpoint)
            if values.pop("fold") != FOLD:
                return None
            values["uses"] = {
                id_: OpenUse(name, seq, Next(due), *rest) for id_, name, seq, due, *rest in values["uses"]
            }
            values["outcome"] = None if values["outcome"] is None else Outcome(*values["outcome"])
            values["interrupted"] = dict(values["interrupted"])
            values["spent"] = Spent(*values["spent"])
            values["turn_spent"] = Spent(*values["turn_spent"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


_SPENT = tuple(entry.name for entry in fields(Spent))
_NOT_PLAIN = frozenset({"uses", "outcome", "interrupted", "spent", "turn_spent"})
_PLAIN = tuple(entry.name for entry in fields(State) if entry.name not in _NOT_PLAIN)
