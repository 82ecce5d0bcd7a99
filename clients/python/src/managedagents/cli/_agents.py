"""managedagents agents …"""

import difflib
from collections.abc import Iterable

import click

from managedagents._client import Client
from managedagents._errors import ManagedAgentsError
from managedagents.cli._connection import asks_server, fail, settings
from managedagents.cli._declare import COMMANDS
from managedagents.cli._output import json_line, table, tell, tell_done, tokens_words, when, yaml_of
from managedagents.cli._terminal import plain
from managedagents.v1 import agent_pb2

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.group()
def agents() -> None:
    """Create, change, compare, list, read and archive agents."""


@agents.command("list")
@click.option("--all", "everything", is_flag=True, help="Also archived ones.")
@asks_server
async def list_(client: Client, everything: bool) -> None:
    """List the agents, newest first, with what their sessions have used."""
    rows = [agent async for agent in client.list_agents(include_archived=everything)]
    if settings().json:
        for agent in rows:
            click.echo(json_line(agent))
    else:
        table(
            (a.agent_id, f"v{a.version}", a.definition.name, _model(a), when(a.create_time), _state(a), _usage(a))
            for a in rows
        )


@agents.command()
@click.argument("agent")
@click.option("--version", type=int, help="Default: the newest.")
@click.option("--definition", "alone", is_flag=True, help="Only the definition, to be edited and given to update.")
@asks_server
async def get(client: Client, agent: str, version: int | None, alone: bool) -> None:
    """Print an agent. A key is never shown: where the server holds one, `api_key` is empty."""
    found = await client.get_agent(agent, version=version)
    shown = found.definition if alone else found
    tell(shown, plain(yaml_of(shown)))


@agents.command()
@click.argument("agent")
@click.argument("before", metavar="[FROM]", type=int, required=False)
@click.argument("after", metavar="[TO]", type=int, required=False)
@asks_server
async def diff(client: Client, agent: str, before: int | None, after: int | None) -> None:
    """Compare the definitions of two versions of AGENT.

    Default: the newest one with the one before it; with FROM alone, the newest with that. Exit codes are those of
    diff: 0 equal, 1 different, 2 it could not be told (3 still means no server).
    """
    try:
        new = await client.get_agent(agent, version=after)
        if before is None and new.version == 1:
            raise click.UsageError(f"{agent} has one version: there is nothing to compare.")
        old = await client.get_agent(agent, version=new.version - 1 if before is None else before)
    except ManagedAgentsError as error:
        fail(error, one_is_taken=True)
    lines = _changes(old, new)
    if settings().json:
        versions = {"from": str(old.version), "to": str(new.version)}
        tell_done("", agentId=agent, **versions, diff="".join(f"{line}\n" for line in lines))
    else:
        _show(lines)
    if lines:
        raise click.exceptions.Exit(1)


@agents.command()
@click.argument("agent")
@asks_server
async def archive(client: Client, agent: str) -> None:
    """Let an agent take no new sessions."""
    await client.archive_agent(agent)
    tell_done(f"{agent} is archived", agentId=agent)


for _command in COMMANDS:
    agents.add_command(_command)


def _changes(old: agent_pb2.Agent, new: agent_pb2.Agent) -> list[str]:
    before, after = (yaml_of(found.definition).split("\n") for found in (old, new))
    from_name, to_name = (f"{found.agent_id} version {found.version}" for found in (old, new))
    return list(difflib.unified_diff(before, after, from_name, to_name, lineterm=""))


def _show(lines: Iterable[str]) -> None:
    for number, line in enumerate(lines):
        is_head = number < 2
        click.secho(plain(line), bold=is_head, fg=None if is_head else _COLOURS.get(line[:1]))


def _model(agent: agent_pb2.Agent) -> str:
    model = agent.definition.model
    return model.name or model.provider_model.model or (model.WhichOneof("ref") or "")


def _state(agent: agent_pb2.Agent) -> str:
    return "archived" if agent.HasField("archive_time") else ""


def _usage(agent: agent_pb2.Agent) -> str:
    return tokens_words(agent.usage) if agent.usage.requests else ""
