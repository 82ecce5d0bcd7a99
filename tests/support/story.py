"""A session's log, told in few words."""

import random

from managedagents.v1 import model_pb2, status_event_pb2, user_event_pb2
from managedagents_server.providers.base import Answer, ModelFailure, Text, ToolCall, ToolSpec
from managedagents_server.session import events, inbox
from managedagents_server.session.fold import apply
from managedagents_server.session.frames import Event
from managedagents_server.session.state import State
from managedagents_server.session.toolbox import Custom, Toolbox, why_not
from support.calls import outcome

StopReason = status_event_pb2.StopReason


def message(text: str) -> user_event_pb2.UserEvent:
    return user_event_pb2.UserEvent(user_message=user_event_pb2.UserMessage(content=[events.text(text)]))


def result(use: str, text: str = "ok") -> user_event_pb2.UserEvent:
    given = user_event_pb2.UserCustomToolResult(custom_tool_use_id=use, content=[events.text(text)])
    return user_event_pb2.UserEvent(user_custom_tool_result=given)


def interrupt(*, drop_queued: bool = False) -> user_event_pb2.UserEvent:
    return user_event_pb2.UserEvent(user_interrupt=user_event_pb2.UserInterrupt(drop_queued=drop_queued))


class Story:
    """The log as it grows, and the state that it folds to."""

    def __init__(self) -> None:
        self.state = State()
        self.events: list[Event] = []

    def add(self, *added: Event) -> None:
        for event in added:
            event.seq = self.state.head + 1
            apply(self.state, event, event.ByteSize())
            self.events.append(event)

    def take(self, event: user_event_pb2.UserEvent) -> None:
        """What a client sends, as the inbox logs it."""
        self.add(*inbox.logged(self.state, event))

    def say(self, *texts: str) -> None:
        for text in texts:
            self.take(message(text))

    def give(self, use: str, text: str = "ok") -> None:
        self.take(result(use, text))

    def define(self, criteria: str, max_iterations: int | None = None) -> None:
        self.take(outcome(criteria, max_iterations))

    def run(self) -> None:
        """The next turn begins, or the open one goes on."""
        self.add(events.running(self.state.turn or self.state.next_turn, self.state.failures + 1))

    def answer(self, text: str, *tools: str) -> list[str]:
        """The model's last words, or calls; gives the ids of the open uses. A tool whose name ends in ? is unknown."""
        said = [Text(text)] if text else []
        calls = [ToolCall(tool, f'{{"{tool}":1}}') for tool in tools]
        toolbox = Toolbox({tool: Custom(ToolSpec(tool, "", "{}")) for tool in tools if not tool.endswith("?")})
        produced = events.response(
            self.state,
            Answer([*said, *calls], model_pb2.MODEL_STOP_REASON_UNSPECIFIED, "scripted", model_pb2.Usage(requests=1)),
            "scripted",
            response_id=f"rsp_{self.state.finished + 1}",
            attempt=self.state.failures + 1,
            deadline=0,
            toolbox=toolbox,
            denials=[why_not(call.name, call.input_json, toolbox.get(call.name)) for call in calls],
        )
        if not tools and not (self.state.towards and not self.state.next_turn):
            produced.append(self._idle(StopReason(end_turn=status_event_pb2.EndTurn())))
        self.add(*produced)
        return list(self.state.uses)

    def evaluate(self, *, met: bool, reason: str = "it is so") -> None:
        """The grader judges the open turn."""
        state, towards = self.state, self.state.towards
        assert towards is not None
        event = Event(turn=state.turn, response_id=f"rsp_g{state.head + 1}")
        event.response.usage.requests = 1
        evaluated = status_event_pb2.OutcomeEvaluated(iteration=towards.judged + 1, met=met, reason=reason)
        event.outcome_evaluated.CopyFrom(evaluated)
        self.add(event)
        if met and not state.next_turn:
            self.add(Event(status_completed=status_event_pb2.StatusCompleted()))
        elif not met and evaluated.iteration >= towards.most:
            reached = StopReason(max_outcome_iterations=status_event_pb2.MaxOutcomeIterations())
            self.add(self._idle(reached, event.turn))

    def interrupt(self, *, drop_queued: bool = False) -> None:
        self.take(interrupt(drop_queued=drop_queued))
        turn = next(iter(self.state.interrupted))
        reason = StopReason(interrupted=status_event_pb2.Interrupted(dropped_seqs=events.dropped(self.state, turn)))
        self.add(*events.closings(self.state, turn), self._idle(reason, turn))

    def fail(self, *, rejected: bool) -> None:
        """The turn ends in an error."""
        code, next_ = status_event_pb2.ERROR_CODE_MODEL_REJECTED, status_event_pb2.ERROR_NEXT_TURN_ENDS
        error = events.error(self.state.turn, code, "no", next_, turn_excluded=rejected)
        self.add(error, self._idle(StopReason(error=status_event_pb2.StoppedByError())))

    def fail_for_now(self) -> None:
        failure = ModelFailure(status_event_pb2.ERROR_CODE_MODEL_TIMEOUT, "slow", transient=True)
        self.add(events.rescheduling(self.state.turn, failure, self.state.failures + 1, 0.0, 0))

    def give_up_waiting(self) -> None:
        self.add(self._idle(events.waits(self.state.uses)))

    def compact(self, summary: str, last_turn: int) -> None:
        """Turns up to `last_turn` are folded."""
        event = Event(turn=self.state.turn, response_id=f"rsp_{self.state.finished + 1}")
        event.response.usage.requests = 1
        event.agent_context_compacted.summary = summary
        event.agent_context_compacted.last_turn = last_turn
        self.add(event)

    def pause(self) -> None:
        self.add(Event(status_paused=status_event_pb2.StatusPaused()))

    def archive(self) -> None:
        self.add(Event(status_archived=status_event_pb2.StatusArchived()))

    def _idle(self, reason: status_event_pb2.StopReason, turn: int = 0) -> Event:
        return events.idle(turn or self.state.turn, reason, self.state.turn_spent.message())


