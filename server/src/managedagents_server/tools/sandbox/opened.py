"""A command of a session that is spoken to while it runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO

from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox.attending import Attending
from managedagents_server.tools.sandbox.child import Child
from managedagents_server.tools.sandbox.watch import Watch


@dataclass(frozen=True, slots=True)
class Pipes:
    """Our ends of the command's."""

    stdin: int
    stdout: int
    stderr: int


@dataclass(slots=True)
class Opened:
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing of it runs any more."""
    stopped: str = ""
    """Why it was ended, in words."""

    def end_rest(self) -> None:
        """There is none, ever."""


class _Streams:
    """Who speaks to the command reads what it writes."""

    def __init__(self) -> None:
        self._finished = asyncio.Event()

    async def run(self) -> str:
        await self._finished.wait()
        return ""

    def finish(self) -> None:
        self._finished.set()


@asynccontextmanager
async def opened(
    child: Child, pipes: Pipes, place: Place, *, line_bytes: int, ends_within: float
) -> AsyncIterator[Opened]:
    """Takes the child and the pipes over."""
    attending = Attending()
    async with AsyncExitStack() as stack:
        stack.callback(child.close)
        files = [FileIO(end, mode) for end, mode in ((pipes.stdin, "w"), (pipes.stdout, "r"), (pipes.stderr, "r"))]
        for file in files:
            stack.callback(file.close)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        watch = Watch(place.workspace, place.bounds, attending.stop)
        begun = asyncio.Event()
        attended = group.create_task(_attended(child, attending, watch, begun))
        # From here on it is ended, however this is left. A task that never began would not do it.
        await begun.wait()
        stack.callback(attending.stop, "nobody has need of it any more")
        streams = await _streams(stack, line_bytes, files)
        attended.add_done_callback(lambda done: _over(streams, done))
        yield streams
        streams.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(ends_within):
                await streams.exited.wait()


async def _attended(child: Child, attending: Attending, watch: Watch, begun: asyncio.Event) -> str:
    """Why it was ended. Empty: it came to its own end."""
    begun.set()
    return (await attending.attend(child, _Streams(), watch, None)).stopped


def _over(streams: Opened, done: "asyncio.Task[str]") -> None:
    if not done.cancelled() and done.exception() is None:
        streams.stopped = done.result()
    streams.exited.set()


async def _streams(stack: AsyncExitStack, line_bytes: int, files: Sequence[FileIO]) -> Opened:
    loop = asyncio.get_running_loop()
    stdin, stdout, stderr = files

    async def reader(file: FileIO) -> asyncio.StreamReader:
        made = asyncio.StreamReader(line_bytes)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(made), file)
        stack.callback(transport.close)
        return made

    # The protocol is there for its flow control; nothing is read by it.
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), stdin
    )
    stack.callback(transport.abort)
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    return Opened(writer, await reader(stdout), await reader(stderr))
