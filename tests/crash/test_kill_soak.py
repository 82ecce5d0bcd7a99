"""The server is killed again and again, at any moment, under many busy sessions, while their agents get new versions.

MANAGEDAGENTS_KILLS says how often (40 where nothing is said), MANAGEDAGENTS_SEED another run of the dice.
"""

import asyncio
import json
import os
import random
import re
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_event_pb2, agent_pb2, user_event_pb2
from managedagents.v1 import service_pb2 as pb
from managedagents_server.session.frames import from_frame
from support.calls import Event, answer, grading, message, outcome, scripted
from support.judge import Judge, figures
from support.server import Server, running
from support.stored import check_conversation, stored
from support.stubborn import Stubborn, stubborn, unless_refused

KILLS = int(os.environ.get("MANAGEDAGENTS_KILLS", "40"))
SEED = int(os.environ.get("MANAGEDAGENTS_SEED", "1"))
SESSIONS = 32
FLAGS = ("--limit", "deadline_grace=0", "--limit", "retry_first=0.02")

CYCLE: list[dict[str, Any]] = [
    {"thinking": "hm", "text": "at once"},
    {"tool_calls": [{"name": "ask"}, {"name": "nothing"}, {"name": "ask"}]},
    {"text": "it takes a while", "delay": "0.1s"},
    {"error": {"code": 500}},
    {"tool_calls": [{"name": "ask"}], "delay": "0.02s"},
    {"text": "half an ans", "error": {"code": 0, "times": 2}},
    {"error": {"code": 400}},
    {"text": "done", "usage": {"input_tokens": "3", "output_tokens": "1", "requests": "1"}},
    {"error": {"code": 413}},
    {"text": "what was said", "delay": "0.05s"},
    {"text": "no", "stop_reason": "MODEL_STOP_REASON_REFUSAL"},
    {"text": "much", "usage": {"input_tokens": "250", "model_time": "0.1s"}},
]


def _command(n: int) -> list[dict[str, Any]]:
    """What a model says that uses its hands: each command writes a line that no other one does."""
    asked = {"name": "bash", "input_json": json.dumps({"command": f"echo {n} >> runs; sleep 0.1"})}
    code = {"name": "code_execution", "input_json": json.dumps({"code": f"open('runs', 'a').write('{n + 1}\\n')"})}
    looks = {"name": "filesystem", "input_json": '{"command": "list"}'}
    return [{"tool_calls": [asked, code, looks]}, {"tool_calls": [looks]}, {"text": "done", "delay": "0.02s"}]


HANDS = [response for n in range(0, 480, 2) for response in _command(n)]
COMMON: dict[str, Any] = {"tools": ["ask"], "custom_tool_timeout": "0.2s"}
AGENTS = [
    scripted(*CYCLE * 60, **COMMON),
    scripted(*CYCLE * 60, **COMMON, compaction={"window_tokens": 256}),
    scripted(*CYCLE * 60, **COMMON, compaction={"window_tokens": 256, "threshold": 0.01}, token_budget=600),
    json_format.ParseDict(
        {
            "tools": [{"bash": {}}, {"code_execution": {}}, {"filesystem": {}}],
            "permission_policy": {"tools": {"bash": "PERMISSION_MODE_PROMPT"}},
        },
        scripted(*HANDS, **COMMON),
    ),
]
VERDICTS: list[dict[str, Any]] = [{"reason": "no"}, {"reason": "no", "delay": "0.1s", "error": {"code": 500}}]
"""None is ever met: that would be the end of the session."""
AGENTS = [grading(agent, *VERDICTS) for agent in AGENTS]
NEXT_VERSION = scripted({"text": "no session is pinned to it"})


