"""A session goes on from its log after the server that ran it is gone."""

import pytest

from managedagents.v1 import session_pb2
from support.calls import scripted
from support.driven import Driven, drive, sessions_of, texts, use_ids
from support.server import Server, Stub
from support.stubborn import Stubborn, raised

AT_ONCE = ("--limit", "deadline_grace=0")
CALL = {"tool_calls": [{"name": "ask"}]}
TURN = ["1 status.running", "1 agent.message", "1 status.idle end_turn"]
WAITS = ["1 user.message", "1 status.running", "1 agent.custom_tool_use"]
GIVEN_UP = ["1 error tool_timeout", "1 status.idle requires_action"]
ANSWERED = "1 user.custom_tool_result"


async def again(server: Server, *flags: str, **environment: str) -> None:
    """A crash and a restart."""
    await server.kill()
    await server.start(*flags, **environment)


async def ready(session: Driven) -> None:
    """The channel has found the server again."""
    await Stubborn(session.stub).log(session.session_id)


async def test_an_answer_an_hour_later_to_a_new_server_reaches_the_model(server: Server, stub: Stub) -> None:
    session = await drive(stub, scripted(CALL, {"text": "done"}, tools=["ask"]), "1")
    (use,) = use_ids(await session.comes("agent.custom_tool_use"))
    await again(server, MANAGEDAGENTS_TEST_CLOCK_AHEAD="3600")
    await ready(session)
    beat = await drive(stub, scripted({"text": "a"}), "1")
    await beat.comes("status.idle end_turn")
    assert await session.lines() == WAITS
    await session.answer(use)
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*WAITS, ANSWERED, *TURN[1:]]
    assert texts(await session.log()) == ["done"]


@pytest.mark.long
async def test_once_deadlines_fire_again_one_that_passed_fires(server: Server, stub: Stub) -> None:
    session = await drive(stub, scripted(CALL, {"text": "done"}, tools=["ask"]), "1")
    (use,) = use_ids(await session.comes("agent.custom_tool_use"))
    await again(server, "--limit", "deadline_grace=0.1", MANAGEDAGENTS_TEST_CLOCK_AHEAD="3600")
    await ready(session)
    await session.comes("status.idle requires_action")
    await session.answer(use)
    await session.comes("status.idle end_turn")
    assert await session.lines() == [*WAITS, *GIVEN_UP, ANSWERED, *TURN]


@pytest.mark.long
async def test_three_uses_answered_out_of_order_by_two_clients_one_of_them_late_and_after_a_crash(
    server: Server, stub: Stub
) -> None:
    calls = {"tool_calls": [{"name": "ask"}] * 3}
    session = await drive(stub, scripted(calls, {"text": "done"}, tools=["ask"], custom_tool_timeout="2s"), "1")
    uses: list[str] = []
    while len(uses) < 3:
        uses += use_ids(await session.comes("agent.custom_tool_use"))
    await session.answer(uses[2])
    await again(server, *AT_ONCE)
    await ready(session)
    async with server.channel() as channel:
        await Driven(Stub(channel), session.session_id).answer(uses[0])
    waits = (await session.comes("status.idle requires_action"))[-1].status_idle.stop_reason.requires_action
    assert list(waits.ids) == [uses[1]]
    await again(server, *AT_ONCE)
    await ready(session)
    assert (await session.status()).state == session_pb2.SESSION_STATUS_IDLE
    await session.answer(uses[1])
    await session.comes("status.idle end_turn")
    before = ["1 user.message", "1 status.running", *["1 agent.custom_tool_use"] * 3, ANSWERED, ANSWERED]
    assert await session.lines() == [*before, *GIVEN_UP, ANSWERED, *TURN]


