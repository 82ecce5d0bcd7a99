"""Commands that show a session's log."""

import shutil
import sys

import click

from managedagents._client import Client
from managedagents.cli._connection import asks_server, settings
from managedagents.cli._output import json_line
from managedagents.cli._render import line_of
from managedagents.cli._terminal import plain
from managedagents.v1 import event_pb2, stream_pb2


def _kinds(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> list[str]:
    return [kind for value in values for kind in value.split(",") if kind]


_kinds_option = click.option(
    "--kinds", multiple=True, callback=_kinds, metavar="KIND,…", help="Only these, say agent.message."
)


@click.command()
@click.argument("session")
@click.option("--from-seq", type=click.IntRange(min=0), default=0, help="Begin after this seq. Default: the whole log.")
@click.option("--live", is_flag=True, help="Only what comes from now on.")
@_kinds_option
@click.option("--deltas", is_flag=True, help="Also what the model is in the middle of saying.")
@asks_server
async def tail(client: Client, session: str, from_seq: int, live: bool, kinds: list[str], deltas: bool) -> None:
    """Follow a session until it is over."""
    async with client.follow(session, None if live else from_seq, kinds=kinds, deltas=deltas) as items:
        async for item in items:
            if settings().json:
                click.echo(json_line(item))
            elif isinstance(item, event_pb2.SessionEvent):
                _print(item)
            else:
                click.secho(f"{'':>5}  {_words(item)}", dim=True)
        if items.ended is not None:
            reason = stream_pb2.StreamEndReason.Name(items.ended.reason).removeprefix("STREAM_END_REASON_").lower()
            click.secho(f"· the session is {reason}", dim=True, err=True)


@click.command()
@click.argument("session")
@click.option("--from-seq", type=click.IntRange(min=0), default=0, help="Begin after this seq.")
@_kinds_option
@asks_server
async def log(client: Client, session: str, from_seq: int, kinds: list[str]) -> None:
    """Print a session's log as JSON lines."""
    async for event in client.list_events(session, from_seq, kinds=kinds, page_size=1000):
        click.echo(json_line(event))


def _print(event: event_pb2.SessionEvent) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(line_of(event, width))


def _words(item: stream_pb2.StreamDelta | stream_pb2.StreamDeltaDiscarded) -> str:
    if isinstance(item, stream_pb2.StreamDeltaDiscarded):
        return f"discarded {item.response_id}"
    return repr(plain(item.text or item.thinking or item.tool_input.input_json))


COMMANDS = (tail, log)