@dataclass(slots=True)
class Busy:
    """One session with its writer, the client that answers, and what a second follower sees."""

    session_id: str
    token_budget: int | None
    rng: random.Random
    writer: Stubborn
    answerer: Stubborn
    seen: list[Event] = field(default_factory=list)
    on_disk: Judge = field(init=False)
    kept: list[bytes] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        self.on_disk = Judge(token_budget=self.token_budget)

    async def talk(self, stop: asyncio.Event) -> None:
        stub = self.writer.stub
        while not stop.is_set():
            match self.rng.randrange(10):
                case 0:
                    await self.writer.interrupt(self.session_id, drop_queued=self.rng.random() < 0.5)
                case 1:
                    await self.writer.call(stub.Pause, pb.PauseRequest(session_id=self.session_id))
                    await asyncio.sleep(self.rng.uniform(0, 0.2))
                    await self.writer.call(stub.Resume, pb.ResumeRequest(session_id=self.session_id))
                case 2:
                    defining = self.writer.send(self.session_id, outcome("it is done", self.rng.randrange(1, 4)))
                    await unless_refused(defining, "LIMIT_EXCEEDED", "OUTCOME_ACTIVE")
                case _:
                    await self.message()
            await asyncio.sleep(self.rng.uniform(0, 0.5))

    async def message(self) -> None:
        self.sent += 1
        sending = self.writer.send(self.session_id, message(f"number {self.sent}"))
        await unless_refused(sending, "LIMIT_EXCEEDED")

    async def answer(self) -> None:
        """Sometimes late, so that the turn goes to requires_action."""
        async for event in self.answerer.follow(self.session_id):
            given = self.given(event)
            if given is not None:
                await asyncio.sleep(self.rng.choice([0, 0.05, 0.3]))
                sending = self.answerer.send(self.session_id, given)
                await unless_refused(sending, "TOOL_USE_CLOSED", "SESSION_TERMINAL")

    def given(self, event: Event) -> user_event_pb2.UserEvent | None:
        """What the client has to say to a use; of four commands it allows three."""
        if event.HasField("agent_custom_tool_use"):
            return answer(event.agent_custom_tool_use.custom_tool_use_id)
        use = event.agent_tool_use
        if use.permission != agent_event_pb2.PERMISSION_DECISION_ASK:
            return None
        allow, deny = user_event_pb2.TOOL_CONFIRMATION_ALLOW, user_event_pb2.TOOL_CONFIRMATION_DENY
        decision = self.rng.choice([allow, allow, allow, deny])
        decided = user_event_pb2.UserToolConfirmation(tool_use_id=use.tool_use_id, decision=decision)
        return user_event_pb2.UserEvent(user_tool_confirmation=decided)

    async def watch(self, watcher: Stubborn) -> None:
        async for event in watcher.follow(self.session_id):
            self.seen.append(event)

    async def finish(self) -> None:
        """Everything that was sent is dealt with; then it is archived, which ends its streams."""
        head = await self.writer.send(self.session_id, message("the last"))
        judge = Judge(token_budget=self.token_budget)
        events = self.writer.follow(self.session_id)
        while judge.head < head or not judge.at_rest:
            judge.read([await anext(events)])
        await self.writer.call(self.writer.stub.Archive, pb.ArchiveRequest(session_id=self.session_id))

    def look(self, db: sqlite3.Connection) -> None:
        """At the log that a dead server left: nothing that was there before has changed, nothing that was acknowledged
        is missing."""
        rows = db.execute(
            "SELECT frame FROM events WHERE session = (SELECT session FROM sessions WHERE session_id = ?) ORDER BY seq",
            (self.session_id,),
        )
        frames = [frame for (frame,) in rows]
        assert frames[: len(self.kept)] == self.kept, "the past has changed"
        new = [from_frame(frame) for frame in frames[len(self.kept) :]]
        self.on_disk.read(new)
        self.kept = frames
        for client in (self.writer, self.answerer):
            for seq in client.acknowledged.get(self.session_id, {}):
                assert seq <= len(frames), f"the acknowledged seq {seq} of {self.session_id} is lost"

    def judge(self, db: Path, log: list[Event]) -> int:
        """At the end. Gives how many events were acknowledged."""
        assert self.seen == log
        assert self.on_disk.read(log[self.on_disk.head :]).terminal
        assert stored(db, self.session_id)[1] == log
        check_conversation(log)
        self.judge_hands(Path(f"{db}.workspaces") / self.session_id / "runs", log)
        acknowledged: dict[int, Any] = {}
        for client in (self.writer, self.answerer):
            client.check(self.session_id, log)
            acknowledged |= client.acknowledged.get(self.session_id, {})
        # Nothing that a client sent stands there twice, and nothing that nobody sent.
        assert sorted(acknowledged) == [event.seq for event in log if _is_sent(event)]
        begun = {event.turn for event in log if event.HasField("status_running")}
        ended = [event.turn for event in log if _ends(event)]
        assert begun <= set(ended)
        assert len(ended) == len(set(ended))
        return len(acknowledged)

    def judge_hands(self, runs: Path, log: list[Event]) -> None:
        """By the lines that the commands wrote: none ran twice or without a start, and what has a result did."""
        written = runs.read_text().split() if runs.exists() else []
        assert len(written) == len(set(written))
        started = {event.agent_tool_start.tool_use_id for event in log if event.HasField("agent_tool_start")}
        ran = {event.agent_tool_result.tool_use_id for event in log if _ran(event)}
        uses = [event.agent_tool_use for event in log if event.HasField("agent_tool_use")]
        lines = {use.tool_use_id: number for use in uses if (number := _line(use))}
        assert {line for use, line in lines.items() if use in ran} <= set(written)
        assert set(written) <= {line for use, line in lines.items() if use in started}


