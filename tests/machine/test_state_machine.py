"""Whatever clients and crashes do to a session and its agent, in whatever order: its log is one that the contract
allows, what the server keeps beside it says the same, and in the end it is at rest."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine.playing import Play
from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import grading, message, scripted
from support.server import Server
from support.stubborn import stubborn

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
    {"text": "no", "stop_reason": "MODEL_STOP_REASON_REFUSAL"},
    {"error": {"code": 413}},
    {"error": {"code": 413, "times": 2}},
    {"text": "much", "usage": {"input_tokens": 250, "output_tokens": 9, "model_time": "0.5s"}},
    {"text": "much", "usage": {"input_tokens": 300}},
    {"tool_calls": [ASK], "usage": {"input_tokens": 250, "output_tokens": 9}, "delay": "0.01s"},
]
VERDICTS: list[dict[str, Any]] = [
    {"reason": "no"},
    {"reason": "no", "delay": "0.03s"},
    {"reason": "no", "error": {"code": 500}},
    {"reason": "no", "error": {"code": 400}},
    {"met": True, "error": {"code": 413}},
    {"error": {"code": 500, "times": 9}},
    {"error": {"code": 401}},
    {"met": True, "reason": "yes"},
    {"met": True, "reason": "yes", "delay": "0.03s"},
]
COMPACTION = {"compaction": {"window_tokens": 256}}
EARLY = {"compaction": {"window_tokens": 256, "threshold": 0.01}}
POLICIES: list[dict[str, Any]] = [EARLY, COMPACTION, {"compaction": {}}, {"token_budget": 259, **EARLY}, {}]
"""What the definition says of long conversations and of costs."""

CALLS = ["message", "message", "answer", "answer", "interrupt", "interrupt and drop", "pause", "resume"]
CALLS += [*CALLS, "outcome", "outcome", "update", "begin another", "archive agent"]
call = st.tuples(st.sampled_from(CALLS), st.integers(0, 3))
step = st.one_of(
    call,
    st.lists(call, min_size=2, max_size=4),
    st.just(("breathe", 0)),
    st.sampled_from([("kill", 0), ("terminate", 0), ("archive", 0), ("breathe", 0)]),
)


@dataclass(frozen=True, slots=True)
class Script:
    """What is played."""

    responses: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    policy: dict[str, Any]
    messages: int
    """That it begins with."""
    steps: list[Any]


async def play(server: Server, number: int, script: Script) -> None:
    async with stubborn(server, f"play {number}") as client:
        definition = scripted(
            *script.responses, {"text": "last"}, tools=["ask"], custom_tool_timeout="0.03s", **script.policy
        )
        definition = grading(definition, *script.verdicts)
        created = await client.call(client.stub.Create, pb.CreateRequest(definition=definition))
        first = [message(f"first {number}") for number in range(script.messages)]
        begin = pb.StartSessionRequest(agent_id=created.agent_id, initial_events=first)
        session = await client.call(client.stub.StartSession, begin)
        for seq, event in enumerate(first, start=1):
            client.keep(session.session_id, seq, event)
        agent = agent_pb2.Agent(agent_id=created.agent_id, definition=definition)
        played = Play(server, client, agent, session.session_id)
        await played.take(script.steps)
        await played.come_to_rest()
        await played.add_up()


@dataclass(slots=True)
class Stage:
    """A server that many plays share, one after the other."""

    runner: asyncio.Runner
    server: Server
    plays: int = 0

    def play(self, script: Script) -> None:
        self.plays += 1
        self.runner.run(asyncio.wait_for(play(self.server, self.plays, script), LONGEST))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    server = Server(tmp_path_factory.mktemp("machine") / "log.db", FLAGS)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield Stage(runner, server)
        runner.run(server.kill())


scripts = st.builds(
    Script,
    responses=st.lists(st.sampled_from(RESPONSES), max_size=8),
    verdicts=st.lists(st.sampled_from(VERDICTS), max_size=4),
    policy=st.sampled_from(POLICIES),
    messages=st.sampled_from([3, 2, 0]),
    steps=st.lists(step, min_size=3, max_size=15),
)


@given(scripts)
@settings(max_examples=10, deadline=None, derandomize=True, database=None)
def test_a_session_keeps_its_promises_whatever_is_done_to_it(stage: Stage, script: Script) -> None:
    stage.play(script)


@pytest.mark.long
@pytest.mark.timeout(600)
@given(scripts)
@settings(max_examples=120, deadline=None, derandomize=True, database=None)
def test_a_session_keeps_its_promises_whatever_is_done_to_it_many_times_over(stage: Stage, script: Script) -> None:
    stage.play(script)
