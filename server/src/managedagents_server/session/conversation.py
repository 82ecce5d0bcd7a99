"""What the model gets: the log grouped by turn, in the order in which the turns began, by seq within."""

from collections.abc import Iterable, Mapping, Sequence

from managedagents.v1 import content_pb2, event_pb2
from managedagents_server.providers.base import Answered, Item, Result, Results, Said, Verbatim

Event = event_pb2.SessionEvent


class Conversation:
    """Grows event by event. Since turns run one at a time, the open turn is always the end of the list: only messages
    that come in mid-turn wait aside until their own turn begins."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._queued: dict[int, Event] = {}
        self._turn = 0
        self._turn_start = 0
        self._response = ""
        self._answer: list[Event] = []
        self._results: dict[str, Result] = {}
        self._names: dict[str, str] = {}
        """The uses of the last response that have no result yet in `items`, in the order of the calls."""

    def add(self, event: Event, verbatim: Verbatim | None = None) -> None:
        """`verbatim` stands beside the first event of a response."""
        if event.response_id:
            self._add_answer(event, verbatim)
            return
        match event.WhichOneof("payload"):
            case "user_message":
                self._queued[event.seq] = event
            case "status_running" if event.turn != self._turn:
                self._begin(event.turn)
            case "user_custom_tool_result":
                given = event.user_custom_tool_result
                self._close(given.custom_tool_use_id, given.content, given.is_error)
            case "agent_tool_result":
                result = event.agent_tool_result
                self._close(result.tool_use_id, result.content, result.is_error)
            case "status_idle":
                for seq in event.status_idle.stop_reason.interrupted.dropped_seqs:
                    self._queued.pop(seq, None)
            case "error" if event.error.turn_excluded:
                del self.items[self._turn_start :]

    def _begin(self, turn: int) -> None:
        self._turn = turn
        self._turn_start = len(self.items)
        self.items.append(Said(self._queued.pop(turn).user_message.content))

    def _add_answer(self, event: Event, verbatim: Verbatim | None) -> None:
        if event.response_id != self._response:
            self._response = event.response_id
            self._answer = []
            self._results = {}
            self._names = {}
            self.items.append(Answered(self._answer, verbatim))
        self._answer.append(event)
        match event.WhichOneof("payload"):
            case "agent_custom_tool_use":
                self._names[event.agent_custom_tool_use.custom_tool_use_id] = event.agent_custom_tool_use.name
            case "agent_tool_use":
                self._names[event.agent_tool_use.tool_use_id] = event.agent_tool_use.name

    def _close(self, use: str, content: Sequence[content_pb2.Content], is_error: bool) -> None:
        self._results[use] = Result(use, self._names[use], list(content), is_error)
        if len(self._results) == len(self._names):
            # In the order of the calls, whatever order the answers came in.
            self.items.append(Results([self._results[id_] for id_ in self._names]))


def rebuild(events: Iterable[Event], verbatims: Mapping[int, Verbatim]) -> Conversation:
    """The conversation as of the last event of a log."""
    conversation = Conversation()
    for event in events:
        conversation.add(event, verbatims.get(event.seq))
    return conversation
