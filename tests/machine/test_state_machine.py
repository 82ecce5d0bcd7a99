"""Whatever clients and crashes do to a session, in whatever order: its log is one that the contract allows, what the
server keeps beside it says the same, and in the end it is at rest."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2
from support.calls import Event, answer, message, scripted
from support.judge import Judge
from support.server import Server
from support.stored import check_conversation, stored
from support.stubborn import Stubborn, stubborn, unless_refused

LIMITS = ("deadline_grace=0", "retry_first=0.01", "provider_attempts=2", "tool_rounds=3", "queued_messages=4")
FLAGS = tuple(flag for limit in LIMITS for flag in ("--limit", limit))

LONGEST = 20.0
"""Seconds that one play may take: one that hangs says so by itself."""

ASK = {"name": "ask"}
NO_TOOL = {"name": "nothing"}
RESPONSES: list[dict[str, Any]] = [
    {"text": "hello"},
    {"thinking": "hm", "text": "a while", "delay": "0.03s"},
    {"tool_calls": [ASK]},
    {"tool_calls": [ASK, ASK, ASK], "text": "three"},
    {"tool_calls": [NO_TOOL]},
    {"tool_calls": [ASK, NO_TOOL], "delay": "0.01s"},
    {"error": {"code": 500}},
    {"error": {"code": 0, "times": 2}, "text": "half"},
    {"error": {"code": 400}},
    {"error": {"code": 401}, "delay": "0.01s"},
    {"text": "cut", "stop_reason": "MODEL_STOP_REASON_MAX_TOKENS"},
    {},
]
CALLS = ["message", "message", "answer", "answer", "interrupt", "interrupt and drop", "pause", "resume"]
call = st.tuples(st.sampled_from(CALLS), st.integers(0, 3))
step = st.one_of(
    call,
    st.lists(call, min_size=2, max_size=4),
    st.just(("breathe", 0)),
    st.sampled_from([("kill", 0), ("terminate", 0), ("archive", 0), ("breathe", 0)]),
)
REFUSALS = ["TOOL_USE_CLOSED", "SESSION_TERMINAL", "LIMIT_EXCEEDED"]


@dataclass(slots=True)
class Play:
    """One session, and what was done to it."""

    server: Server
    client: Stubborn
    session_id: str
    seen: Judge = field(default_factory=Judge)

    async def take(self, steps: list[Any]) -> None:
        for what in steps:
            if isinstance(what, list):
                await asyncio.gather(*(self.do(*each) for each in what))
            else:
                await self.do(*what)
            await self.look()

    async def do(self, what: str, number: int) -> None:
        stub = self.client.stub
        match what:
            case "kill":
                await self.server.kill()
                await self.server.start()
            case "terminate":
                assert await self.server.terminate() == 0
                await self.server.start()
            case "breathe":
                await self.breathe()
            case "pause":
                await self.may_be_refused(self.client.call(stub.Pause, pb.PauseRequest(session_id=self.session_id)))
            case "resume":
                await self.may_be_refused(self.client.call(stub.Resume, pb.ResumeRequest(session_id=self.session_id)))
            case "archive":
                await self.may_be_refused(self.client.call(stub.Archive, pb.ArchiveRequest(session_id=self.session_id)))
            case "interrupt" | "interrupt and drop":
                drop = what == "interrupt and drop"
                await self.may_be_refused(self.client.interrupt(self.session_id, drop_queued=drop))
            case "message":
                await self.may_be_refused(self.client.send(self.session_id, message(f"message {number}")))
            case "answer":
                await self.answer(number)

    async def answer(self, number: int) -> None:
        """To one of the uses that there ever were."""
        events = await self.client.log(self.session_id)
        uses = [event.agent_custom_tool_use.custom_tool_use_id for event in events if _is_use(event)]
        if uses:
            await self.may_be_refused(self.client.send(self.session_id, answer(uses[-1 - number % len(uses)])))

    async def may_be_refused(self, call: Any) -> None:
        was_terminal = self.seen.terminal
        reasons = ["SESSION_TERMINAL"] if was_terminal else REFUSALS
        answered = await unless_refused(call, *reasons)
        assert answered is None or not was_terminal, "a terminal session took a call"

    async def breathe(self) -> None:
        """Until the session waits for somebody, or sleeps."""
        judge = Judge().read(await self.client.log(self.session_id))
        events = self.client.follow(self.session_id, judge.head)
        while not (judge.at_rest or judge.waits_for_client or judge.paused):
            judge.read([await anext(events)])

    async def look(self) -> None:
        """At everything that can be seen of the session now."""
        events = await self.client.log(self.session_id)
        self.seen = Judge().read(events)
        self.client.check(self.session_id, events)
        state, kept = stored(self.server.db, self.session_id)
        assert kept[: len(events)] == events
        check_conversation(kept)
        status = await self.client.ask(self.client.stub.Status, pb.StatusRequest(session_id=self.session_id))
        if status.head_seq == len(events):
            self.compare(self.seen, status)
        assert state.head == Judge().read(kept).head

    @staticmethod
    def compare(judge: Judge, status: pb.StatusResponse) -> None:
        paused = judge.paused and not judge.terminal
        assert status.state == judge.state
        assert status.status == (session_pb2.SESSION_STATUS_PAUSED if paused else judge.state)
        if not judge.terminal:
            assert status.paused == judge.paused
            assert (status.turn, status.queued_messages) == (judge.turn, len(judge.queue))
            assert [action.tool_use_id for action in status.pending_actions] == judge.uses

    async def come_to_rest(self) -> None:
        """Everybody answers and nobody disturbs."""
        await self.do("resume", 0)
        head = len(await self.client.log(self.session_id))
        judge = Judge()
        follower = self.client.follow(self.session_id)
        while judge.head < head or not judge.at_rest:
            event = await anext(follower)
            judge.read([event])
            if _is_use(event):
                use = event.agent_custom_tool_use.custom_tool_use_id
                await self.may_be_refused(self.client.send(self.session_id, answer(use)))
        await self.look()
        assert self.seen.at_rest
        assert not self.seen.uses or self.seen.terminal
        sent = self.client.acknowledged.get(self.session_id, {})
        messages = [seq for seq, event in sent.items() if event.HasField("user_message")]
        events = await self.client.log(self.session_id)
        begun = [event.turn for event in events if event.HasField("status_running")]
        dropped = [seq for event in events for seq in event.status_idle.stop_reason.interrupted.dropped_seqs]
        assert self.seen.terminal or sorted(messages) == sorted({*begun, *dropped})
        assert not set(begun) & set(dropped)
        assert list(dict.fromkeys(begun)) == sorted(set(begun))


def _is_use(event: Event) -> bool:
    return event.HasField("agent_custom_tool_use")


async def play(server: Server, number: int, responses: list[dict[str, Any]], steps: list[Any]) -> None:
    async with stubborn(server, f"play {number}") as client:
        definition = scripted(*responses, {"text": "last"}, tools=["ask"], custom_tool_timeout="0.03s")
        agent = await client.call(client.stub.Create, pb.CreateRequest(definition=definition))
        session = await client.call(client.stub.StartSession, pb.StartSessionRequest(agent_id=agent.agent_id))
        played = Play(server, client, session.session_id)
        await played.take(steps)
        await played.come_to_rest()


@dataclass(slots=True)
class Stage:
    """A server that many plays share, one after the other."""

    runner: asyncio.Runner
    server: Server
    plays: int = 0

    def play(self, responses: list[dict[str, Any]], steps: list[Any]) -> None:
        self.plays += 1
        self.runner.run(asyncio.wait_for(play(self.server, self.plays, responses, steps), LONGEST))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    server = Server(tmp_path_factory.mktemp("machine") / "log.db", FLAGS)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield Stage(runner, server)
        runner.run(server.kill())


plays = given(responses=st.lists(st.sampled_from(RESPONSES), max_size=8), steps=st.lists(step, min_size=3, max_size=15))


@plays
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
def test_a_session_keeps_its_promises_whatever_is_done_to_it(
    stage: Stage, responses: list[dict[str, Any]], steps: list[Any]
) -> None:
    stage.play(responses, steps)


@pytest.mark.long
@pytest.mark.timeout(600)
@plays
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_a_session_keeps_its_promises_whatever_is_done_to_it_many_times_over(
    stage: Stage, responses: list[dict[str, Any]], steps: list[Any]
) -> None:
    stage.play(responses, steps)
