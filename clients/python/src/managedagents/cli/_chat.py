"""managedagents chat: a conversation at a terminal, or a message for each line of a pipe."""

import asyncio
import importlib.util
import sys
from collections.abc import Sequence

import click

from managedagents._client import Client
from managedagents._errors import ManagedAgentsError, ToolUseClosedError
from managedagents._events import confirmation_event, result_event, text, user_event
from managedagents._follow import Follow, FollowItem
from managedagents.cli._connection import connection_options, fail, settings, show_notices
from managedagents.cli._output import status_name
from managedagents.cli._phrases import wanted_words
from managedagents.cli._screen import Screen
from managedagents.cli._terminal import plain
from managedagents.cli._uses import is_asking, name_of
from managedagents.v1 import event_pb2, session_pb2, user_event_pb2

_TERMINAL = frozenset(
    {
        session_pb2.SESSION_STATUS_COMPLETED,
        session_pb2.SESSION_STATUS_FAILED,
        session_pb2.SESSION_STATUS_ARCHIVED,
    }
)
# After these it is worth asking where the session stands.
_TURNING = frozenset(
    {
        "agent_custom_tool_use",
        "agent_tool_use",
        "agent_mcp_tool_use",
        "outcome_evaluated",
        "user_tool_confirmation",
        "status_idle",
        "status_paused",
        "status_resumed",
        "status_completed",
        "status_failed",
        "status_archived",
    }
)


@click.command()
@click.argument("session")
@click.option("--last", type=click.IntRange(min=0), help="Events to show first. Default: 20; from a pipe none.")
@click.option("--quiet", is_flag=True, help="Show no thinking, no usage, no retries and no starts of tools.")
@connection_options()
def chat(session: str, last: int | None, quiet: bool) -> None:
    """Talk to a session.

    Ctrl-C interrupts the turn, once more leaves; so does Ctrl-D at the prompt. Where the turn asks for a tool's answer,
    the next line is the answer (with a leading ! it is an error); where a tool waits for permission, y allows it, and
    anything else denies it and is told to the model. From a pipe each line is one message; its turn is waited for, and
    the end of the input is the end of the chat. Where stdout is no terminal it has what the agent says, and stderr the
    rest.
    """
    if settings().json:
        raise click.UsageError("A chat is for people. Use send, and tail with --json.")
    if sys.stdin.isatty() and importlib.util.find_spec("readline") is not None:
        __import__("readline")  # gives input() its line editing and history
    screen = Screen(quiet=quiet)
    show_notices(screen.end_line)
    with asyncio.Runner() as runner:
        client = runner.run(_connect())
        try:
            code = _Chat(runner, client, screen, session, last).talk()
        except ManagedAgentsError as error:
            fail(error)
        finally:
            runner.run(client.close())
    raise click.exceptions.Exit(code)


async def _connect() -> Client:
    return settings().client()


class _Leave(Exception):
    """The person leaves."""


class _Chat:
    """Reads lines while nothing runs, and runs the event loop while a turn does: each has the terminal for itself."""

    def __init__(self, runner: asyncio.Runner, client: Client, screen: Screen, session: str, last: int | None) -> None:
        self._runner, self._client, self._screen, self._session = runner, client, screen, session
        self._sent: set[int] = set()
        self._is_tty = sys.stdin.isatty()
        status = runner.run(client.status(session))
        if last is None:
            last = 20 if self._is_tty else 0
        self._seq = max(status.head_seq - last, 0)
        if self._is_tty:
            screen.notice(f"{session} is {status_name(status.status)}; Ctrl-C interrupts, Ctrl-D leaves")

    def talk(self) -> int:
        """The exit code: 1 where the session is over, or what the turn waits for is left out."""
        try:
            while True:
                waiting = self._go_on()
                if waiting is None:
                    return 1
                for action in waiting:
                    if not self._answer(action):
                        still = f"· the turn still waits for {wanted_words(action)}: {name_of(action)}"
                        click.secho(still, dim=True, err=True)
                        return 1
                if not waiting:
                    line = self._line("> ")
                    if line is None:
                        return 0
                    if line.strip():
                        self._send(user_event(line))
        except _Leave:
            return 0

    def _line(self, prompt: str) -> str | None:
        """A line; None at the end of the input."""
        try:
            if self._is_tty:
                if self._screen.elsewhere:
                    # input() itself would ask on stdout.
                    click.echo(plain(prompt, err=True), nl=False, err=True)
                    return input()
                return input(plain(prompt))
            line = sys.stdin.readline()
            return line.rstrip("\n") if line else None
        except EOFError:
            click.echo(err=self._screen.elsewhere)
            return None
        except KeyboardInterrupt:
            click.echo(err=self._screen.elsewhere)
            raise _Leave from None

    def _go_on(self) -> Sequence[session_pb2.PendingAction] | None:
        """Show what happens until the person is needed: for these uses, or (none) for the next message."""
        interrupted = False
        while True:
            try:
                return self._runner.run(self._watch())
            except KeyboardInterrupt:
                self._screen.end_line()
                if interrupted:
                    raise _Leave from None
                interrupted = True
                self._runner.run(self._client.interrupt(self._session))

    async def _watch(self) -> Sequence[session_pb2.PendingAction] | None:
        async with self._client.follow(self._session, self._seq, deltas=True) as items:
            while True:
                status = await self._client.status(self._session)
                await self._show_until(items, status.head_seq)
                if status.pending_actions and not status.paused:
                    return status.pending_actions
                if status.status in _TERMINAL:
                    click.secho(f"· the session is {status_name(status.status)}", dim=True, err=True)
                    return None
                # Between two turns of an outcome none is open, and it runs.
                between = status.state == session_pb2.SESSION_STATUS_RUNNING
                if not (status.turn or status.queued_messages or between):
                    return []
                await self._show_until(items, None)

    async def _show_until(self, items: Follow[FollowItem], seq: int | None) -> None:
        """Show items up to a seq; None: up to one after which the session may stand elsewhere."""
        while seq is None or self._seq < seq:
            item = await anext(items, None)
            if item is None:
                return
            if isinstance(item, event_pb2.SessionEvent):
                self._seq = item.seq
                self._screen.show(item, own=item.seq in self._sent)
                if seq is None and item.WhichOneof("payload") in _TURNING:
                    return
            else:
                self._screen.show(item)

    def _send(self, event: user_event_pb2.UserEvent) -> None:
        self._sent.add(self._runner.run(self._client.send(self._session, event)))

    def _answer(self, action: session_pb2.PendingAction) -> bool:
        """False: the input ended."""
        name = name_of(action)
        if is_asking(action):
            line = self._line(f"allow {name} {action.input_json}? [y, or why not] ")
        else:
            line = self._line(f"{name}: ")
        if line is None:
            return False
        if is_asking(action):
            allowed = line.strip().lower() in ("y", "yes")
            event = confirmation_event(action.tool_use_id, allowed or line.strip() or False)
        else:
            is_error = line.startswith("!")
            words = line.removeprefix("!").strip()
            event = result_event(action, (text(words),) if words else (), is_error)
        try:
            self._send(event)
        except ToolUseClosedError:
            self._screen.notice("answered by somebody else, or too late")
        return True
