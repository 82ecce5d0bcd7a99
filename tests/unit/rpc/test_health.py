"""What the standard health service says."""

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from managedagents_server.rpc.health import LIVE, READ, WRITE, Health
from managedagents_server.rpc.service import SERVICE

NAMES = ("", SERVICE.full_name, LIVE, READ, WRITE)


async def serving(stub: Any) -> set[str]:
    answers = [await stub.Check(health_pb2.HealthCheckRequest(service=name)) for name in NAMES]
    return {
        name
        for name, answer in zip(NAMES, answers, strict=True)
        if answer.status == health_pb2.HealthCheckResponse.SERVING
    }


@pytest.mark.parametrize(
    ("writable", "draining", "expected"),
    [
        (True, False, set(NAMES)),
        (False, False, {LIVE, READ}),
        (True, True, {LIVE}),
        (False, True, {LIVE}),
    ],
)
async def test_each_name_tells_what_works(writable: bool, draining: bool, expected: set[str]) -> None:
    vitals = Health(writable=True)
    server = grpc.aio.server()
    vitals.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    keeper = asyncio.ensure_future(vitals.keep())
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watched = aiter(stub.Watch(health_pb2.HealthCheckRequest(service=WRITE)))
            assert (await anext(watched)).status == health_pb2.HealthCheckResponse.SERVING
            vitals.writable(writable)
            if draining:
                vitals.drain()
            if expected != set(NAMES):
                assert (await anext(watched)).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await serving(stub) == expected
    finally:
        keeper.cancel()
        await server.stop(None)