def a_random_story(seed: int) -> Story:
    """Whatever a session can go through, in any order."""
    chance = random.Random(seed)
    story = Story()
    begun: list[int] = []
    for number in range(120):
        state = story.state
        if state.turn and state.turn not in begun:
            begun.append(state.turn)
        may = ["say"] if state.outcome else ["say", "define"]
        if not state.turn:
            may += ["run"] * 3 if state.next_turn else ["interrupt"]
        elif state.to_grade and state.state == 2:
            may += ["evaluate"] * 4 + ["fail_for_now", "interrupt", "drop", "fail"]
        elif state.uses:
            may += ["give"] * 4 + ["interrupt", "give_up_waiting"]
        elif state.state == 2:
            may += ["answer"] * 3 + ["call"] * 4 + ["fail_for_now", "interrupt", "drop", "reject", "fail"]
            may += ["compact"] if len(begun) > 4 else []
        else:
            may += ["run"]
        match chance.choice(may):
            case "say":
                story.say(f"message {number}")
            case "define":
                story.define(f"criteria {number}", chance.randint(1, 4))
            case "evaluate":
                story.evaluate(met=bool(state.queue) and chance.random() < 0.5)
            case "run":
                story.run()
            case "answer":
                story.answer(f"answer {number}")
            case "call":
                story.answer(chance.choice(["", "hm"]), *chance.choices(["a", "b", "c", "x?"], k=chance.randint(1, 4)))
            case "give":
                story.give(chance.choice(list(state.uses)), f"result {number}")
            case "give_up_waiting":
                story.give_up_waiting()
            case "interrupt" | "drop" as how:
                story.interrupt(drop_queued=how == "drop")
            case "reject" | "fail" as how:
                story.fail(rejected=how == "reject")
            case "fail_for_now":
                story.fail_for_now()
            case "compact":
                covered = chance.randint(1, 2)
                story.compact(f"summary {number}", begun[covered - 1])
                del begun[:covered]
    return story
