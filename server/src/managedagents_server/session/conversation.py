"""What the model gets: the log grouped by turn, in the order in which the turns began, by seq within; older turns as
their summary, where one was made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from managedagents.v1 import content_pb2, event_pb2
from managedagents_server.providers.base import Answered, Item, Result, Results, Said, Verbatim
from managedagents_server.session import sizes
from managedagents_server.words.mcp_names import shown_name

Event = event_pb2.SessionEvent


@dataclass(slots=True)
class Turn:
    """A turn that began, with what of it the model is told."""

    turn: int
    items: list[Item] = field(default_factory=list)
    tokens: int = 0
    """About how many tokens the items are."""


class Conversation:
    """Grows event by event. Since turns run one at a time, the open turn is always the last of the list: only messages
    that come in mid-turn wait aside until their own turn begins."""

    def __init__(self) -> None:
        self.summary = ""
        """Of the turns before those of `turns`. Empty: there are none."""
        self.turns: list[Turn] = []
        self.criteria = ""
        """Of the last outcome whose first turn began."""
        self._outcome = 0
        """That turn."""
        self._queued: dict[int, Event] = {}
        self._response = ""
        self._answer: list[Event] = []
        self._results: dict[str, Result] = {}
        self._names: dict[str, str] = {}
        """The uses of the last response that have no result yet in its turn, in the order of the calls."""
        self._measured = 0
        """Tokens of the last request and its answer, as the provider counted them. 0: it did not, or what it counted is
        no longer the conversation."""
        self._since = 0
        """About how many tokens came after it."""

    @property
    def items(self) -> list[Item]:
        """What a request holds. The summary stands at the head of the first message, so that users and models keep
        taking turns."""
        items = [item for turn in self.turns for item in turn.items]
        if self.summary:
            first = items[0].content if items and isinstance(items[0], Said) else []
            told = Said(_after(_HEADING + self.summary, first))
            items[: 1 if first else 0] = [told]
        return items

    def before(self, turn: int) -> list[Turn]:
        """The turns that are told and began before this one, which may not have begun yet."""
        return [earlier for earlier in self.turns if earlier.turn != turn and earlier.items]

    @property
    def towards(self) -> list[Turn]:
        """The turns since the first one of the last outcome; without those that the summary covers."""
        first = next((index for index, turn in enumerate(self.turns) if turn.turn == self._outcome), 0)
        return self.turns[first:]

    def tokens(self, turn: int, beside: int) -> int:
        """About how many tokens the next request of this turn holds; `beside`: those of the system prompt and the
        tools."""
        queued = self._queued.get(turn)
        to_come = sizes.tokens_of_content(said_of(queued)) if queued is not None else 0
        if self._measured:
            return self._measured + self._since + to_come
        told = sum(earlier.tokens for earlier in self.turns)
        return beside + sizes.tokens_of_text(self.summary) + told + to_come

    def add(self, event: Event, verbatim: Verbatim | None = None) -> None:
        """`verbatim` stands beside the first event of a response."""
        kind = event.WhichOneof("payload")
        if kind == "agent_context_compacted":
            self._compact(event)
            return
        if kind == "outcome_evaluated":
            if not event.outcome_evaluated.met:
                self._queued[event.seq] = event
            return
        if event.response_id:
            self._add_answer(event, verbatim)
            return
        match kind:
            case "user_message" | "user_define_outcome":
                self._queued[event.seq] = event
            case "status_running" if not self.turns or event.turn != self.turns[-1].turn:
                self._begin(event.turn)
            case "user_custom_tool_result":
                given = event.user_custom_tool_result
                self._close(given.custom_tool_use_id, given.content, given.is_error)
            case "user_tool_result":
                returned = event.user_tool_result
                self._close(returned.tool_use_id, returned.content, returned.is_error)
            case "agent_tool_result":
                result = event.agent_tool_result
                self._close(result.tool_use_id, result.content, result.is_error)
            case "agent_mcp_tool_result":
                told = event.agent_mcp_tool_result
                self._close(told.tool_use_id, told.content, told.is_error)
            case "status_idle":
                for seq in event.status_idle.stop_reason.interrupted.dropped_seqs:
                    self._queued.pop(seq, None)
            case "error" if event.error.turn_excluded:
                self.turns[-1] = Turn(event.turn)
                self._measured = 0

    def _begin(self, turn: int) -> None:
        self.turns.append(Turn(turn))
        event = self._queued.pop(turn)
        if event.HasField("user_define_outcome"):
            self.criteria, self._outcome = event.user_define_outcome.criteria, turn
        said = Said(said_of(event))
        self._grow(said, sizes.tokens_of_content(said.content))

    def _grow(self, item: Item, tokens: int) -> None:
        turn = self.turns[-1]
        turn.items.append(item)
        turn.tokens += tokens
        self._since += tokens

    def _add_answer(self, event: Event, verbatim: Verbatim | None) -> None:
        if event.response_id != self._response:
            self._response = event.response_id
            self._answer = []
            self._results = {}
            self._names = {}
            self._grow(Answered(self._answer, verbatim), 0)
            usage = event.response.usage
            self._measured = usage.input_tokens + usage.output_tokens if usage.input_tokens else 0
            self._since = 0
        self._answer.append(event)
        self.turns[-1].tokens += sizes.tokens_of_answer(event)
        match event.WhichOneof("payload"):
            case "agent_custom_tool_use":
                self._names[event.agent_custom_tool_use.custom_tool_use_id] = event.agent_custom_tool_use.name
            case "agent_tool_use":
                self._names[event.agent_tool_use.tool_use_id] = event.agent_tool_use.name
            case "agent_mcp_tool_use":
                mcp = event.agent_mcp_tool_use
                self._names[mcp.tool_use_id] = shown_name(mcp.server_name, mcp.name)

    def _close(self, use: str, content: Sequence[content_pb2.Content], is_error: bool) -> None:
        self._results[use] = Result(use, self._names[use], list(content), is_error)
        if len(self._results) == len(self._names):
            # In the order of the calls, whatever order the answers came in.
            results = [self._results[id_] for id_ in self._names]
            self._grow(Results(results), sum(sizes.tokens_of_content(result.content) for result in results))

    def _compact(self, event: Event) -> None:
        self.summary = event.agent_context_compacted.summary
        last = event.agent_context_compacted.last_turn
        covered = next(index for index, turn in enumerate(self.turns) if turn.turn == last)
        del self.turns[: covered + 1]
        self._measured = 0


_HEADING = "[Summary of the conversation before this message]\n"


_DEFINED = (
    "Work until the following criteria are met. When you answer without calling a tool, somebody else judges by them, "
    "and by what you did and said, whether they are. The criteria:\n\n"
)
_NOT_MET = "The criteria are not met yet. The judgement:\n\n"
_GO_ON = "\n\nGo on until they are met."


def said_of(event: Event) -> Sequence[content_pb2.Content]:
    """What the model is told at the beginning of the turn that the event numbers."""
    match event.WhichOneof("payload"):
        case "user_define_outcome":
            return [_text(_DEFINED + event.user_define_outcome.criteria)]
        case "outcome_evaluated":
            return [_text(_NOT_MET + (event.outcome_evaluated.reason or "No reason was given.") + _GO_ON)]
        case _:
            return event.user_message.content


def _text(words: str) -> content_pb2.Content:
    return content_pb2.Content(text=content_pb2.TextContent(text=words))


def _after(words: str, content: Sequence[content_pb2.Content]) -> list[content_pb2.Content]:
    """The content with words before it, in one text where it begins with one: some servers take no more than that."""
    if content and content[0].HasField("text"):
        words, content = f"{words}\n\n{content[0].text.text}", content[1:]
    return [_text(words), *content]


def rebuild(events: Iterable[Event], verbatims: Mapping[int, Verbatim]) -> Conversation:
    """The conversation as of the last event of a log."""
    conversation = Conversation()
    for event in events:
        conversation.add(event, verbatims.get(event.seq))
    return conversation
