"""Carries what a call writes to who keeps it."""

import asyncio
import os

from managedagents_server.tools.sandbox.output import Sink

_PIECE = 64 * 1024
"""Bytes. As many as a pipe holds."""


class Pump:
    def __init__(self, output: int, sink: Sink) -> None:
        self._output = output
        self._sink = sink
        self._finishing = False
        self._woken: asyncio.Future[None] | None = None

    async def run(self) -> str:
        """Until nobody can write any more. Why the call shall end, if it shall: then the rest is left in the pipe."""
        while True:
            try:
                data = os.read(self._output, _PIECE)
            except BlockingIOError:
                if self._finishing:
                    return ""
                await self._wait()
                continue
            if not data:
                return ""
            if why := await self._sink.take(data):
                return why

    def finish(self) -> None:
        """What is in the pipe is the last there is, even if somebody who got away still holds its other end."""
        self._finishing = True
        self._wake()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._woken = loop.create_future()
        loop.add_reader(self._output, self._wake)
        try:
            await self._woken
        finally:
            loop.remove_reader(self._output)

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
