"""The standard health service, for balancers and orchestrators."""

import asyncio
from typing import NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from managedagents_server.rpc.service import SERVICE

LIVE = "managedagents.live"
READ = "managedagents.read"
WRITE = "managedagents.write"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """What the server can do now: `managedagents.live`, it runs; `.read` and `.write`, it takes such calls; the
    service's own name and the empty one, it takes all."""

    def __init__(self, *, writable: bool) -> None:
        self._servicer = health.aio.HealthServicer()
        self._writable = writable
        self._draining = False
        self._changed = asyncio.Event()

    def add_to(self, server: grpc.aio.Server) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def writable(self, now: bool) -> None:
        self._writable = now
        self._changed.set()

    def drain(self) -> None:
        self._draining = True
        self._changed.set()

    async def keep(self) -> NoReturn:
        """Shows every change until it is cancelled."""
        while True:
            self._changed.clear()
            await self.show()
            await self._changed.wait()

    async def show(self) -> None:
        reads = not self._draining
        writes = reads and self._writable
        states = {"": writes, SERVICE.full_name: writes, LIVE: True, READ: reads, WRITE: writes}
        for name, serving in states.items():
            await self._servicer.set(name, _SERVING if serving else _NOT_SERVING)