@pytest.mark.long
async def test_a_request_without_an_answer_is_made_again_and_told_once(server: Server, stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a"}, {"text": "b", "delay": "0.5s"}, {"text": "c"}), "1", "2", "3")
    await session.comes("status.idle end_turn")
    await session.comes("status.running")
    for _ in range(2):
        await again(server)
        await ready(session)
    await session.comes("status.idle end_turn")
    await session.comes("status.idle end_turn")
    log = await session.log()
    assert texts(log) == ["a", "b", "c"]
    assert [event.turn for event in log if event.HasField("status_running")] == [1, 2, 3]


@pytest.mark.long
async def test_every_session_that_was_cut_off_goes_on_also_when_the_next_server_dies_on_its_way(
    server: Server, stub: Stub
) -> None:
    busy = await sessions_of(stub, scripted({"text": "a", "delay": "0.5s"}), 10, "1")
    for session in busy:
        await session.comes("status.running")
    await again(server, MANAGEDAGENTS_TEST_FAILPOINT="hand_over@5")
    await server.wait()
    await server.start()
    for session in busy:
        await ready(session)
        await session.comes("status.idle end_turn")
        assert await session.lines() == ["1 user.message", *TURN]


@pytest.mark.long
async def test_an_interrupt_that_was_logged_is_finished_before_anything_else(server: Server, stub: Stub) -> None:
    await again(server, MANAGEDAGENTS_TEST_FAILPOINT="after_commit:user.interrupt")
    client = Stubborn(stub)
    session = await drive(stub, scripted({"text": "a", "delay": "0.4s"}), "1")
    await session.comes("status.running")
    queued = await session.send("2")
    async with raised(server) as codes:
        await client.interrupt(session.session_id)
        await session.comes("status.idle interrupted")
        await session.comes("status.idle end_turn")
        assert len(codes) == 1
    assert await session.lines() == [
        *["1 user.message", "1 status.running", f"{queued} user.message"],
        *["1 user.interrupt", "1 status.idle interrupted"],
        *[f"{queued} status.running", f"{queued} agent.message", f"{queued} status.idle end_turn"],
    ]


async def test_a_paused_session_stays_paused_and_its_deadline_stands_still(server: Server, stub: Stub) -> None:
    session = await drive(stub, scripted(CALL, {"text": "a"}, tools=["ask"]), "1")
    (use,) = use_ids(await session.comes("agent.custom_tool_use"))
    await session.pause()
    queued = await session.send("2")
    await again(server, *AT_ONCE, MANAGEDAGENTS_TEST_CLOCK_AHEAD="3600")
    await ready(session)
    beat = await drive(stub, scripted({"text": "a"}), "1")
    await beat.comes("status.idle end_turn")
    status = await session.status()
    assert (status.paused, status.state) == (True, session_pb2.SESSION_STATUS_RUNNING)
    before = [*WAITS, "0 status.paused", f"{queued} user.message"]
    assert await session.lines() == before
    await session.resume()
    resumed = (await session.comes("status.resumed"))[-1].status_resumed
    assert resumed.paused_for.ToSeconds() >= 3600
    await session.answer(use)
    await session.comes("status.idle end_turn")
    assert (await session.lines())[: len(before) + 4] == [*before, "0 status.resumed", ANSWERED, *TURN[1:]]


@pytest.mark.long
@pytest.mark.parametrize("ahead", ["0", "3600"])
async def test_a_backoff_goes_on_where_it_was(server: Server, stub: Stub, ahead: str) -> None:
    failing = {"error": {"code": 429, "retry_after": "1s" if ahead == "0" else "100s"}}
    session = await drive(stub, scripted(failing, {"text": "a"}), "1")
    due = (await session.comes("status.rescheduling"))[-1].status_rescheduling.wake_time.ToNanoseconds()
    await again(server, MANAGEDAGENTS_TEST_CLOCK_AHEAD=ahead)
    await ready(session)
    running, *_ = await session.comes("status.idle end_turn")
    assert running.create_time.ToNanoseconds() >= due
    tried = ["1 status.running", "1 status.rescheduling 1 model_rate_limited", "1 status.running attempt 2"]
    assert await session.lines() == ["1 user.message", *tried, *TURN[1:]]


@pytest.mark.long
async def test_what_waits_for_no_slot_does_not_wait_behind_those_that_do(server: Server, stub: Stub) -> None:
    for session in await sessions_of(stub, scripted({"text": "a", "delay": "600s"}), 3, "1"):
        await session.comes("status.running")
    passed, coming = [
        await drive(stub, scripted(CALL, tools=["ask"], custom_tool_timeout=timeout), "1")
        for timeout in ("5s", "3603s")
    ]
    for session in (passed, coming):
        await session.comes("agent.custom_tool_use")
    await again(server, *AT_ONCE, "--limit", "max_concurrent_turns=1", MANAGEDAGENTS_TEST_CLOCK_AHEAD="3600")
    for session in (passed, coming):
        await ready(session)
        await session.comes("status.idle requires_action")
        assert await session.lines() == [*WAITS, *GIVEN_UP]


@pytest.mark.long
async def test_deaths_of_the_process_do_not_make_a_session_failed(server: Server, stub: Stub) -> None:
    await again(server, MANAGEDAGENTS_TEST_FAILPOINT="model_answered")
    session = await drive(stub, scripted({"text": "a", "delay": "0.2s"}), "1")
    for _ in range(4):
        await server.wait()
        await server.start(MANAGEDAGENTS_TEST_FAILPOINT="model_answered")
    await server.wait()
    await server.start()
    await ready(session)
    await session.comes("status.idle end_turn")
    assert await session.lines() == ["1 user.message", *TURN]
