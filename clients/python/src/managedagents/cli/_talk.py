"""Commands that send one event to a session."""

import click
from google.protobuf import json_format

from managedagents._client import Client
from managedagents._events import confirmation_event, outcome_event, result_event, text, user_event
from managedagents.cli._connection import asks_server
from managedagents.cli._output import tell
from managedagents.v1 import service_pb2, session_pb2, user_event_pb2


def _event(_context: click.Context, _parameter: click.Parameter, value: str | None) -> user_event_pb2.UserEvent | None:
    if value is None:
        return None
    try:
        return json_format.Parse(value, user_event_pb2.UserEvent())
    except json_format.ParseError as error:
        raise click.BadParameter(f"is no user event: {error}") from error


@click.command()
@click.argument("session")
@click.argument("words", metavar="TEXT", required=False)
@click.option("--event", callback=_event, metavar="JSON", help="Instead of a text, say '{\"user_interrupt\": {}}'.")
@asks_server
async def send(client: Client, session: str, words: str | None, event: user_event_pb2.UserEvent | None) -> None:
    """Send a message (or any event), and print its seq."""
    if (words is None) == (event is None):
        raise click.UsageError("Give a TEXT or an --event.")
    _tell_seq(await client.send(session, event or user_event(words or "")))


@click.command()
@click.argument("session")
@click.argument("criteria")
@click.option("--max-iterations", type=int, help="1 to 20. Default: 3.")
@asks_server
async def outcome(client: Client, session: str, criteria: str, max_iterations: int | None) -> None:
    """Let a session work until the CRITERIA are met, and print the outcome's seq.

    A grader judges whenever the agent is done. The session is completed when they are met, and goes idle when they are
    not within the iterations; `tail` tells.
    """
    _tell_seq(await client.send(session, outcome_event(criteria, max_iterations)))


@click.command()
@click.argument("session")
@click.argument("use_id")
@click.argument("words", metavar="TEXT")
@click.option("--error", "is_error", is_flag=True, help="The tool failed, and the text says how.")
@asks_server
async def answer(client: Client, session: str, use_id: str, words: str, is_error: bool) -> None:
    """Answer a use of a custom tool, or of a built-in one that runs at the client.

    One that waits for permission is answered by `confirm`.
    """
    waiting = (await client.status(session)).pending_actions
    # Where nothing of this id waits, the server says why.
    action = next((action for action in waiting if action.tool_use_id == use_id), None)
    action = action or session_pb2.PendingAction(
        tool_use_id=use_id, kind=session_pb2.PENDING_ACTION_KIND_CUSTOM_TOOL_RESULT
    )
    _tell_seq(await client.send(session, result_event(action, (text(words),) if words else (), is_error)))


@click.command()
@click.argument("session")
@click.argument("use_id")
@click.option("--allow/--deny", required=True, default=None, help="Whether the tool may run.")
@click.option("--message", help="With --deny: what the model is told.")
@asks_server
async def confirm(client: Client, session: str, use_id: str, allow: bool, message: str | None) -> None:
    """Allow or deny a tool use that waits for permission."""
    if allow and message is not None:
        raise click.UsageError("Only a --deny has a --message.")
    _tell_seq(await client.send(session, confirmation_event(use_id, allow or message or False)))


def _tell_seq(seq: int) -> None:
    tell(service_pb2.SendEventResponse(seq=seq), str(seq))


COMMANDS = (send, outcome, answer, confirm)
