"""Pages: stable while rows come and go, and bound to their filters."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2
from support.calls import follow, kind, log, refused, scripted, send, start, until
from support.requests import call
from support.server import Stub


async def agent(stub: Stub, **definition: Any) -> str:
    made = await stub.Create(pb.CreateRequest(definition=scripted({"text": "ok"}, **definition)))
    return made.agent_id


async def session(stub: Stub, agent_id: str, **metadata: str) -> str:
    return (await stub.StartSession(pb.StartSessionRequest(agent_id=agent_id, metadata=metadata))).session_id


async def pages(stub: Stub, **request: Any) -> AsyncIterator[list[str]]:
    token = ""
    while True:
        answer = await stub.ListSessions(pb.ListSessionsRequest(page_token=token, **request))
        yield [row.session_id for row in answer.sessions]
        token = answer.next_page_token
        if not token:
            return


async def ids(stub: Stub, **request: Any) -> list[str]:
    return [session_id async for page in pages(stub, **request) for session_id in page]


async def test_sessions_that_come_and_go_do_not_move_the_pages(stub: Stub) -> None:
    agent_id = await agent(stub)
    made = [await session(stub, agent_id) for _ in range(10)]
    seen: list[list[str]] = []
    async for page in pages(stub, agent_id=agent_id, page_size=3):
        seen.append(page)
        await session(stub, agent_id)
        if len(seen) == 1:
            # One that was seen, and the one that the next page would begin with.
            for gone in (made[8], made[6]):
                await stub.DeleteSession(pb.DeleteSessionRequest(session_id=gone))
    rest = [session_id for session_id in made[::-1] if session_id != made[6]]
    assert [session_id for page in seen for session_id in page] == rest
    assert [len(page) for page in seen] == [3, 3, 3]


@pytest.mark.parametrize("page_size", [1, 2, 5, 1000, 0])
async def test_pages_of_any_size_add_up(stub: Stub, page_size: int) -> None:
    agent_id = await agent(stub)
    made = [await session(stub, agent_id) for _ in range(5)]
    assert await ids(stub, agent_id=agent_id, page_size=page_size) == made[::-1]


async def test_filters_are_joined_by_and(stub: Stub) -> None:
    one, other = await agent(stub), await agent(stub)
    a = await session(stub, one, team="a", run="filters")
    b = await session(stub, one, team="b", run="filters")
    c = await session(stub, other, team="a", run="filters")
    assert await ids(stub, metadata={"run": "filters"}) == [c, b, a]
    assert await ids(stub, metadata={"run": "filters", "team": "a"}) == [c, a]
    assert await ids(stub, metadata={"run": "filters"}, agent_id=one) == [b, a]
    assert await ids(stub, metadata={"run": "filters", "team": "c"}) == []
    assert await ids(stub, metadata={"run": "Filters"}) == []
    assert await ids(stub, agent_id="agt_nobody") == []


async def test_sessions_are_found_by_the_status_that_status_gives(stub: Stub) -> None:
    agent_id = await agent(stub)
    later = (
        await stub.Create(pb.CreateRequest(definition=scripted({"text": "late", "delay": "600s"}, metadata={})))
    ).agent_id
    mark = {"run": "statuses"}
    found = {
        name: await session(stub, later if name == "RUNNING" else agent_id, **mark)
        for name in ("QUEUED", "RUNNING", "IDLE", "PAUSED", "ARCHIVED")
    }
    for name in ("RUNNING", "IDLE"):
        await send(stub, found[name], "go")
    await until(stub, found["RUNNING"], "status.running")
    await until(stub, found["IDLE"], "status.idle")
    await stub.Pause(pb.PauseRequest(session_id=found["PAUSED"]))
    await stub.Archive(pb.ArchiveRequest(session_id=found["ARCHIVED"]))
    for name, session_id in found.items():
        wanted = session_pb2.SessionStatus.Value(f"SESSION_STATUS_{name}")
        assert await ids(stub, metadata=mark, statuses=[wanted]) == [session_id]
        row = (await stub.GetSession(pb.GetSessionRequest(session_id=session_id))).session
        assert row.status == wanted
    idle_or_paused = [session_pb2.SESSION_STATUS_IDLE, session_pb2.SESSION_STATUS_PAUSED]
    assert await ids(stub, metadata=mark, statuses=idle_or_paused) == [found["PAUSED"], found["IDLE"]]
    assert await ids(stub, metadata=mark, statuses=[session_pb2.SESSION_STATUS_FAILED]) == []


@pytest.mark.parametrize(
    ("filters", "page_size"),
    [({}, 1), ({}, 3), ({"from_seq": "2"}, 2), ({"kinds": ["status.idle", "agent.message"]}, 1)],
)
async def test_pages_of_events_add_up_to_what_a_stream_gives(
    stub: Stub, session_id: str, filters: dict[str, Any], page_size: int
) -> None:
    events, token = [], ""
    while True:
        fields = {"session_id": session_id, "page_size": page_size, "page_token": token, **filters}
        page = await call(stub, "ListEvents", fields)
        assert len(page.events) <= page_size
        events += page.events
        token = page.next_page_token
        if not token:
            break
    kinds = filters.get("kinds")
    whole = await log(stub, session_id)
    wanted = [event for event in whole[int(filters.get("from_seq", 0)) :] if not kinds or kind(event) in kinds]
    assert events == wanted
    streamed = []
    async for event in follow(stub, session_id, int(filters.get("from_seq", 0)), kinds=kinds):
        streamed.append(event)
        if event.seq == whole[-1].seq:
            break
    assert streamed == wanted


async def test_a_page_of_large_events_ends_at_about_a_mebibyte(stub: Stub) -> None:
    session_id = await start(stub, scripted({"text": "ok"}))
    await stub.Pause(pb.PauseRequest(session_id=session_id))
    for _ in range(8):
        await send(stub, session_id, "x" * 400_000)
    page = await stub.ListEvents(pb.ListEventsRequest(session_id=session_id, page_size=1000))
    assert 2 <= len(page.events) <= 5
    assert page.next_page_token
    assert len(await log(stub, session_id)) == 9


def forged(token: str, key: str) -> str:
    """The token with another key behind the same mark."""
    _, _, mark = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(".")
    return base64.urlsafe_b64encode(f"{key}.{mark}".encode()).decode().rstrip("=")


FORGED = ("", "x", "-5", "2", "9" * 30, "9" * 5000)


@pytest.mark.parametrize("method", ["ListSessions", "ListAgents", "ListEvents"])
async def test_a_token_that_is_none_of_ours_is_refused(stub: Stub, session_id: str, method: str) -> None:
    for _ in range(2):
        await session(stub, await agent(stub))
    fields = {"page_size": 1, **({"session_id": session_id} if method == "ListEvents" else {})}
    token = (await call(stub, method, fields)).next_page_token
    assert token
    for bad in ("x", "é", "=", "AAAA", "\0", token[:-2], "x" * 5000, *(forged(token, key) for key in FORGED)):
        refusal = await refused(call(stub, method, {**fields, "page_token": bad}))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"), bad[:40]


@pytest.mark.parametrize(
    ("method", "other"),
    [
        ("ListSessions", {"agent_id": "agt_x"}),
        ("ListSessions", {"statuses": ["SESSION_STATUS_IDLE"]}),
        ("ListSessions", {"metadata": {"k": "v"}}),
        ("ListAgents", {"include_archived": True}),
        ("ListAgents", {"metadata": {"k": "v"}}),
        ("ListEvents", {"kinds": ["error"]}),
        ("ListEvents", {"from_seq": "1"}),
    ],
)
async def test_a_token_of_other_filters_is_refused(
    stub: Stub, session_id: str, method: str, other: dict[str, Any]
) -> None:
    await session(stub, await agent(stub))
    await agent(stub)
    fields = {"page_size": 1, **({"session_id": session_id} if method == "ListEvents" else {})}
    token = (await call(stub, method, fields)).next_page_token
    refusal = await refused(call(stub, method, {**fields, **other, "page_token": token}))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    # The size of a page is no filter.
    assert await call(stub, method, {**fields, "page_size": 2, "page_token": token}) is not None


async def test_a_token_of_another_method_is_refused(stub: Stub) -> None:
    for _ in range(2):
        await session(stub, await agent(stub))
    token = (await stub.ListSessions(pb.ListSessionsRequest(page_size=1))).next_page_token
    refusal = await refused(stub.ListAgents(pb.ListAgentsRequest(page_size=1, page_token=token)))
    assert refusal.reason == "INVALID_PAGE_TOKEN"
