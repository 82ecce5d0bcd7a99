"""A terminal that a process is started at, as a person would sit at it."""

import asyncio
import codecs
import os
import pty
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

_LONGEST = 30.0


class Terminal:
    """Must be made by `terminal`."""

    def __init__(self, screen: int, process: asyncio.subprocess.Process) -> None:
        self._screen, self._process = screen, process
        self._shown, self._decoder = "", codecs.getincrementaldecoder("utf-8")()
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(screen, self._read)

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    async def until(self, words: str) -> str:
        """What was shown since the last time, up to these words."""
        async with asyncio.timeout(_LONGEST):
            while words not in self._shown:
                self._news.clear()
                await self._news.wait()
        before, self._shown = self._shown.split(words, 1)
        return before + words

    async def ended(self) -> int:
        """The exit code."""
        async with asyncio.timeout(_LONGEST):
            return await self._process.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._screen)
        os.close(self._screen)

    def _read(self) -> None:
        try:
            self._shown += self._decoder.decode(os.read(self._screen, 65536))
        except OSError:
            # The process has left its end.
            asyncio.get_running_loop().remove_reader(self._screen)
        self._news.set()


@asynccontextmanager
async def terminal(line: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """A process at a terminal with colours; gone at the end."""
    screen, far_end = pty.openpty()
    colours = {key: value for key, value in environment.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        *line, stdin=far_end, stdout=far_end, stderr=far_end, env=colours, start_new_session=True
    )
    os.close(far_end)
    opened = Terminal(screen, process)
    try:
        yield opened
    finally:
        opened.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
