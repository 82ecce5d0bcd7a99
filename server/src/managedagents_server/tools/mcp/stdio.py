"""MCP over a process's stdin and stdout: a line is a message.

The library's own transport holds lines of any length, at a cost that grows with their square, leaves stderr to the
operator's terminal, and can leave the process behind when its task is cancelled. Imports the library.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import mcp_types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage

from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.tools.mcp.heard import Streams
from managedagents_server.tools.mcp.process import started
from managedagents_server.tools.mcp.spec import Command, Running, Stdio

logger = logging.getLogger(__name__)

_STRAY = 1000
"""Lines that are no message, of one process: some servers greet or complain on stdout, but do not go on for ever."""
_LAST_WORDS = 2000
"""Bytes of stderr that are kept."""
_LAST_READ = 1.0
"""Seconds after its exit in which its last messages are read, where its pipe does not end."""
_QUEUED = 64
"""Messages on their way to a process that does not read: none waits for it to have room in its pipe."""


class NoMessage(Exception):
    """A server said what is none, where one had to come. The words are for people."""


class LastWords:
    """The end of what a process wrote to stderr."""

    def __init__(self) -> None:
        self._kept: deque[int] = deque(maxlen=_LAST_WORDS)

    def hear(self, data: bytes) -> None:
        self._kept.extend(data[-_LAST_WORDS:])

    def __str__(self) -> str:
        return bytes(self._kept).decode(errors="replace").strip()


def _run(server: Stdio, bounds: McpBounds) -> AbstractAsyncContextManager[Running]:
    launch, env = server.launcher, server.env
    if launch is None:
        launch, env = started, {**get_default_environment(), **env}
    command = Command((server.command, *server.args), env, server.cwd)
    return launch(command, line_bytes=bounds.message_bytes, ends_within=bounds.close / 2)


@asynccontextmanager
async def stdio(server: Stdio, bounds: McpBounds, last_words: LastWords) -> AsyncIterator[Streams]:
    """Raises what a Launcher does."""
    async with _run(server, bounds) as running:
        heard_in, heard = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        said, said_out = anyio.create_memory_object_stream[SessionMessage](_QUEUED)
        async with heard_in, heard, said, said_out, anyio.create_task_group() as tasks:
            tasks.start_soon(_hear_till_its_end, running, heard_in, last_words)
            tasks.start_soon(_say, said_out, running.stdin)
            tasks.start_soon(_drain, running.stderr, last_words)
            try:
                yield heard, said
            finally:
                tasks.cancel_scope.cancel()


async def _hear_till_its_end(
    running: Running, messages: MemoryObjectSendStream[SessionMessage | Exception], last_words: LastWords
) -> None:
    """A child that it left behind may hold its stdout open, and those who wait for an answer would wait for that."""
    async with messages, anyio.create_task_group() as tasks:
        tasks.start_soon(_end_after, running, tasks.cancel_scope, last_words)
        await _hear(running.stdout, messages)
        tasks.cancel_scope.cancel()


async def _end_after(running: Running, hearing: anyio.CancelScope, last_words: LastWords) -> None:
    await running.exited.wait()
    running.end_rest()
    if running.stopped:
        last_words.hear(f"\n[it was ended: {running.stopped}]".encode())
    # What it said before is in the pipe, and its end as a rule, too.
    await anyio.sleep(_LAST_READ)
    hearing.cancel()


async def _hear(stdout: asyncio.StreamReader, messages: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    stray = 0
    while True:
        try:
            line = await stdout.readuntil()
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            item: SessionMessage | Exception = NoMessage("it sent a message that is too long")
        else:
            if not line.startswith(b"{"):
                stray += bool(line.strip())
                if stray <= _STRAY:
                    continue
                item = NoMessage("it goes on saying what is no message")
            else:
                item = _parsed(line)
        try:
            await messages.send(item)
        except anyio.BrokenResourceError:
            return
        if isinstance(item, Exception):
            return


def _parsed(line: bytes) -> SessionMessage | NoMessage:
    """A message that cannot be read ends the connection: it may be the answer that somebody waits for."""
    try:
        return SessionMessage(mcp_types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError:
        return NoMessage("it sent what is no message of the protocol")


async def _say(messages: MemoryObjectReceiveStream[SessionMessage], stdin: asyncio.StreamWriter) -> None:
    async for message in messages:
        stdin.write(message.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
        try:
            await stdin.drain()
        except ConnectionError:
            # It is gone, or closed its stdin. What it still says is heard, and its end ends the connection.
            return


async def _drain(stderr: asyncio.StreamReader, last_words: LastWords) -> None:
    """A pipe that nobody reads stops the process some day."""
    while data := await stderr.read(64 * 1024):
        last_words.hear(data)
