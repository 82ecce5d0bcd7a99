"""The story: tokens stream in, a tool use waits, the server is killed twice, and the session goes on as if nothing had
happened. One follower watches from the first event to the last."""

import asyncio
from collections.abc import Callable
from functools import partial

from demo.screen import Screen
from managedagents import Client, kind_of, text, text_of
from managedagents.v1 import event_pb2, session_pb2, stream_pb2, user_event_pb2
from support.server import Server
from support.small_model import DEPLOY, MODEL

Event = event_pb2.SessionEvent

PATIENCE = 120.0
"""Seconds that any one thing may take on a slow machine."""


class StoryFault(Exception):
    """Something did not happen as told."""


class Watcher:
    """The one follower: shows tokens as they come, keeps every event, and wakes whoever waits for something."""

    def __init__(self, client: Client, session_id: str, screen: Screen) -> None:
        self.events: list[Event] = []
        self.tokens = 0
        self._client = client
        self._session_id = session_id
        self._screen = screen
        self._news = asyncio.Condition()

    async def watch(self) -> None:
        async with self._client.follow(self._session_id, 0, deltas=True) as items:
            async for item in items:
                self._show(item)
                async with self._news:
                    self._news.notify_all()

    def _show(self, item: object) -> None:
        match item:
            case stream_pb2.StreamDelta(text=piece) if piece:
                self.tokens += 1
                self._screen.token(piece)
            case stream_pb2.StreamDeltaDiscarded():
                self._screen.aside("(that answer was never finished, so it was never logged: it is thrown away)")
            case Event():
                self.events.append(item)

    async def until(self, what: str, happened: Callable[[], object]) -> None:
        try:
            async with asyncio.timeout(PATIENCE), self._news:
                await self._news.wait_for(lambda: bool(happened()))
        except TimeoutError:
            raise StoryFault(f"{what}: waited {PATIENCE:.0f} s for it") from None

    def last(self, kind: str, after: int = 0) -> Event | None:
        found = [event for event in self.events if kind_of(event) == kind and event.seq > after]
        return found[-1] if found else None

    def called_or_done(self, after: int) -> bool:
        return self.use(after) is not None or self.last("status.idle", after) is not None

    def use(self, after: int) -> Event | None:
        return self.last("agent.custom_tool_use", after)


async def play(server: Server, base_url: str, screen: Screen) -> None:
    screen.step("A language model of 135 million parameters runs on this machine; the server, on a SQLite file.")
    await server.start()
    screen.aside(f"model at {base_url}, server at {server.address}, process {server.pid}")
    async with Client.connect(server.address, patience=PATIENCE) as client, asyncio.TaskGroup() as tasks:
        screen.step("We declare an agent: a model, a system prompt, and a tool that we answer ourselves.")
        agent = await client.create(_definition(base_url))
        screen.aside(f"agent {agent.agent_id}")
        session = (await client.start_session(agent.agent_id)).session_id
        screen.step("We start a session of it, and follow its events from the first one on. This follower stays.")
        screen.aside(f"session {session}")
        watcher = Watcher(client, session, screen)
        watching = tasks.create_task(watcher.watch())

        await _stream(client, session, watcher, screen)
        use = await _park(client, session, watcher, screen)
        await _kill(server, screen)
        await _answer(client, session, use, watcher, screen)
        await _kill_in_mid_sentence(server, client, session, watcher, screen)

        screen.step("We archive the session. It is over, its log stays readable, and the follower is told so.")
        await client.archive(session)
        async with asyncio.timeout(PATIENCE):
            await watching
        await _show_log(client, session, watcher, screen)


def _definition(base_url: str) -> dict[str, object]:
    return {
        "name": "operator",
        "system": "You are a helpful assistant. You answer in one or two sentences.",
        "model": {"provider_model": {"provider": "PROVIDER_OPENAI_COMPATIBLE", "model": MODEL, "base_url": base_url}},
        "model_settings": {"temperature": 0.0, "seed": 1, "max_tokens": 60},
        "tools": [{"custom": {"name": "deploy", "description": "Deploys a service.", "input_schema_json": DEPLOY}}],
    }


async def _stream(client: Client, session: str, watcher: Watcher, screen: Screen) -> None:
    question = "Describe the sea in one sentence."
    screen.step(f"We ask: {question!r} The tokens come as the model makes them:")
    seq = await client.send(session, question)
    await watcher.until("the first answer", lambda: watcher.last("status.idle", seq) is not None)
    if not watcher.tokens:
        raise StoryFault("no token came before the answer was whole")
    screen.aside(f"({watcher.tokens} pieces; the whole answer is in the log as one event)")


