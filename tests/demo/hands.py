"""The second act: an agent that works at the server. It edits a file, asks before it uses a shell, and calls a tool of
an MCP server that other people wrote."""

import json
from pathlib import Path

from demo.screen import Screen
from demo.story import Event, StoryFault
from managedagents import Client, ToolUnusableError, kind_of, text_of
from managedagents.v1 import session_pb2
from support.server import Server
from support.stubborn import eventually

LIST = "milk\nbred\neggs\n"
COMMAND = "wc -l < list.txt"
SUM = {"a": 40, "b": 2}


async def play(server: Server, screen: Screen) -> None:
    async with Client.connect(server.address) as client:
        screen.step(
            "A second agent has hands: files and a shell in a sandbox, and an MCP server, npm's server-everything."
        )
        try:
            agent = await client.create(_definition())
        except ToolUnusableError as refused:
            screen.aside(f"(this machine cannot run commands in a sandbox, so it ends here: {refused})")
            return
        screen.aside("its model is a scripted one, so that it does the same each time; what it does is real")
        session = (await client.start_session(agent.agent_id)).session_id

        screen.step(
            "It writes a file of its workspace and corrects it. Before the shell it has to ask, and we allow it."
        )
        names: dict[str, str] = {}
        asked: list[session_pb2.PendingAction] = []

        def allow(use: session_pb2.PendingAction) -> bool:
            asked.append(use)
            screen.aside(f"may it? {use.name} {use.input_json}   we say: yes")
            return True

        result = await client.run(
            session, "Keep my list, and add up.", confirm=allow, on_event=lambda event: _show(event, names, screen)
        )
        if result.stop_reason != "end_turn" or [use.name for use in asked] != ["bash"]:
            raise StoryFault(f"it came to {result.stop_reason}, and asked for {[use.name for use in asked]}")
        screen.say(f"   {result.text}")
        told = [words for event in result.events if (words := _result(event)[1])]
        for wanted in ("3", "42"):
            if not any(wanted in words for words in told):
                raise StoryFault(f"no tool said {wanted}: {told}")

        screen.step("We delete the session. Its log goes, and its workspace with it.")
        await client.delete_session(session)
        await eventually(lambda: not Path(f"{server.db}.workspaces", session).exists())


def _definition() -> dict[str, object]:
    def calls(name: str, **given: object) -> dict[str, object]:
        return {"tool_calls": [{"name": name, "input_json": json.dumps(given)}]}

    responses = [
        calls("filesystem", command="write", path="list.txt", content=LIST),
        calls("filesystem", command="edit", path="list.txt", old="bred", new="bread"),
        calls("bash", command=COMMAND),
        calls("everything__get-sum", **SUM),
        {"text": "The list is right now and has 3 lines; the sum is 42."},
    ]
    return {
        "name": "clerk",
        "model": {"scripted": {"responses": responses}},
        "tools": [{"filesystem": {}}, {"bash": {}}],
        "mcp_servers": [{"name": "everything", "configured": "everything", "auto_approve": True}],
        "permission_policy": {"tools": {"bash": "prompt"}},
    }


def _show(event: Event, names: dict[str, str], screen: Screen) -> None:
    """The tools that it used, and what they said."""
    match kind_of(event):
        case "agent.tool_use":
            use = event.agent_tool_use
            names[use.tool_use_id] = use.name
            screen.aside(f"{use.name} {use.input_json}")
        case "agent.mcp_tool_use":
            mcp = event.agent_mcp_tool_use
            names[mcp.tool_use_id] = f"{mcp.server_name}/{mcp.name}"
            screen.aside(f"{names[mcp.tool_use_id]} {mcp.input_json}")
    use_id, words = _result(event)
    if words:
        screen.aside(f"{names[use_id]}: {' '.join(words.split())}")


def _result(event: Event) -> tuple[str, str]:
    """The use, and what was said of it. Empty: this is no result."""
    match kind_of(event):
        case "agent.tool_result":
            return event.agent_tool_result.tool_use_id, text_of(event.agent_tool_result.content)
        case "agent.mcp_tool_result":
            return event.agent_mcp_tool_result.tool_use_id, text_of(event.agent_mcp_tool_result.content)
        case _:
            return "", ""
