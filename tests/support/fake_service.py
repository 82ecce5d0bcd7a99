"""A service that does what a test says, behind a real gRPC server: a fake at the network's edge."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Never, cast

import grpc.aio
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import service_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
Follower = Callable[[pb.StreamEventsRequest, Context], AsyncIterator[pb.StreamEventsResponse]]
Method = Callable[[Any, Context], Awaitable[Any]]


class FakeService:
    """`calls` answers by method name; `follow` is one stream. What was asked is kept in `asked`."""

    def __init__(self, calls: Mapping[str, Method] | None = None, follow: Follower | None = None) -> None:
        self.asked: list[Any] = []
        self._calls, self._follow = dict(calls or {}), follow

    def __getattr__(self, name: str) -> Method:
        async def call(request: Any, context: Context) -> Any:
            self.asked.append(request)
            return await self._calls[name](request, context)

        return call

    async def StreamEvents(
        self, request: pb.StreamEventsRequest, context: Context
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        self.asked.append(request)
        assert self._follow is not None
        async for message in self._follow(request, context):
            yield message


@asynccontextmanager
async def serving(service: FakeService, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve it, and give its address."""
    server = grpc.aio.server()
    servicer = cast("service_pb2_grpc.ManagedAgentRuntimeServicer", service)
    service_pb2_grpc.add_ManagedAgentRuntimeServicer_to_server(servicer, server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def details(
    code: grpc.StatusCode,
    reason: str = "",
    *,
    retry_after: float | None = None,
    fields: Mapping[str, str] | None = None,
    domain: str = "managedagents",
    **metadata: str,
) -> status_pb2.Status:
    """A status with its details, as the server sends it."""
    packed: list[Any] = []
    if reason:
        packed.append(error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata))
    if fields:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=why) for field, why in fields.items()
        ]
        packed.append(error_details_pb2.BadRequest(field_violations=violations))
    if retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(retry_after * 1e9))
        packed.append(error_details_pb2.RetryInfo(retry_delay=delay))
    anys = [any_pb2.Any() for _ in packed]
    for any_, detail in zip(anys, packed, strict=True):
        any_.Pack(detail)
    return status_pb2.Status(code=code.value[0], message="refused", details=anys)


async def refuse(context: Context, code: grpc.StatusCode, reason: str = "", **more: Any) -> Never:
    """End the call with a status."""
    status = details(code, reason, **more)
    await context.abort(code, status.message, (("grpc-status-details-bin", status.SerializeToString()),))
