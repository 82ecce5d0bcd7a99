"""The Python client against a real server process, which is killed in the middle."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from managedagents import (
    Client,
    InvalidRequestError,
    NotFoundError,
    OutcomeActiveError,
    RunResult,
    SessionTerminalError,
    confirmation_event,
    current_tool_use_id,
    kind_of,
    outcome_event,
    text_of,
)
from managedagents.v1 import event_pb2, session_pb2, stream_pb2
from support.server import Server, running

pytestmark = pytest.mark.long


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[tuple[Server, Client]]:
    async with running(path / "log.db") as server, Client.connect(server.address) as client:
        yield server, client


async def session(client: Client, *responses: dict[str, Any], tools: tuple[str, ...] = (), **more: Any) -> str:
    agent = await client.create(
        {
            "name": "test",
            "model": {"scripted": {"responses": list(responses)}},
            "tools": [{"custom": {"name": name}} for name in tools],
            **more,
        }
    )
    return (await client.start_session(agent.agent_id)).session_id


def calls(*names: str) -> dict[str, Any]:
    return {"text": "wait", "tool_calls": [{"name": name, "input": {"of": name}} for name in names]}


async def test_a_run_answers_tools_at_once_and_gives_the_last_words(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await session(client, calls("a", "b", "broken", "unknown"), {"text": "done"}, tools=("a", "b"))
        both = asyncio.Barrier(2)

        async def meet(given: Any) -> Any:
            await both.wait()
            return given

        def broken(given: Any) -> Any:
            raise ValueError("broken")

        seen: list[int] = []
        result = await client.run(
            session_id, "go", tools={"a": meet, "b": meet, "broken": broken}, on_event=lambda e: seen.append(e.seq)
        )
    assert (result.stop_reason, result.text) == ("end_turn", "done")
    assert seen == [event.seq for event in result.events] == list(range(1, len(seen) + 1))
    told = {text_of(e.user_custom_tool_result.content) for e in result.events if kind_of(e).startswith("user.custom")}
    assert told >= {'{"of":"a"}', '{"of":"b"}'}


async def test_a_run_and_a_follow_go_on_over_a_killed_server(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        session_id = await session(client, calls("slow"), {"text": "done", "delay": "1s"}, tools=("slow",))
        at_work, go_on, uses = asyncio.Event(), asyncio.Event(), []

        async def slow(given: Any) -> str:
            uses.append(current_tool_use_id())
            at_work.set()
            await go_on.wait()
            return "ok"

        async def all_seqs() -> list[int]:
            return [event.seq async for event in client.follow(session_id)]

        following = asyncio.create_task(all_seqs())
        run = asyncio.create_task(client.run(session_id, "go", tools={"slow": slow}))
        await at_work.wait()
        await server.kill()
        go_on.set()
        await server.start()
        async with client.follow(session_id) as events:
            async for event in events:
                if event.HasField("user_custom_tool_result"):
                    break
        await server.kill()
        await server.start()
        result: RunResult = await run
        last = await client.archive(session_id)
        assert await following == list(range(1, last + 1))
    assert (result.stop_reason, result.text, len(uses)) == ("end_turn", "done", 1)


async def test_a_run_of_an_outcome_answers_what_its_turns_ask_for_and_ends_with_it(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        verdicts = [{"reason": "no"}, {"met": True, "reason": "yes"}]
        responses = [calls("a"), {"text": "one"}, calls("a"), {"text": "two"}]
        model = {"scripted": {"responses": responses, "grader": verdicts}}
        session_id = await session(client, tools=("a",), model=model)
        result = await client.run(session_id, outcome_event("two"), tools={"a": lambda given: "ok"})
    assert (result.stop_reason, result.text, result.usage.requests) == ("completed", "two", 6)
    assert [kind_of(event) for event in result.events].count("user.custom_tool_result") == 2


async def test_a_run_of_an_outcome_that_is_never_met_says_so_and_a_second_one_is_refused_meanwhile(
    tmp_path: Path,
) -> None:
    async with connected(tmp_path) as (_, client):
        model = {"scripted": {"responses": [calls("a"), {"text": "one"}], "grader": [{"reason": "no"}]}}
        session_id = await session(client, tools=("a",), model=model)

        async def second(given: Any) -> str:
            with pytest.raises(OutcomeActiveError):
                await client.send(session_id, outcome_event("another"))
            return "refused"

        result = await client.run(session_id, outcome_event("two", 2), tools={"a": second})
    assert (result.stop_reason, result.text) == ("max_outcome_iterations", "one")
    told = [text_of(event.user_custom_tool_result.content) for event in result.events]
    assert [words for words in told if words] == ["refused"]


async def test_a_use_is_answered_after_its_deadline(tmp_path: Path) -> None:
    async with (
        running(tmp_path / "log.db", "--limit", "deadline_grace=0") as server,
        Client.connect(server.address) as client,
    ):
        session_id = await session(client, calls("late"), {"text": "done"}, tools=("late",), custom_tool_timeout="0.2s")
        waited = asyncio.Event()

        def on_event(event: event_pb2.SessionEvent) -> None:
            if event.status_idle.stop_reason.HasField("requires_action"):
                waited.set()

        async def late(given: Any) -> str:
            await waited.wait()
            return "ok"

        result = await client.run(session_id, "go", tools={"late": late}, on_event=on_event)
    assert waited.is_set()
    assert (result.stop_reason, result.text) == ("end_turn", "done")


async def test_a_use_that_an_earlier_process_left_open_is_answered_first(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await session(client, calls("a"), {"text": "first"}, {"text": "second"}, tools=("a",))
        await client.send(session_id, "one")
        async with client.follow(session_id, kinds=["agent.custom_tool_use"]) as uses:
            await anext(uses)
        result = await client.run(session_id, "two", tools={"a": lambda given: "ok"})
    assert result.text == "second"


def shell(*commands: str) -> dict[str, Any]:
    return {"tool_calls": [{"name": "bash", "input": {"command": command}} for command in commands]}


ASKS = {"permission_policy": {"default": "prompt"}}
AT_CLIENT = {"tool_host": "client"}


def bash_agent(*responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "test", "model": {"scripted": {"responses": list(responses)}}, "tools": [{"bash": {}}], **more}


async def bash_session(client: Client, *responses: dict[str, Any], **more: Any) -> str:
    agent = await client.create(bash_agent(*responses, **more))
    return (await client.start_session(agent.agent_id)).session_id


def kinds_of(result: RunResult) -> list[str]:
    return [kind_of(event) for event in result.events]


async def test_what_confirm_allows_runs_at_the_server_and_what_it_denies_is_told(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await bash_session(client, shell("echo yes", "echo no"), {"text": "done"}, **ASKS)

        def confirm(use: session_pb2.PendingAction) -> bool | str:
            return True if "yes" in use.input_json else "Not this one."

        result = await client.run(session_id, "go", confirm=confirm)
    assert (result.stop_reason, result.text) == ("end_turn", "done")
    told = {text_of(e.agent_tool_result.content) for e in result.events if e.HasField("agent_tool_result")}
    assert told == {"yes", "Not this one."}
    assert kinds_of(result).count("user.tool_confirmation") == 2


async def test_without_confirm_the_use_is_given_back(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        quick = {**ASKS, "custom_tool_timeout": "0.05s"}
        session_id = await bash_session(client, shell("echo yes"), {"text": "done"}, **quick)
        result = await client.run(session_id, "go")
    assert result.stop_reason == "requires_action"
    assert len(result.waits_for) == 1


async def test_a_built_in_tool_at_the_client_is_answered_by_its_handler(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await bash_session(client, shell("pwd"), {"text": "done"}, **AT_CLIENT)
        result = await client.run(session_id, "go", tools={"bash": lambda given: f"ran {given['command']} here"})
    assert (result.stop_reason, result.text) == ("end_turn", "done")
    (told,) = (e.user_tool_result for e in result.events if e.HasField("user_tool_result"))
    assert text_of(told.content) == "ran pwd here"


async def test_a_tool_at_the_client_that_asks_is_confirmed_and_then_answered(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await bash_session(client, shell("pwd"), {"text": "done"}, **AT_CLIENT, **ASKS)
        result = await client.run(session_id, "go", tools={"bash": lambda given: "ok"}, confirm=lambda use: True)
    assert result.stop_reason == "end_turn"
    kinds = [kind for kind in kinds_of(result) if kind.startswith("user.")]
    assert kinds == ["user.message", "user.tool_confirmation", "user.tool_result"]


async def test_what_an_earlier_process_left_to_be_confirmed_is_confirmed_and_answered_first(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        responses = (shell("pwd"), {"text": "first"}, {"text": "second"})
        session_id = await bash_session(client, *responses, **AT_CLIENT, **ASKS)
        await client.send(session_id, "one")
        async with client.follow(session_id, kinds=["agent.tool_use"]) as uses:
            await anext(uses)
        await server.kill()
        await server.start()
        result = await client.run(session_id, "two", tools={"bash": lambda given: "ok"}, confirm=lambda use: True)
    assert result.text == "second"


async def test_a_confirm_that_somebody_else_was_faster_than_holds_nothing_up(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await bash_session(client, shell("pwd"), {"text": "done"}, **AT_CLIENT, **ASKS)
        stopped = asyncio.Event()

        async def confirm(use: session_pb2.PendingAction) -> None:
            try:
                await client.send(session_id, confirmation_event(use.tool_use_id, True))
                await asyncio.Event().wait()
            finally:
                stopped.set()

        result = await client.run(session_id, "go", tools={"bash": lambda given: "ok"}, confirm=confirm)
    assert stopped.is_set()
    assert result.text == "done"


async def test_a_session_has_the_environment_that_it_was_started_in(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        agent = await client.create(bash_agent(shell("echo $COLOUR; pwd"), {"text": "done"}))
        environment = {"env": {"COLOUR": "blue"}, "working_dir": "in/here"}
        session_id = (await client.start_session(agent.agent_id, environment=environment)).session_id
        result = await client.run(session_id, "go")
        (told,) = (e.agent_tool_result for e in result.events if e.HasField("agent_tool_result"))
        assert text_of(told.content).splitlines() == ["blue", "/workspace/in/here"]
        wrong = session_pb2.EnvironmentConfig(working_dir="../out")
        with pytest.raises(InvalidRequestError) as caught:
            await client.start_session(agent.agent_id, environment=wrong)
    assert [violation.field for violation in caught.value.violations] == ["environment.working_dir"]


async def test_an_interrupt_stops_the_handler_and_ends_the_run(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await session(client, calls("a"), {"text": "done"}, tools=("a",))
        stopped = asyncio.Event()

        async def forever(given: Any) -> None:
            try:
                await client.interrupt(session_id)
                await asyncio.Event().wait()
            finally:
                stopped.set()

        result = await client.run(session_id, "go", tools={"a": forever})
    assert stopped.is_set()
    assert result.stop_reason == "interrupted"


async def test_a_dropped_message_ends_its_run(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await session(client, {"text": "slow", "delay": "60s"})
        await client.send(session_id, "one")
        run = asyncio.create_task(client.run(session_id, "two"))
        async with client.follow(session_id, kinds=["user.message"]) as messages:
            while text_of((await anext(messages)).user_message.content) != "two":
                pass
        await client.interrupt(session_id, drop_queued=True)
        assert (await run).stop_reason == "dropped"


async def test_a_session_that_ends_ends_its_runs_and_follows(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        session_id = await session(client, {"text": "slow", "delay": "60s"})
        items = client.follow(session_id)
        run = asyncio.create_task(client.run(session_id, "one"))
        await anext(items)
        await client.delete_session(session_id)
        assert (await run).stop_reason == "deleted"
        async for _ in items:
            pass
        assert items.ended is not None
        assert items.ended.reason == stream_pb2.STREAM_END_REASON_DELETED
        with pytest.raises(NotFoundError):
            await client.status(session_id)


async def test_every_call_of_the_client_works(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        definition = {"name": "n", "model": {"scripted": {"responses": [{"text": "hi"}]}}, "metadata": {"k": "v"}}
        agent = await client.create(definition)
        assert (await client.get_agent(agent.agent_id, version=1)).definition.name == "n"
        assert [a.version async for a in client.list_agents(metadata={"k": "v"})] == [1]
        started = await client.start_session(agent.agent_id, message="hello", metadata={"s": "1"})
        session_id = started.session_id
        assert started.head_seq >= 1
        assert (await client.pause(session_id)).seq
        assert (await client.status(session_id)).paused
        assert (await client.resume(session_id)).seq
        assert (await client.run(session_id, "again")).text == "hi"
        assert (await client.get_session(session_id)).metadata == {"s": "1"}
        assert [s.session_id async for s in client.list_sessions(metadata={"s": "1"})] == [session_id]
        head = (await client.status(session_id)).head_seq
        assert [e.seq async for e in client.list_events(session_id, 1, page_size=2)] == list(range(2, head + 1))
        assert await client.archive(session_id) == head + 1
        with pytest.raises(SessionTerminalError):
            await client.send(session_id, "too late")
        await client.archive_agent(agent.agent_id)
        assert [a async for a in client.list_agents()] == []
        with pytest.raises(InvalidRequestError) as caught:
            await client.create({"name": "x"})
        assert caught.value.violations


async def test_deltas_join_to_the_text_that_follows(tmp_path: Path) -> None:
    async with connected(tmp_path) as (_, client):
        words = "one two three four five six seven"
        session_id = await session(client, {"text": words, "delay": "0.5s"})
        told = ""
        async with client.follow(session_id, deltas=True) as items:
            await client.send(session_id, "go")
            async for item in items:
                if isinstance(item, stream_pb2.StreamDelta):
                    told += item.text
                elif isinstance(item, event_pb2.SessionEvent) and item.HasField("agent_message"):
                    break
    assert told
    assert words.startswith(told)
