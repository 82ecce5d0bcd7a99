"""Commands that start, list, steer and end sessions."""

from contextlib import ExitStack
from pathlib import Path

import click

from managedagents._client import Client
from managedagents._definition import Filled, read
from managedagents.cli._connection import asks_server, settings
from managedagents.cli._declare import FILE, document_of, placing
from managedagents.cli._output import json_line, status_name, table, tell, tell_done, tokens_words, when
from managedagents.cli._phrases import wanted_words
from managedagents.cli._terminal import plain
from managedagents.cli._uses import name_of
from managedagents.v1 import service_pb2, session_pb2


def _pairs(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    for key, sign, _value in pairs:
        if not key or not sign:
            raise click.BadParameter("is written KEY=VALUE")
    return {key: value for key, _sign, value in pairs}


_STATUSES = [status_name(status) for status in session_pb2.SessionStatus.values() if status]


@click.command()
@click.argument("agent")
@click.option("--message", help="The first message.")
@click.option("--metadata", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="May be given several times.")
@click.option("--version", type=int, help="The agent's. Default: the newest.")
@click.option("--overrides", type=FILE, help="YAML or JSON: the model, system and tools that it has instead.")
@click.option("--environment", type=FILE, help="YAML or JSON: the env, working_dir, network and limits of its tools.")
@asks_server
async def start(
    client: Client,
    agent: str,
    message: str | None,
    metadata: dict[str, str],
    version: int | None,
    overrides: Path | None,
    environment: Path | None,
) -> None:
    """Start a session of AGENT, and print its id."""
    with ExitStack() as files:
        started = await client.start_session(
            agent,
            message=message,
            metadata=metadata,
            version=version,
            overrides=_read(files, overrides, session_pb2.SessionOverrides(), "overrides"),
            environment=_read(files, environment, session_pb2.EnvironmentConfig(), "environment"),
        )
    tell(started, started.session_id)


def _read(files: ExitStack, file: Path | None, message: Filled, field: str) -> Filled | None:
    """What the file says. Until `files` is left, a refusal of the request's field tells the place in the file."""
    if file is None:
        return None
    document = document_of(file)
    files.enter_context(placing(document, field))
    return read(document, message)


@click.command("sessions")
@click.option("--agent", default="", help="Only this agent's.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="May be given several times.")
@click.option("--metadata", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="Only those that have it.")
@asks_server
async def sessions(client: Client, agent: str, statuses: tuple[str, ...], metadata: dict[str, str]) -> None:
    """List the sessions, newest first."""
    wanted = [session_pb2.SessionStatus.Value(f"SESSION_STATUS_{name.upper()}") for name in statuses]
    rows = [row async for row in client.list_sessions(agent_id=agent, statuses=wanted, metadata=metadata)]
    if settings().json:
        for row in rows:
            click.echo(json_line(row))
    else:
        table(
            (row.session_id, row.agent_id, status_name(row.status), f"{row.head_seq} events", when(row.update_time))
            for row in rows
        )


@click.command()
@click.argument("session")
@asks_server
async def status(client: Client, session: str) -> None:
    """Say where a session stands and what it waits for."""
    found = await client.status(session)
    lines = [f"{status_name(found.status)} at seq {found.head_seq}{_more(found)}"]
    lines += [
        f"waits for {wanted_words(action)}: {plain(name_of(action))} {plain(action.input_json)}  ({action.tool_use_id})"
        for action in found.pending_actions
    ]
    tell(found, "\n".join(lines))


def _more(found: service_pb2.StatusResponse) -> str:
    parts = []
    if found.paused:
        parts.append(f"{status_name(found.state)} underneath")
    if found.turn:
        parts.append(f"turn {found.turn} is open")
    if found.queued_messages:
        parts.append(f"{found.queued_messages} queued")
    if found.usage.requests:
        parts.append(tokens_words(found.usage))
    return "".join(f", {part}" for part in parts)


@click.command()
@click.argument("session")
@asks_server
async def pause(client: Client, session: str) -> None:
    """Let nothing new start in a session."""
    tell(await client.pause(session), f"{session} is paused")


@click.command()
@click.argument("session")
@asks_server
async def resume(client: Client, session: str) -> None:
    """End a session's pause."""
    answer = await client.resume(session)
    tell(answer, f"{session} is {status_name(answer.status)}")


@click.command()
@click.argument("session")
@click.option("--drop-queued", is_flag=True, help="Also drop the messages that wait.")
@asks_server
async def interrupt(client: Client, session: str, drop_queued: bool) -> None:
    """Stop the turn that runs; the session lives on."""
    answer = await client.interrupt(session, drop_queued=drop_queued)
    tell(answer, f"interrupted at seq {answer.seq}")


@click.command()
@click.argument("session")
@asks_server
async def archive(client: Client, session: str) -> None:
    """End a session for good; its log stays readable."""
    seq = await client.archive(session)
    tell(service_pb2.ArchiveResponse(seq=seq), f"{session} is archived")


@click.command()
@click.argument("session")
@asks_server
async def delete(client: Client, session: str) -> None:
    """Delete a session and all its data."""
    await client.delete_session(session)
    tell_done(f"{session} is deleted", sessionId=session)


COMMANDS = (start, sessions, status, pause, resume, interrupt, archive, delete)
