"""Calls over a real channel to a service that fails first."""

import asyncio
import logging
import time
from typing import Any

import grpc
import pytest

from managedagents import (
    Client,
    DefinitionError,
    NoAnswerError,
    NotFoundError,
    NotThisServiceError,
    UnavailableError,
    VersionConflictError,
    parse_environment,
)
from managedagents.v1 import service_pb2 as pb
from support.fake_service import Context, FakeService, Method, refuse, serving

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def failing_first(times: int, answer: Any, reason: str = "", **more: Any) -> Method:
    left = times

    async def method(request: Any, context: Context) -> Any:
        nonlocal left
        left -= 1
        if left >= 0:
            await refuse(context, UNAVAILABLE, reason, **more)
        return answer

    return method


async def test_a_call_is_asked_again_with_the_same_request_id() -> None:
    service = FakeService({"SendEvent": failing_first(3, pb.SendEventResponse(seq=7))})
    async with serving(service) as address, Client.connect(address) as client:
        assert await client.send("ses_1", "hello") == 7
    assert len(service.asked) == 4
    assert len({request.request_id for request in service.asked}) == 1
    assert service.asked[0].request_id


async def test_each_call_has_a_request_id_of_its_own_unless_it_is_given_one() -> None:
    service = FakeService({"SendEvent": failing_first(0, pb.SendEventResponse(seq=1))})
    async with serving(service) as address, Client.connect(address) as client:
        await client.send("ses_1", "a")
        await client.send("ses_1", "a")
        await client.send("ses_1", "a", request_id="mine")
    ids = [request.request_id for request in service.asked]
    assert len(set(ids)) == 3
    assert ids[2] == "mine"


async def test_an_update_that_is_asked_again_is_the_same_update() -> None:
    service = FakeService({"UpdateAgent": failing_first(2, pb.UpdateAgentResponse(version=8))})
    async with serving(service) as address, Client.connect(address) as client:
        assert await client.update_agent("agt_1", 7, {"name": "a"}) == 8
        assert await client.update_agent("agt_1", 8, {"name": "a"}, request_id="mine") == 8
    first, second, third, other = service.asked
    assert first == second == third
    assert (first.version, first.definition.name, bool(first.request_id)) == (7, "a", True)
    assert other.request_id == "mine"


async def test_an_update_that_lost_a_race_raises_and_is_not_asked_again() -> None:
    async def update(request: Any, context: Context) -> Any:
        await refuse(context, grpc.StatusCode.ABORTED, "VERSION_CONFLICT")

    service = FakeService({"UpdateAgent": update})
    async with serving(service) as address, Client.connect(address) as client:
        with pytest.raises(VersionConflictError):
            await client.update_agent("agt_1", 7, {"name": "a"})
    assert len(service.asked) == 1


async def test_a_session_is_started_with_a_version_and_with_overrides_as_plain_values() -> None:
    service = FakeService({"StartSession": failing_first(0, pb.StartSessionResponse(session_id="ses_1"))})
    async with serving(service) as address, Client.connect(address) as client:
        await client.start_session("agt_1", version=3, overrides={"model": {"name": "m"}, "tools": []})
        await client.start_session("agt_1")
        with pytest.raises(DefinitionError):
            await client.start_session("agt_1", overrides={"modle": {}})
    first, second = service.asked
    assert (first.version, first.overrides.model.name, first.overrides.HasField("tools")) == (3, "m", True)
    assert not first.overrides.HasField("system")
    assert not second.HasField("version")
    assert not second.HasField("overrides")


async def test_a_session_is_started_in_an_environment_as_plain_values_or_as_a_message() -> None:
    service = FakeService({"StartSession": failing_first(0, pb.StartSessionResponse(session_id="ses_1"))})
    values = {"env": {"A": "1"}, "working_dir": "here", "limits": {"wall_time": "1.5s"}}
    async with serving(service) as address, Client.connect(address) as client:
        await client.start_session("agt_1", environment=values)
        await client.start_session("agt_1", environment=parse_environment(values))
        await client.start_session("agt_1")
        with pytest.raises(DefinitionError):
            await client.start_session("agt_1", environment={"enw": {}})
    first, second, third = service.asked
    assert first.environment.limits.wall_time.ToMilliseconds() == 1500
    assert second.environment == first.environment
    assert not third.HasField("environment")


