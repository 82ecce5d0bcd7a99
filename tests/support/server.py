"""A real server process on a real SQLite file."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from managedagents.v1 import service_pb2_grpc

STARTS_WITHIN = 20.0


@dataclass(slots=True)
class Server:
    """Started, killed and started again on the same file. `address` is the same after every start."""

    db: Path
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    address: str = ""
    wrapper: tuple[str, ...] = ()
    """What the server's command line is given to, to run it in its own way; empty: nothing."""
    _process: asyncio.subprocess.Process | None = None

    async def start(self, *flags: str, **environment: str) -> None:
        """Returns when the server listens. Flags and environment are for this start alone."""
        with self.db.with_suffix(".stderr").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *self.wrapper,
                sys.executable,
                "-m",
                "managedagents_server",
                "--listen",
                self.address or "127.0.0.1:0",
                "--db",
                str(self.db),
                *self.flags,
                *flags,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env={**os.environ, **self.environment, **environment},
            )
        self._process = process
        assert process.stdout is not None
        async with asyncio.timeout(STARTS_WITHIN):
            line = (await process.stdout.readline()).decode()
        if not line.startswith("listening on "):
            await process.wait()
            raise AssertionError(f"the server did not start: {self.stderr()}")
        self.address = line.removeprefix("listening on ").strip()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def wait(self) -> int:
        """Its exit code; negative: the signal that killed it."""
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        await self._stop(signal.SIGKILL)

    async def terminate(self) -> int:
        return await self._stop(signal.SIGTERM)

    async def end(self) -> None:
        """Gone, whether it was started or not."""
        if self._process is not None:
            await self.kill()

    async def _stop(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        return await self._process.wait()

    def stderr(self) -> str:
        return self.db.with_suffix(".stderr").read_text()

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(
            self.address,
            options=[("grpc.max_receive_message_length", 64 * 1024 * 1024), ("grpc.use_local_subchannel_pool", 1)],
        )


Stub = service_pb2_grpc.ManagedAgentRuntimeStub


@asynccontextmanager
async def running(db: Path, *flags: str, **environment: str) -> AsyncIterator[Server]:
    """A server that is started here and is gone at the end."""
    server = Server(db, flags, environment)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
