"""What an agent's definition may say."""

import re
from collections.abc import Sequence

from managedagents.v1 import agent_pb2
from managedagents_server.rpc.validate.environment import check_variables
from managedagents_server.rpc.validate.json_text import schema_fault
from managedagents_server.rpc.validate.model import check_model, check_settings
from managedagents_server.rpc.validate.problems import DAY, Problems, limit
from managedagents_server.words.limits import Limits
from managedagents_server.words.mcp_names import may_be_of
from managedagents_server.words.urls import is_url

_MILLISECOND = 1_000_000
_NAME_CHARACTERS = 256
_TOKENS_MOST = 10**15
_WINDOW_LEAST = 256
_WINDOW_MOST = 100_000_000
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_definition(
    problems: Problems, path: str, definition: agent_pb2.AgentDefinition, limits: Limits, *, may_keep_key: bool = False
) -> None:
    """`may_keep_key`: an earlier version may have the inline key that this one leaves empty."""
    limit("definition_bytes", f"the size of {path} in bytes", definition.ByteSize(), limits.definition_bytes)
    limit("mcp_servers", f"the number of {path}.mcp_servers", len(definition.mcp_servers), limits.mcp_servers)
    limit("skills", f"the number of {path}.skills", len(definition.skills), limits.skills)

    problems.required(f"{path}.name", definition.name)
    if len(definition.name) > _NAME_CHARACTERS:
        problems.wrong(f"{path}.name", f"must have at most {_NAME_CHARACTERS} characters")
    check_model(problems, f"{path}.model", definition.model, may_keep_key=may_keep_key)
    check_settings(problems, f"{path}.model_settings", definition.model_settings)
    check_tools(problems, f"{path}.tools", definition.tools, limits)
    if definition.HasField("custom_tool_timeout"):
        problems.duration(f"{path}.custom_tool_timeout", definition.custom_tool_timeout, _MILLISECOND, 30 * DAY)
    _check_policy(problems, f"{path}.permission_policy", definition)
    for index, skill in enumerate(definition.skills):
        problems.required(f"{path}.skills[{index}].skill_id", skill.skill_id)
    _check_mcp_servers(problems, f"{path}.mcp_servers", definition.mcp_servers)
    _check_compaction(problems, f"{path}.compaction", definition.compaction)
    if definition.HasField("token_budget"):
        problems.between(f"{path}.token_budget", definition.token_budget, 1, _TOKENS_MOST)
    problems.metadata(f"{path}.metadata", definition.metadata)


def check_tools(problems: Problems, path: str, tools: Sequence[agent_pb2.Tool], limits: Limits) -> None:
    limit("tools", f"the number of {path}", len(tools), limits.tools)
    names: set[str] = set()
    for index, tool in enumerate(tools):
        match tool.WhichOneof("tool"):
            case None:
                problems.wrong(f"{path}[{index}]", "has no kind that this server knows")
            case "custom":
                _check_custom(problems, f"{path}[{index}].custom", tool.custom, names)
            case built_in:
                # A built-in tool is called as its field is.
                if built_in in names:
                    problems.wrong(f"{path}[{index}].{built_in}", f"{built_in} is the name of an earlier tool")
                names.add(built_in)


def _check_custom(problems: Problems, path: str, tool: agent_pb2.CustomTool, names: set[str]) -> None:
    if not _TOOL_NAME.fullmatch(tool.name):
        problems.wrong(f"{path}.name", "must be 1 to 64 of the characters A-Z a-z 0-9 _ and -")
    elif tool.name in names:
        problems.wrong(f"{path}.name", f"{tool.name} is the name of an earlier tool")
    names.add(tool.name)
    fault = schema_fault(tool.input_schema_json) if tool.input_schema_json else None
    if fault is not None:
        problems.wrong(f"{path}.input_schema_json", fault)


def _check_policy(problems: Problems, path: str, definition: agent_pb2.AgentDefinition) -> None:
    """A name that is no tool's would protect nothing, and look as if it did."""
    kinds = [tool.WhichOneof("tool") for tool in definition.tools]
    custom = {tool.custom.name for tool in definition.tools if tool.HasField("custom")}
    for name, mode in sorted(definition.permission_policy.tools.items()):
        here = f"{path}.tools[{name}]"
        if mode == agent_pb2.PERMISSION_MODE_UNSPECIFIED:
            problems.wrong(here, "must be a mode")
        elif name in custom:
            problems.wrong(here, "is a custom tool: the client decides on it by itself")
        elif name not in kinds and not any(may_be_of(name, server.name) for server in definition.mcp_servers):
            problems.wrong(here, "is no built-in tool of the agent, and no SERVER__TOOL of one of its MCP servers")


def _check_mcp_servers(problems: Problems, path: str, servers: Sequence[agent_pb2.McpServer]) -> None:
    names: set[str] = set()
    for index, server in enumerate(servers):
        here = f"{path}[{index}]"
        if not _TOOL_NAME.fullmatch(server.name):
            problems.wrong(f"{here}.name", "must be 1 to 64 of the characters A-Z a-z 0-9 _ and -")
        elif server.name in names:
            problems.wrong(f"{here}.name", f"{server.name} is the name of an earlier server")
        names.add(server.name)
        match server.WhichOneof("transport"):
            case "stdio":
                _check_stdio(problems, f"{here}.stdio", server.stdio)
            case "http":
                if not is_url(server.http.url):
                    problems.wrong(f"{here}.http.url", "must be an http or https address, without a password")
            case "configured":
                problems.required(f"{here}.configured", server.configured)
            case _:
                problems.wrong(here, "has no transport that this server knows")


def _check_stdio(problems: Problems, path: str, given: agent_pb2.McpStdio) -> None:
    problems.required(f"{path}.command", given.command)
    for index, text in enumerate([given.command, *given.args]):
        if "\0" in text:
            problems.wrong(f"{path}.args[{index - 1}]" if index else f"{path}.command", "must not hold NUL")
    check_variables(problems, f"{path}.env", given.env)


def _check_compaction(problems: Problems, path: str, policy: agent_pb2.CompactionPolicy) -> None:
    if not 0 <= policy.threshold < 1:
        problems.wrong(f"{path}.threshold", "must be above 0 and below 1, or 0 for the default")
    if policy.window_tokens:
        problems.between(f"{path}.window_tokens", policy.window_tokens, _WINDOW_LEAST, _WINDOW_MOST)