async def test_a_refusal_is_not_asked_again() -> None:
    async def status(request: Any, context: Context) -> Any:
        await refuse(context, grpc.StatusCode.NOT_FOUND, "SESSION_NOT_FOUND")

    service = FakeService({"Status": status})
    async with serving(service) as address, Client.connect(address) as client:
        with pytest.raises(NotFoundError):
            await client.status("ses_1")
    assert len(service.asked) == 1


async def test_the_delay_that_the_server_asks_for_is_kept() -> None:
    service = FakeService({"Status": failing_first(1, pb.StatusResponse(head_seq=3), "DRAINING", retry_after=0.4)})
    async with serving(service) as address, Client.connect(address) as client:
        began = time.monotonic()
        assert (await client.status("ses_1")).head_seq == 3
        assert time.monotonic() - began >= 0.4


async def test_patience_ends_with_the_servers_own_reason() -> None:
    service = FakeService({"Status": failing_first(1000, None, "LOG_UNAVAILABLE")})
    async with serving(service) as address, Client.connect(address, patience=0.5) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.status("ses_1")
    assert caught.value.reason == "LOG_UNAVAILABLE"
    assert len(service.asked) > 1


async def test_a_server_that_was_never_there_is_told_soon() -> None:
    async with Client.connect("127.0.0.1:1", connect_timeout=0.3) as client:
        began = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"no server at 127\.0\.0\.1:1"):
            await client.status("ses_1")
        assert time.monotonic() - began < 3


class Noticed(logging.Handler):
    """Set when the client has said something."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.event.set()


async def test_a_call_outlasts_a_restart_of_the_server(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    logger, noticed = logging.getLogger("managedagents"), Noticed()
    logger.addHandler(noticed)
    request.addfinalizer(lambda: logger.removeHandler(noticed))
    caplog.set_level(logging.INFO, "managedagents")
    service = FakeService({"Status": failing_first(0, pb.StatusResponse(head_seq=3))})
    async with serving(service) as address:
        client = Client.connect(address, connect_timeout=0.1)
        await client.status("ses_1")
    waiting = asyncio.create_task(client.status("ses_1"))
    await noticed.event.wait()
    async with serving(service, address):
        assert (await waiting).head_seq == 3
    await client.close()


async def test_another_service_at_the_address_is_told_as_such() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Client.connect(f"127.0.0.1:{port}") as client:
        with pytest.raises(NotThisServiceError):
            await client.status("ses_1")
    await server.stop(None)


async def test_an_answer_above_four_mebibytes_is_received() -> None:
    event = pb.GetAgentResponse()
    event.agent.definition.system = "x" * (5 << 20)
    service = FakeService({"GetAgent": failing_first(0, event)})
    async with serving(service) as address, Client.connect(address) as client:
        assert len((await client.get_agent("agt_1")).definition.system) == 5 << 20


async def test_a_token_is_sent_as_a_bearer_token() -> None:
    seen: list[Any] = []

    async def status(request: Any, context: Context) -> pb.StatusResponse:
        seen.append(dict(context.invocation_metadata() or ()).get("authorization"))
        return pb.StatusResponse()

    async with serving(FakeService({"Status": status})) as address, Client.connect(address, token="t0k") as client:
        await client.status("ses_1")
    assert seen == ["Bearer t0k"]


async def test_lists_go_on_over_the_pages() -> None:
    async def list_sessions(request: pb.ListSessionsRequest, context: Context) -> pb.ListSessionsResponse:
        page = int(request.page_token or 0)
        response = pb.ListSessionsResponse(next_page_token=str(page + 1) if page < 2 else "")
        response.sessions.add(session_id=f"ses_{page}")
        return response

    async with serving(FakeService({"ListSessions": list_sessions})) as address, Client.connect(address) as client:
        assert [s.session_id async for s in client.list_sessions()] == ["ses_0", "ses_1", "ses_2"]


async def test_a_definition_that_is_none_is_not_sent() -> None:
    async with Client.connect("127.0.0.1:1") as client:
        with pytest.raises(DefinitionError):
            await client.create({"nam": "x"})
