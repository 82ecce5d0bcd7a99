"""managedagents agents …"""

import sys
from pathlib import Path

import click
import yaml
from google.protobuf import json_format

from managedagents._client import Client
from managedagents._definition import load_definition, read_definition
from managedagents.cli._connection import asks_server, settings
from managedagents.cli._output import json_line, table, tell, tell_done, when
from managedagents.v1 import agent_pb2


@click.group()
def agents() -> None:
    """Create, list, read and archive agents."""


@agents.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@asks_server
async def create(client: Client, file: Path) -> None:
    """Create an agent from a YAML or JSON FILE (- is stdin), and print its id.

    Fields are named as in the API, in snake_case or lowerCamelCase. A tool's schema may be written inline, as
    input_schema.
    """
    definition = read_definition(sys.stdin.read(), "stdin") if str(file) == "-" else load_definition(file)
    response = await client.create(definition)
    tell(response, response.agent_id)


@agents.command("list")
@click.option("--all", "everything", is_flag=True, help="Also archived ones.")
@asks_server
async def list_(client: Client, everything: bool) -> None:
    """List the agents, newest first."""
    rows = [agent async for agent in client.list_agents(include_archived=everything)]
    if settings().json:
        for agent in rows:
            click.echo(json_line(agent))
    else:
        table((a.agent_id, f"v{a.version}", a.definition.name, _model(a), when(a.create_time), _state(a)) for a in rows)


@agents.command()
@click.argument("agent")
@click.option("--version", type=int, help="Default: the newest.")
@asks_server
async def get(client: Client, agent: str, version: int | None) -> None:
    """Print an agent."""
    found = await client.get_agent(agent, version=version)
    values = json_format.MessageToDict(found, preserving_proto_field_name=True)
    tell(found, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip())


@agents.command()
@click.argument("agent")
@asks_server
async def archive(client: Client, agent: str) -> None:
    """Let an agent take no new sessions."""
    await client.archive_agent(agent)
    tell_done(f"{agent} is archived", agentId=agent)


def _model(agent: agent_pb2.Agent) -> str:
    model = agent.definition.model
    return model.name or model.provider_model.model or (model.WhichOneof("ref") or "")


def _state(agent: agent_pb2.Agent) -> str:
    return "archived" if agent.HasField("archive_time") else ""
