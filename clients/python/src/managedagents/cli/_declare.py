"""Commands that read a definition from a file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from managedagents._client import Client
from managedagents._definition import read
from managedagents._document import Document
from managedagents._errors import DefinitionError, FieldViolation, ManagedAgentsError, VersionConflictError
from managedagents._missing import missing
from managedagents.cli._connection import asks_server, fail
from managedagents.cli._output import tell, tell_done
from managedagents.v1 import agent_pb2, service_pb2

FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
"""A file to read; - is stdin."""

_key_option = click.option(
    "--api-key-env",
    "variable",
    metavar="NAME",
    help="Send the key in this environment variable as the provider_model's api_key, so that no file holds it.",
)


@click.command()
@click.argument("file", type=FILE)
@_key_option
@asks_server
async def create(client: Client, file: Path, variable: str | None) -> None:
    """Create an agent from a YAML or JSON FILE (- is stdin), and print its id.

    Fields are named as in the API, in snake_case or lowerCamelCase. A tool's schema may be written inline, as
    input_schema, and an enum's value in short: `provider: anthropic`.
    """
    document = document_of(file)
    definition = _definition(document, variable)
    with placing(document, "definition"):
        response = await client.create(definition)
    tell(response, response.agent_id)


@click.command()
@click.argument("agent")
@click.argument("file", type=FILE)
@click.option("--version", type=int, help="The version that FILE replaces. Default: the newest now.")
@_key_option
@asks_server
async def update(client: Client, agent: str, file: Path, version: int | None, variable: str | None) -> None:
    """Make a new version of AGENT from a YAML or JSON FILE (- is stdin).

    Sessions keep the version that they were started with. With --version the update is refused where somebody else
    has made a newer one. An empty api_key keeps the key of the version that is replaced.
    """
    document = document_of(file)
    definition = _definition(document, variable)
    replaced = version if version is not None else (await client.get_agent(agent)).version
    try:
        with placing(document, "definition"):
            made = await client.update_agent(agent, replaced, definition)
    except VersionConflictError as error:
        changes = f"see `managedagents agents diff {agent} {replaced}` and update again"
        words = f"{agent} has a newer version than {replaced}, and was not changed now: {changes}"
        fail(VersionConflictError(words, reason=error.reason, code=error.code))
    tell(service_pb2.UpdateAgentResponse(version=made), f"{agent} is at version {made}")


@click.command()
@click.argument("file", type=FILE)
def check(file: Path) -> None:
    """Say what is wrong in a definition's FILE (- is stdin), without a server.

    It finds what cannot be read, unknown fields, values of a wrong type, and what is missing, with line and column.
    The server looks closer; its refusals of `create` and `update` tell the lines, too. Exit code 2: something is wrong.
    """
    try:
        document = document_of(file)
        definition = read(document, agent_pb2.AgentDefinition())
        lacking = missing(definition)
        if lacking:
            raise DefinitionError.of(document.placed(lacking))
    except DefinitionError as error:
        fail(error)
    tell_done(f"{document.name} is a definition", name=definition.name)


def document_of(file: Path) -> Document:
    """What the file says. Raises DefinitionError where it is neither YAML nor JSON."""
    if str(file) == "-":
        return Document(sys.stdin.buffer.read(), "stdin")
    return Document(file.read_bytes(), str(file))


@contextmanager
def placing(document: Document, root: str) -> Iterator[None]:
    """A refusal that comes out of the block tells where in the document its fields stand.

    `root`: the request's field that the document is.
    """
    try:
        yield
    except ManagedAgentsError as error:
        named = error.metadata.get("field", "")
        if named.startswith(root):
            error.violations = (FieldViolation("", error.message, document.place(_inside(root, named))),)
        elif error.violations and all(violation.field.startswith(root) for violation in error.violations):
            inside = [replace(violation, field=_inside(root, violation.field)) for violation in error.violations]
            error.violations = tuple(document.placed(inside))
        raise


def _inside(root: str, field: str) -> str:
    return field.removeprefix(root).removeprefix(".")


def _definition(document: Document, variable: str | None) -> agent_pb2.AgentDefinition:
    definition = read(document, agent_pb2.AgentDefinition())
    if variable is None:
        return definition
    key = os.environ.get(variable, "").strip()
    if not key:
        raise click.UsageError(f"There is no key in the environment variable {variable}.")
    model = definition.model.provider_model
    if definition.model.WhichOneof("ref") != "provider_model" or model.WhichOneof("secret") == "credential":
        raise click.UsageError("A key is given to a provider_model without a credential, and the definition has none.")
    model.api_key = key
    return definition


COMMANDS = (create, update, check)
