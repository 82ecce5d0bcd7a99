"""MCP servers that other people wrote: every tool that they have is listed and called."""

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from managedagents_server.tools.mcp import (
    Command,
    Http,
    McpBounds,
    McpConnection,
    McpConnections,
    McpKey,
    McpServerSpec,
    Stdio,
)
from support import mcp_servers
from unit.tools.mcp.helping import changed, words

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

_KEY = McpKey("ses", "real")

_EVERYTHING: dict[str, dict[str, Any]] = {
    "echo": {"message": "hello"},
    "get-annotated-message": {"messageType": "error", "includeImage": True},
    "get-env": {},
    "get-resource-links": {"count": 2},
    "get-resource-reference": {"resourceType": "Blob", "resourceId": 1},
    "get-structured-content": {"location": "Chicago"},
    "get-sum": {"a": 1, "b": 2},
    "get-tiny-image": {},
    "gzip-file-as-resource": {"data": "data:text/plain;base64,aGVsbG8=", "outputType": "resource"},
    "simulate-research-query": {"topic": "rain"},
    "toggle-simulated-logging": {},
    "toggle-subscriber-updates": {},
    "trigger-long-running-operation": {"duration": 0.2, "steps": 2},
}
_LONG = {"duration": 60, "steps": 600}
"""For the last of them: it tells a step each tenth of a second."""
_FAIL = frozenset({"simulate-research-query"})
"""It runs as a task of the protocol alone, and says so."""


@pytest.fixture
async def connections() -> AsyncIterator[McpConnections]:
    async with McpConnections(McpBounds(close=1.0)) as made:
        yield made


async def _all_called(connection: McpConnection, calls: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """What each answered, in words."""
    tools = {tool.tool: tool for tool in await connection.list_tools()}
    assert tools.keys() == calls.keys()
    told = {}
    for name, given in calls.items():
        shown, own = tools[name].shown_schema_json, tools[name].declaration.input_schema_json
        jsonschema.validate(given, json.loads(own))
        jsonschema.Draft202012Validator(json.loads(shown)).validate(given)
        outcome = await connection.call(name, given, 20)
        told[name] = words(outcome)
        assert outcome.is_error == (name in _FAIL), f"{name}: {told[name]}"
        if name == "get-tiny-image":
            assert outcome.content[1].image.media_type == "image/png"
    return told


async def test_every_tool_of_the_everything_server_answers(connections: McpConnections) -> None:
    command, *arguments = await mcp_servers.everything()
    connection = connections.connection(_KEY, McpServerSpec("everything", Stdio(command, tuple(arguments))))
    told = await _all_called(connection, _EVERYTHING)
    assert told["get-sum"] == "The sum of 1 and 2 is 3."
    assert "task" in told["simulate-research-query"]


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
async def test_every_tool_of_the_everything_server_answers_at_a_url(
    transport: Literal["streamableHttp", "sse"], connections: McpConnections
) -> None:
    async with mcp_servers.everything_at_a_url(transport) as url:
        connection = connections.connection(_KEY, McpServerSpec("everything", Http(url, sse=transport == "sse")))
        assert (await _all_called(connection, _EVERYTHING))["get-sum"] == "The sum of 1 and 2 is 3."
        connections.rest(_KEY.session)
        await connections.closed(_KEY.session)


async def test_every_tool_of_the_filesystem_server_answers(connections: McpConnections, tmp_path: Path) -> None:
    command, *arguments = await mcp_servers.filesystem(tmp_path)
    connection = connections.connection(_KEY, McpServerSpec("files", Stdio(command, tuple(arguments))))
    (tmp_path / "dot.png").write_bytes(base64.b64decode("iVBORw0KGgo="))
    at = str(tmp_path)
    told = await _all_called(
        connection,
        {
            "write_file": {"path": f"{at}/a.txt", "content": "one\ntwo\n"},
            "edit_file": {"path": f"{at}/a.txt", "edits": [{"oldText": "two", "newText": "three"}]},
            "read_file": {"path": f"{at}/a.txt"},
            "read_text_file": {"path": f"{at}/a.txt", "head": 1},
            "read_media_file": {"path": f"{at}/dot.png"},
            "read_multiple_files": {"paths": [f"{at}/a.txt"]},
            "create_directory": {"path": f"{at}/sub"},
            "list_directory": {"path": at},
            "list_directory_with_sizes": {"path": at},
            "directory_tree": {"path": at},
            "move_file": {"source": f"{at}/a.txt", "destination": f"{at}/sub/b.txt"},
            "search_files": {"path": at, "pattern": "**/b.txt"},
            "get_file_info": {"path": f"{at}/sub/b.txt"},
            "list_allowed_directories": {},
        },
    )
    assert told["read_file"] == "one\nthree\n"
    assert (tmp_path / "sub/b.txt").read_text() == "one\nthree\n"
    outside = await connection.call("read_file", {"path": "/etc/hostname"}, 5)
    assert outside.is_error
    assert "outside allowed directories" in words(outside)


async def test_a_server_that_is_killed_in_a_call_is_used_again(connections: McpConnections, tmp_path: Path) -> None:
    pid_of = tmp_path / "pid"
    script = 'echo $$ > "$0"; exec "$@"'

    def noted(command: Command) -> Command:
        return Command(("/bin/sh", "-c", script, str(pid_of), *command.argv))

    command, *arguments = await mcp_servers.everything()
    spec = McpServerSpec("everything", Stdio(command, tuple(arguments), launcher=changed(noted)))
    connection = connections.connection(_KEY, spec)
    works = asyncio.Event()
    call = asyncio.create_task(connection.call("trigger-long-running-operation", _LONG, 60, lambda *_: works.set()))
    await works.wait()
    os.kill(int(pid_of.read_text()), signal.SIGKILL)
    assert "was lost during the call" in words(await call)
    assert words(await connection.call("echo", {"message": "again"}, 20)) == "Echo: again"


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
async def test_a_server_at_a_url_that_is_killed_in_a_call_is_used_again(
    transport: Literal["streamableHttp", "sse"], connections: McpConnections
) -> None:
    works = asyncio.Event()
    async with mcp_servers.everything_at_a_url(transport) as url:
        connection = connections.connection(_KEY, McpServerSpec("everything", Http(url, sse=transport == "sse")))
        call = asyncio.create_task(connection.call("trigger-long-running-operation", _LONG, 60, lambda *_: works.set()))
        await works.wait()
    lost = await call
    assert lost.is_error
    assert "Nobody knows whether the call took effect" in words(lost)
    async with mcp_servers.everything_at_a_url(transport, int(url.split(":")[2].split("/")[0])):
        assert words(await connection.call("echo", {"message": "again"}, 20)) == "Echo: again"
        connections.rest(_KEY.session)
        await connections.closed(_KEY.session)
