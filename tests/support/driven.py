"""One session as a test drives it, and its log as a test reads it: one line an event."""

from collections.abc import Sequence
from dataclasses import dataclass

from managedagents.v1 import agent_event_pb2, agent_pb2, status_event_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, answer, kind, log, message, scripted, send, start, until
from support.server import Stub


def told(event: Event) -> str:
    """An event in words, without its turn: its kind, and what is decisive in it."""
    name = kind(event)
    match name:
        case "status.running" if event.status_running.attempt != 1:
            return f"{name} attempt {event.status_running.attempt}"
        case "status.idle":
            return f"{name} {event.status_idle.stop_reason.WhichOneof('reason')}"
        case "status.rescheduling":
            rescheduling = event.status_rescheduling
            return f"{name} {rescheduling.attempt} {_short(status_event_pb2.ErrorCode.Name(rescheduling.cause))}"
        case "agent.tool_result":
            return f"{name} {_short(agent_event_pb2.ToolResultCause.Name(event.agent_tool_result.cause))}"
        case "agent.mcp_tool_result":
            return f"{name} {_short(agent_event_pb2.ToolResultCause.Name(event.agent_mcp_tool_result.cause))}"
        case "outcome.evaluated":
            return f"{name} {event.outcome_evaluated.iteration} {'met' if event.outcome_evaluated.met else 'not met'}"
        case "error":
            return f"{name} {_short(status_event_pb2.ErrorCode.Name(event.error.code))}"
        case _:
            return name


def _short(name: str) -> str:
    return name.removeprefix("ERROR_CODE_").removeprefix("TOOL_RESULT_CAUSE_").lower()


def lines(events: Sequence[Event]) -> list[str]:
    """Each event as `turn kind ...`, after a look at the promise that seq rises by one."""
    if events:
        first = events[0].seq
        assert [event.seq for event in events] == list(range(first, first + len(events)))
    return [f"{event.turn} {told(event)}" for event in events]


def use_ids(events: Sequence[Event]) -> list[str]:
    """The custom tool uses among the events, in order."""
    return [
        event.agent_custom_tool_use.custom_tool_use_id for event in events if event.HasField("agent_custom_tool_use")
    ]


def texts(events: Sequence[Event]) -> list[str]:
    """What the model said."""
    return ["".join(block.text.text for block in event.agent_message.content) for event in said(events)]


def said(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.HasField("agent_message")]


@dataclass(slots=True)
class Driven:
    """A session behind a stub. `seen` is where the next wait begins."""

    stub: Stub
    session_id: str
    seen: int = 0

    async def send(self, event: user_event_pb2.UserEvent | str, request_id: str = "") -> int:
        return await send(self.stub, self.session_id, event, request_id)

    async def answer(self, use_id: str, text: str = "ok") -> int:
        return await self.send(answer(use_id, text))

    async def interrupt(self, *, drop_queued: bool = False) -> pb.InterruptResponse:
        return await self.stub.Interrupt(pb.InterruptRequest(session_id=self.session_id, drop_queued=drop_queued))

    async def pause(self) -> pb.PauseResponse:
        return await self.stub.Pause(pb.PauseRequest(session_id=self.session_id))

    async def resume(self) -> pb.ResumeResponse:
        return await self.stub.Resume(pb.ResumeRequest(session_id=self.session_id))

    async def archive(self) -> pb.ArchiveResponse:
        return await self.stub.Archive(pb.ArchiveRequest(session_id=self.session_id))

    async def delete(self) -> pb.DeleteSessionResponse:
        return await self.stub.DeleteSession(pb.DeleteSessionRequest(session_id=self.session_id))

    async def status(self) -> pb.StatusResponse:
        return await self.stub.Status(pb.StatusRequest(session_id=self.session_id))

    async def log(self) -> list[Event]:
        return await log(self.stub, self.session_id)

    async def lines(self) -> list[str]:
        """The whole log as it is now."""
        return lines(await self.log())

    async def comes(self, what: str) -> list[Event]:
        """Waits for the next event that is told so (or whose telling begins so, up to a space). Gives what came up to
        it."""

        def is_it(event: Event) -> bool:
            return f"{told(event)} ".startswith(f"{what} ")

        events = await until(self.stub, self.session_id, is_it, self.seen)
        self.seen = events[-1].seq
        return events


async def drive(stub: Stub, definition: agent_pb2.AgentDefinition, *messages: str) -> Driven:
    return Driven(stub, await start(stub, definition, *messages))


async def sessions_of(stub: Stub, definition: agent_pb2.AgentDefinition, count: int, *messages: str) -> list[Driven]:
    """So many sessions of one agent."""
    agent = await stub.Create(pb.CreateRequest(definition=definition))
    request = pb.StartSessionRequest(agent_id=agent.agent_id, initial_events=[message(text) for text in messages])
    return [Driven(stub, (await stub.StartSession(request)).session_id) for _ in range(count)]


async def let_pass(stub: Stub, seconds: float) -> None:
    """Returns when a deadline that long has come for another session of the same server: one that began earlier, and
    was no longer, had its time, too."""
    other = await drive(
        stub, scripted({"tool_calls": [{"name": "wait"}]}, tools=["wait"], custom_tool_timeout=f"{seconds}s"), "wait"
    )
    await other.comes("status.idle requires_action")
    await other.archive()
