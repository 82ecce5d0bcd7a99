"""What a session asks of a model, and what it gets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from managedagents.v1 import agent_pb2, content_pb2, event_pb2, model_pb2, status_event_pb2


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model, where it is served, and what it is asked with: everything resolved, nothing asked yet."""

    provider: str
    """One of names.py."""
    model: str
    base_url: str
    """Empty: the provider's public address."""
    key: str = field(default="", repr=False)
    """Empty: none."""
    speed: agent_pb2.ModelSpeed.ValueType = agent_pb2.MODEL_SPEED_UNSPECIFIED
    private: bool = False
    """The operator allows a private address here."""

    @property
    def address(self) -> str:
        """Whose failures are counted together: a dead provider is dead for every model and key of it."""
        return f"{self.provider} {self.base_url}"


@dataclass(frozen=True, slots=True)
class Verbatim:
    """What a provider needs back exactly as it gave it: signatures, its own ids. Opaque to everybody else."""

    provider: str
    blob: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What the user said."""

    content: Sequence[content_pb2.Content]


@dataclass(frozen=True, slots=True)
class Answered:
    """One model response: its events in order (agent.message, agent.thinking and the uses)."""

    events: Sequence[event_pb2.SessionEvent]
    verbatim: Verbatim | None


@dataclass(frozen=True, slots=True)
class Result:
    """How one tool use was closed."""

    tool_use_id: str
    name: str
    content: Sequence[content_pb2.Content]
    is_error: bool


@dataclass(frozen=True, slots=True)
class Results:
    """The results of all uses of the Answered just before, in the order of the calls: no more, no fewer."""

    results: Sequence[Result]


Item = Said | Answered | Results


@dataclass(frozen=True, slots=True)
class ToolSpec:
    name: str
    description: str
    input_schema_json: str
    """Never empty."""


@dataclass(frozen=True, slots=True)
class Grading:
    """That a request is a grader's: its answer is a verdict. The response schema is then a wish: a model that
    follows none is asked without it."""

    iteration: int
    """1 is the first."""
    failures: int
    """Failures in a row of this request so far."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    system: str
    conversation: Sequence[Item]
    tools: Sequence[ToolSpec]
    settings: agent_pb2.ModelSettings
    finished: int
    """Model requests of this session that the log shows as finished: answered, or failed. Without the grader's."""
    grading: Grading | None = None
    """None: it is no grader's."""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the answer in work. Pieces of one part, joined in order, are the part so far."""

    part: int
    kind: Literal["text", "thinking", "tool_input"]
    piece: str
    name: str = ""
    """The tool's name, for tool_input."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    input_json: str
    """As the model wrote it; always valid JSON (an empty input is "{}")."""


Part = Text | Thinking | ToolCall


@dataclass(frozen=True, slots=True)
class Answer:
    parts: Sequence[Part]
    stop_reason: model_pb2.ModelStopReason.ValueType
    model: str
    """As the provider names it."""
    usage: model_pb2.Usage = field(default_factory=model_pb2.Usage)
    verbatim: bytes | None = None


class ModelFailure(Exception):
    """A model request that failed. Becomes an event, never a failed call. The message holds no key."""

    def __init__(
        self,
        code: status_event_pb2.ErrorCode.ValueType,
        message: str,
        *,
        transient: bool,
        retry_after: float | None = None,
        content_rejected: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.transient = transient
        self.retry_after = retry_after
        """Seconds that the provider asks to wait."""
        self.content_rejected = content_rejected
        """The provider rejected what the turn holds: asking again with it would fail again."""


class Model(Protocol):
    """One model, ready to be asked. Shared by sessions; holds nothing of any of them."""

    @property
    def provider(self) -> str:
        """The provider's name as it stands in the log and beside a Verbatim."""
        ...

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        """Asks once, without retries. Raises ModelFailure. Cancelling the task closes the provider's connection."""
        ...