async def _park(client: Client, session: str, watcher: Watcher, screen: Screen) -> Event:
    for service in ("web", "shop", "mail"):
        request = f"Deploy the service {service}."
        screen.step(f"We say: {request!r} The model calls our tool, and the session waits for us.")
        seq = await client.send(session, request)
        await watcher.until("the tool use", partial(watcher.called_or_done, seq))
        use = watcher.use(seq)
        if use is not None:
            screen.aside(f"{use.agent_custom_tool_use.name} {use.agent_custom_tool_use.input_json}")
            screen.aside(f"waiting is not a coroutine, it is a fact in the log: seq {use.seq}")
            return use
        screen.aside("(a model this small does not always see that it should: we ask for another one)")
    raise StoryFault("the model never called the tool")


async def _kill(server: Server, screen: Screen) -> None:
    screen.step("Now we kill the server with SIGKILL, in the middle of the turn, and start it again on the same file.")
    before = server.pid
    await server.kill()
    await server.start()
    screen.aside(f"process {before} is gone, process {server.pid} goes on")


async def _answer(client: Client, session: str, use: Event, watcher: Watcher, screen: Screen) -> None:
    status = await client.status(session)
    if [action.seq for action in status.pending_actions] != [use.seq]:
        raise StoryFault("the tool use does not wait any more")
    name = session_pb2.SessionStatus.Name(status.status).removeprefix("SESSION_STATUS_")
    screen.step(f"The new process says: {name}, still waiting for the same tool use. We answer it.")
    await client.send(
        session,
        user_event_pb2.UserEvent(
            user_custom_tool_result=user_event_pb2.UserCustomToolResult(
                custom_tool_use_id=use.agent_custom_tool_use.custom_tool_use_id,
                content=[text("version 8 is live")],
            )
        ),
    )
    await watcher.until("the end of the turn", lambda: watcher.last("status.idle", use.seq) is not None)
    message = watcher.last("agent.message", use.seq)
    if message is None:
        raise StoryFault("the model said nothing to the answer")
    screen.aside("(the turn that the first process began has ended in the second)")


async def _kill_in_mid_sentence(server: Server, client: Client, session: str, watcher: Watcher, screen: Screen) -> None:
    question = "Write a poem about the sea."
    screen.step(f"Once more, harder: we ask {question!r} and kill the server in mid-sentence.")
    seen = watcher.tokens
    seq = await client.send(session, question)
    await watcher.until("the first tokens", lambda: watcher.tokens >= seen + 5)
    if watcher.last("status.idle", seq) is not None:
        raise StoryFault("the answer was whole before the server could be killed")
    await server.kill()
    await server.start()
    screen.step(
        f"SIGKILL, and process {server.pid} goes on. The model is asked again; nobody had to send anything again:"
    )
    await watcher.until("the answer after the kill", lambda: watcher.last("status.idle", seq) is not None)


async def _show_log(client: Client, session: str, watcher: Watcher, screen: Screen) -> None:
    screen.step("This is the log. It is the whole session: seq, turn, kind, and what was said.")
    logged = [event async for event in client.list_events(session)]
    for event in logged:
        screen.say(f"   {event.seq:>3}  {event.turn or '':>3}  {kind_of(event):<26}  {_words(event)}".rstrip())
    if [event.seq for event in logged] != list(range(1, len(logged) + 1)):
        raise StoryFault("the log has a gap")
    if [event.seq for event in watcher.events] != [event.seq for event in logged]:
        raise StoryFault("the follower did not see every event once, in order")
    screen.say()
    screen.say(
        f"   Three processes, one session: {len(logged)} events, no gap, and the one follower saw each of them once."
    )


def _words(event: Event) -> str:
    match kind_of(event):
        case "user.message":
            words = text_of(event.user_message.content)
        case "agent.message":
            words = text_of(event.agent_message.content)
        case "user.custom_tool_result":
            words = text_of(event.user_custom_tool_result.content)
        case "agent.custom_tool_use":
            words = f"{event.agent_custom_tool_use.name} {event.agent_custom_tool_use.input_json}"
        case "status.idle":
            words = event.status_idle.stop_reason.WhichOneof("reason") or ""
        case _:
            words = ""
    words = " ".join(words.split())
    return words if len(words) <= 60 else f"{words[:59]}…"
