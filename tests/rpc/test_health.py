"""The standard services beside ours: health and reflection."""

from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from support.calls import refused
from support.requests import SERVICE
from support.server import Server

NAMES = ("", SERVICE.full_name, "managedagents.live", "managedagents.read", "managedagents.write")
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("name", NAMES)
async def test_a_server_with_room_serves_everything(channel: grpc.aio.Channel, name: str) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING


async def test_the_health_of_what_is_not_there_is_not_found(channel: grpc.aio.Channel) -> None:
    stub: Any = health_pb2_grpc.HealthStub(channel)
    refusal = await refused(stub.Check(health_pb2.HealthCheckRequest(service="managedagents.nothing")))
    assert refusal.code is grpc.StatusCode.NOT_FOUND


async def test_a_server_that_stops_says_so_before_it_goes(server: Server) -> None:
    async with server.channel() as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watches = [aiter(stub.Watch(health_pb2.HealthCheckRequest(service=name))) for name in NAMES]
        assert {(await anext(watch)).status for watch in watches} == {SERVING}
        assert await server.terminate() == 0
        for name, watch in zip(NAMES, watches, strict=True):
            if name != "managedagents.live":
                assert (await anext(watch)).status == NOT_SERVING, name


async def test_reflection_lists_the_service_and_describes_it(channel: grpc.aio.Channel) -> None:
    either: Any = channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(either)
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE.full_name),
    ]
    listed, described = [answer async for answer in stub.ServerReflectionInfo(iter(asked))]
    names = {service.name for service in listed.list_services_response.service}
    assert names >= {SERVICE.full_name, "grpc.health.v1.Health"}
    files = described.file_descriptor_response.file_descriptor_proto
    assert any(b"managedagents/v1/service.proto" in file for file in files)