def _line(use: agent_event_pb2.AgentToolUse) -> str:
    """What a command writes. Empty: it is none."""
    found = re.search(r"echo (\d+)|write\('(\d+)", use.input_json)
    return found[1] or found[2] if found else ""


def _ran(event: Event) -> bool:
    return event.agent_tool_result.cause == agent_event_pb2.TOOL_RESULT_CAUSE_RAN


def _is_sent(event: Event) -> bool:
    return (event.WhichOneof("payload") or "").startswith("user_")


def _ends(event: Event) -> bool:
    """Its turn: a verdict does, and what stands behind the last one ends the outcome alone."""
    reason = event.status_idle.stop_reason.WhichOneof("reason")
    return event.HasField("outcome_evaluated") or reason not in (None, "requires_action", "max_outcome_iterations")


@dataclass(slots=True)
class Employer:
    """An agent with its sessions: half of them with a model of their own, which is the agent's."""

    definition: agent_pb2.AgentDefinition
    agent_id: str
    client: Stubborn
    sessions: list[Busy] = field(default_factory=list)
    version: int = 1

    async def begin(self, count: int, rng: random.Random, answerer: Stubborn) -> None:
        for number in range(count):
            request = pb.StartSessionRequest(agent_id=self.agent_id, version=1)
            if number % 2:
                request.overrides.model.CopyFrom(self.definition.model)
            session = await self.client.call(self.client.stub.StartSession, request)
            budget = self.definition.token_budget if self.definition.HasField("token_budget") else None
            dice = random.Random(rng.random())
            self.sessions.append(Busy(session.session_id, budget, dice, self.client, answerer))

    async def replace(self, stop: asyncio.Event, rng: random.Random) -> None:
        """Until it is archived at the end, with its sessions at work."""
        stub = self.client.stub
        while not stop.is_set():
            request = pb.UpdateAgentRequest(agent_id=self.agent_id, version=self.version, definition=NEXT_VERSION)
            updated = await self.client.call(stub.UpdateAgent, request)
            assert updated.version == self.version + 1
            self.version = updated.version
            await asyncio.sleep(rng.uniform(0, 0.5))
        await self.client.call(stub.ArchiveAgent, pb.ArchiveAgentRequest(agent_id=self.agent_id))

    async def add_up(self) -> None:
        request = pb.GetAgentRequest(agent_id=self.agent_id)
        shown = (await self.client.ask(self.client.stub.GetAgent, request)).agent
        assert shown.version == self.version
        assert figures(shown.usage) == sum((session.on_disk.spent for session in self.sessions), Counter())


async def kill_again_and_again(server: Server, sessions: list[Busy], rng: random.Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(rng.uniform(0, 0.5))
        await server.kill()
        with closing(sqlite3.connect(server.db)) as db:
            for session in sessions:
                session.look(db)
        await server.start()


@pytest.mark.long
@pytest.mark.timeout(60 + 5 * KILLS)
async def test_kills_at_any_moment_lose_nothing_and_repeat_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    async with (
        running(tmp_path / "log.db", *FLAGS) as server,
        stubborn(server, "writer") as writer,
        stubborn(server, "answerer") as answerer,
        stubborn(server, "watcher") as watcher,
    ):
        employers = []
        for definition in AGENTS:
            agent = await writer.call(writer.stub.Create, pb.CreateRequest(definition=definition))
            employers.append(Employer(definition, agent.agent_id, writer))
            await employers[-1].begin(SESSIONS // len(AGENTS), rng, answerer)
        sessions = [session for employer in employers for session in employer.sessions]
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as followers:
            for session in sessions:
                followers.create_task(session.answer())
                followers.create_task(session.watch(watcher))
            async with asyncio.TaskGroup() as writers:
                for session in sessions:
                    writers.create_task(session.talk(stop))
                for employer in employers:
                    writers.create_task(employer.replace(stop, random.Random(rng.random())))
                await kill_again_and_again(server, sessions, rng)
                stop.set()
            await asyncio.gather(*(session.finish() for session in sessions))
        logs = [await writer.log(session.session_id) for session in sessions]
        acknowledged = sum(session.judge(server.db, log) for session, log in zip(sessions, logs, strict=True))
        for employer in employers:
            await employer.add_up()
        assert "Traceback" not in server.stderr()
    with capsys.disabled():
        events = sum(len(log) for log in logs)
        sys.stdout.write(f"\n{KILLS} kills, {len(sessions)} sessions, {events} events, {acknowledged} acknowledged\n")
