"""A session and its agent as random clients and crashes play with them."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from machine.turns import check_turns
from managedagents.v1 import agent_pb2, session_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, answer, message, outcome, scripted
from support.driven import texts
from support.judge import Judge, figures
from support.server import Server
from support.stored import check_conversation, stored
from support.stubborn import Stubborn, unless_refused

REFUSALS = ["TOOL_USE_CLOSED", "SESSION_TERMINAL", "LIMIT_EXCEEDED", "OUTCOME_ACTIVE"]


@dataclass(slots=True)
class Play:
    """One session, and what was done to it."""

    server: Server
    client: Stubborn
    agent: agent_pb2.Agent
    session_id: str
    version: int = 1
    """The newest of the agent that was acknowledged."""
    archived: bool = False
    """The agent is."""
    others: list[str] = field(default_factory=list)
    """Sessions of the same agent, each with one turn."""
    seen: Judge = field(default_factory=Judge)

    def judge(self) -> Judge:
        """One that has read nothing yet."""
        definition = self.agent.definition
        return Judge(token_budget=definition.token_budget if definition.HasField("token_budget") else None)

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
            case "outcome":
                defined = outcome(f"outcome {number}", number or None)
                await self.may_be_refused(self.client.send(self.session_id, defined))
            case "answer":
                await self.answer(number)
            case "update":
                await self.update()
            case "begin another":
                await self.begin_another(number)
            case "archive agent":
                await self.client.call(stub.ArchiveAgent, pb.ArchiveAgentRequest(agent_id=self.agent.agent_id))
                self.archived = True

    async def update(self) -> None:
        """The session goes on as it began."""
        replaced, was_archived = self.version, self.archived
        definition = scripted({"text": f"version {replaced + 1}"})
        request = pb.UpdateAgentRequest(agent_id=self.agent.agent_id, version=replaced, definition=definition)
        updating = self.client.call(self.client.stub.UpdateAgent, request)
        updated = await unless_refused(updating, "VERSION_CONFLICT", "AGENT_ARCHIVED")
        if updated is not None:
            assert not was_archived, "an archived agent got a version"
            assert updated.version == replaced + 1
            self.version = updated.version

    async def begin_another(self, number: int) -> None:
        """Of one of the versions, or with a model of its own."""
        version, was_archived = 1 + number % self.version, self.archived
        request = pb.StartSessionRequest(
            agent_id=self.agent.agent_id, version=version, initial_events=[message("what are you?")]
        )
        if version == 1:
            request.overrides.model.CopyFrom(scripted({"text": "version 1"}).model)
        beginning = self.client.call(self.client.stub.StartSession, request)
        begun = await unless_refused(beginning, "AGENT_ARCHIVED")
        if begun is not None:
            assert not was_archived, "an archived agent got a session"
            self.others.append(begun.session_id)

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
        judge = self.judge().read(await self.client.log(self.session_id))
        events = self.client.follow(self.session_id, judge.head)
        while not (judge.at_rest or judge.waits_for_client or judge.paused):
            judge.read([await anext(events)])

    async def look(self) -> None:
        """At everything that can be seen of the session now."""
        events = await self.client.log(self.session_id)
        self.seen = self.judge().read(events)
        self.client.check(self.session_id, events)
        state, kept = stored(self.server.db, self.session_id)
        assert kept[: len(events)] == events
        check_conversation(kept)
        status = await self.client.ask(self.client.stub.Status, pb.StatusRequest(session_id=self.session_id))
        if status.head_seq == len(events):
            self.compare(self.seen, status)
        assert state.head == self.judge().read(kept).head

    @staticmethod
    def compare(judge: Judge, status: pb.StatusResponse) -> None:
        paused = judge.paused and not judge.terminal
        assert status.state == judge.state
        assert figures(status.usage) == judge.spent
        assert status.status == (session_pb2.SESSION_STATUS_PAUSED if paused else judge.state)
        if not judge.terminal:
            assert status.paused == judge.paused
            assert (status.turn, status.queued_messages) == (judge.turn, len(judge.queue))
            assert [action.tool_use_id for action in status.pending_actions] == judge.uses

    async def come_to_rest(self) -> None:
        """Everybody answers and nobody disturbs."""
        await self.do("resume", 0)
        head = len(await self.client.log(self.session_id))
        judge = self.judge()
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
        first = [
            seq for seq, event in sent.items() if event.WhichOneof("event") in ("user_message", "user_define_outcome")
        ]
        events = await self.client.log(self.session_id)
        begun = [event.turn for event in events if event.HasField("status_running")]
        further = {event.seq for event in events if event.HasField("outcome_evaluated")}
        dropped = [seq for event in events for seq in event.status_idle.stop_reason.interrupted.dropped_seqs]
        assert self.seen.terminal or sorted(first) == sorted({*begun, *dropped} - further)
        assert not set(begun) & set(dropped)
        assert list(dict.fromkeys(begun)) == sorted(set(begun))
        await check_turns(self.client.stub, self.session_id, events)

    async def add_up(self) -> None:
        """The sessions of the agent ran as they were pinned, and cost what it says."""
        stub, spent = self.client.stub, self.seen.spent
        for session_id in self.others:
            events = await self.client.comes(session_id, "status.idle end_turn")
            session = await self.client.ask(stub.GetSession, pb.GetSessionRequest(session_id=session_id))
            assert texts(events) == [f"version {session.session.agent_version}"]
            spent = spent + self.judge().read(events).spent
        await self.compare_agent(spent)
        for session_id in (self.session_id, *self.others):
            await self.client.call(stub.DeleteSession, pb.DeleteSessionRequest(session_id=session_id))
        await self.compare_agent(spent)

    async def compare_agent(self, spent: Counter[str]) -> None:
        request = pb.GetAgentRequest(agent_id=self.agent.agent_id)
        shown = (await self.client.ask(self.client.stub.GetAgent, request)).agent
        assert figures(shown.usage) == spent
        assert shown.version == self.version
        assert shown.HasField("archive_time") == self.archived


def _is_use(event: Event) -> bool:
    return event.HasField("agent_custom_tool_use")
