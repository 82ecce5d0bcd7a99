"""A session whose server dies: at a place in the code, or by hand."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from managedagents.v1 import agent_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, message, scripted
from support.driven import drive, lines
from support.judge import Judge
from support.server import Server
from support.stubborn import Stubborn, eventually, stubborn

FLAGS = ("--limit", "retry_first=0.05")


@dataclass(slots=True)
class Life:
    """A session whose server dies. `seen` is where the next wait begins."""

    server: Server
    client: Stubborn
    session_id: str
    seen: int = 0

    async def send(self, event: user_event_pb2.UserEvent | str) -> int:
        return await self.client.send(self.session_id, message(event) if isinstance(event, str) else event)

    async def comes(self, what: str) -> list[Event]:
        events = await self.client.comes(self.session_id, what, self.seen)
        self.seen = events[-1].seq
        return events

    async def uses(self, count: int = 1, kind: str = "agent.tool_use") -> list[str]:
        """Waits for the next so many uses of that kind. Gives their ids."""
        found: list[str] = []
        while len(found) < count:
            last = (await self.comes(kind))[-1]
            found.append(last.agent_tool_use.tool_use_id or last.agent_mcp_tool_use.tool_use_id)
        return found

    async def log(self) -> list[Event]:
        """As it is now; it is one that may be, and has all that was acknowledged."""
        events = await self.client.log(self.session_id)
        Judge().read(events)
        self.client.check(self.session_id, events)
        return events

    async def lines(self) -> list[str]:
        return lines(await self.log())

    async def results(self) -> list[str]:
        """What the model was told."""
        found = [
            event.agent_mcp_tool_result if event.HasField("agent_mcp_tool_result") else event.agent_tool_result
            for event in await self.log()
            if event.HasField("agent_mcp_tool_result") or event.HasField("agent_tool_result")
        ]
        return ["".join(block.text.text for block in result.content) for result in found]

    async def status(self) -> pb.StatusResponse:
        answer: pb.StatusResponse = await self.client.ask(
            self.client.stub.Status, pb.StatusRequest(session_id=self.session_id)
        )
        return answer

    async def pause(self) -> None:
        await self.client.call(self.client.stub.Pause, pb.PauseRequest(session_id=self.session_id))

    async def resume(self) -> None:
        await self.client.call(self.client.stub.Resume, pb.ResumeRequest(session_id=self.session_id))

    @property
    def workspace(self) -> Path:
        return Path(f"{self.server.db}.workspaces") / self.session_id

    @property
    def runs(self) -> int:
        """How often the commands ran."""
        file = self.workspace / "runs"
        return file.read_text().count("ran\n") if file.exists() else 0

    async def begins(self) -> None:
        """The command has done what it does, and hangs."""
        await eventually(lambda: self.runs == 1)

    async def again(self, **environment: str) -> None:
        await self.server.kill()
        await self.server.start(**environment)

    async def dies(
        self, request: Coroutine[Any, Any, Any], *places: str, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """The request leads to the place where the server dies, and is made again until it is answered. The next
        servers die at `places`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(request)
            for place in places:
                assert await self.server.wait() == -signal.SIGKILL
                await self.server.start(MANAGEDAGENTS_TEST_FAILPOINT=place)
            assert await self.server.wait() == -signal.SIGKILL
            meanwhile()
            await self.server.start()

    async def others_go_on(self) -> None:
        """The server has looked at every session, and another one has had a whole turn: what was to happen to this one
        has happened."""
        await self.client.log(self.session_id)
        other = await drive(self.client.stub, scripted({"text": "a"}), "go")
        await other.comes("status.idle end_turn")


@asynccontextmanager
async def life(
    folder: Path, definition: agent_pb2.AgentDefinition, place: str = "", *, flags: tuple[str, ...] = FLAGS
) -> AsyncIterator[Life]:
    """A session that nothing was said to, of a server that dies at that place; empty: at none."""
    server = Server(folder / "log.db", flags)
    await server.start(**({"MANAGEDAGENTS_TEST_FAILPOINT": place} if place else {}))
    try:
        async with stubborn(server) as client:
            created = await client.call(client.stub.Create, pb.CreateRequest(definition=definition))
            started = await client.call(client.stub.StartSession, pb.StartSessionRequest(agent_id=created.agent_id))
            yield Life(server, client, started.session_id)
            assert "Traceback" not in server.stderr()
    finally:
        await server.kill()
