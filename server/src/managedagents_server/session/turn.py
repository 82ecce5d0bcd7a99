"""How one turn goes, or all the turns towards one outcome, as their events tell it."""

from managedagents.v1 import event_pb2, status_event_pb2, stream_pb2
from managedagents_server.session.state import Spent

Event = event_pb2.SessionEvent

_Stop = stream_pb2.TurnStopReason
_TERMINAL = {
    "status_completed": stream_pb2.TURN_STOP_REASON_COMPLETED,
    "status_failed": stream_pb2.TURN_STOP_REASON_FAILED,
    "status_archived": stream_pb2.TURN_STOP_REASON_ARCHIVED,
}


class Turn:
    """Takes the session's events from the turn's first on."""

    def __init__(self, seq: int) -> None:
        self.result: stream_pb2.TurnResult | None = None
        """None: the turn goes on."""
        self.over = False
        self.seq = seq
        self._turns = {seq}
        self._is_outcome = False
        self._is_towards = False
        """The outcome's first turn has begun."""
        self._text = self._said_in = ""
        self._spent = Spent()
        self._error: status_event_pb2.ErrorEvent | None = None

    def take(self, event: Event) -> bool:
        """Whether the event is one of the turn's."""
        if self.over:
            return False
        kind = event.WhichOneof("payload")
        # What a message's turn within the outcome led to is judged for the outcome.
        ours = event.turn in self._turns or (self._is_towards and kind == "outcome_evaluated")
        if ours:
            self._keep(event)
        if kind in _TERMINAL:
            self._end(_TERMINAL[kind])
        elif kind == "status_idle":
            self._idle(event.status_idle, ours=ours)
        elif ours:
            self._goes_on(event)
        return ours

    def _keep(self, event: Event) -> None:
        if event.HasField("response"):
            self._spent.add(event.response.usage)
        if event.HasField("agent_message"):
            words = "".join(block.text.text for block in event.agent_message.content)
            if words:
                self._text = self._text + words if event.response_id == self._said_in else words
                self._said_in = event.response_id
        elif event.HasField("error") and event.error.next != status_event_pb2.ERROR_NEXT_TURN_GOES_ON:
            self._error = event.error

    def _goes_on(self, event: Event) -> None:
        match event.WhichOneof("payload"):
            case "user_define_outcome":
                self._is_outcome = event.seq == self.seq
            case "status_running":
                self.result = self._error = None
                self._is_towards = self._is_outcome
            case "outcome_evaluated" if self._is_outcome:
                self._turns.add(event.seq)
            case "outcome_evaluated":
                self._end(stream_pb2.TURN_STOP_REASON_OUTCOME_EVALUATED)

    def _idle(self, idle: status_event_pb2.StatusIdle, *, ours: bool) -> None:
        reason = idle.stop_reason
        if self.seq in reason.interrupted.dropped_seqs:
            self._end(stream_pb2.TURN_STOP_REASON_DROPPED)
        elif reason.HasField("requires_action"):
            if ours:
                self.result = self._result(stream_pb2.TURN_STOP_REASON_REQUIRES_ACTION)
                self.result.waits_for.extend(reason.requires_action.ids)
        elif self._is_towards:
            # After end_turn a message's turn comes next, and it is judged after that one.
            if not reason.HasField("end_turn"):
                self._end(_stop(reason))
        elif ours:
            self._end(_stop(reason))

    def _end(self, why: _Stop.ValueType) -> None:
        self.result, self.over = self._result(why), True

    def _result(self, why: _Stop.ValueType) -> stream_pb2.TurnResult:
        usage = self._spent.message()
        return stream_pb2.TurnResult(stop_reason=why, text=self._text, usage=usage, error=self._error)


def _stop(reason: status_event_pb2.StopReason) -> _Stop.ValueType:
    return _Stop.Value(f"TURN_STOP_REASON_{(reason.WhichOneof('reason') or 'unspecified').upper()}")
