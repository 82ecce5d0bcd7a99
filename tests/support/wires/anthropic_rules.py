"""What Anthropic's Messages insist on, in their words where they are known."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, cast

from anthropic.types.beta import message_create_params as beta

from support.wires.server import Received
from support.wires.vendor import Invalid, parsed, require, signature

THOUGHT = frozenset({"thinking", "redacted_thinking"})

_KNOWN = frozenset(beta.MessageCreateParamsBase.__annotations__) - {"betas"} | {"stream"}
_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
"""Taken by version 2023-06-01 of the interface and refused by the one after it."""
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_MOST_CACHE_MARKS = 4


def check(received: Received) -> None:
    require(received.path.partition("?")[0] == "/v1/messages", "Not found")
    version = received.headers.get("anthropic-version")
    require(version, "anthropic-version: header is required")
    body = parsed(received)
    known = _KNOWN | _SAMPLING if version == "2023-06-01" else _KNOWN
    for name in body:
        require(name in known, f"{name}: Extra inputs are not permitted")
    require(isinstance(body.get("model"), str), "model: Field required")
    most = body.get("max_tokens")
    require(isinstance(most, int) and most >= 1, "max_tokens: Field required")
    require(0 <= body.get("temperature", 1) <= 1, "temperature: range: 0..1")
    require(body.get("stream") is True, "This server streams.")
    _check_tools(body.get("tools", []))
    thinks = _check_thinking(body)
    _check_messages(body.get("messages", []), thinks=thinks)
    marks = received.body.count(b'"cache_control"')
    require(marks <= _MOST_CACHE_MARKS, f"A maximum of 4 blocks with cache_control may be provided. Found {marks}.")


def blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else cast("list[dict[str, Any]]", content)


def _check_tools(tools: Sequence[dict[str, Any]]) -> None:
    names = [tool.get("name", "") for tool in tools]
    require(len(set(names)) == len(names), "tools: Tool names must be unique.")
    for number, tool in enumerate(tools):
        name = f"tools.{number}.custom"
        require(_TOOL_NAME.fullmatch(tool.get("name", "")), f"{name}.name: String should match pattern")
        require(tool.get("input_schema", {}).get("type") == "object", f"{name}.input_schema.type: Field required")


def _check_thinking(body: dict[str, Any]) -> bool:
    """Whether thoughts must stand first in the answers of this turn."""
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] == "disabled":
        return False
    require(
        body.get("temperature", 1) == 1,
        "`temperature` may only be set to 1 when thinking is enabled.",
    )
    if thinking["type"] == "adaptive":
        return False
    budget = thinking.get("budget_tokens", 0)
    require(budget >= 1024, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    require(budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`.")
    return True


def _check_messages(messages: Sequence[dict[str, Any]], *, thinks: bool) -> None:
    require(messages, "messages: at least one message is required")
    require(messages[0]["role"] == "user", 'messages: first message must use the "user" role')
    require(
        messages[-1]["role"] == "user",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    )
    seen: set[str] = set()
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        require(message["role"] in ("user", "assistant"), f"{where}.role: Input should be 'user' or 'assistant'")
        content = blocks(message)
        require(content, f"{where}: all messages must have non-empty content")
        for index, block in enumerate(content):
            _check_block(block, f"{where}.content.{index}", message["role"])
        uses = [block["id"] for block in content if block["type"] == "tool_use"]
        for use in uses:
            require(use not in seen, f"{where}: `tool_use` ids must be unique")
            seen.add(use)
        after = blocks(messages[number + 1]) if number + 1 < len(messages) else []
        _check_results(uses, after, where)
        if number == 0 or messages[number - 1]["role"] != "assistant":
            stray = [block for block in content if block["type"] == "tool_result"]
            require(not stray, f"{where}: unexpected `tool_use_id` found in `tool_result` blocks")
    if thinks:
        _check_thoughts_first(messages)


def _check_results(uses: Sequence[str], after: Sequence[dict[str, Any]], where: str) -> None:
    """The results of all uses stand at the start of the next message, one for each."""
    results = [block["tool_use_id"] for block in after if block["type"] == "tool_result"]
    leading = results[: len(uses)] if all(block["type"] == "tool_result" for block in after[: len(uses)]) else []
    missing = [use for use in uses if use not in leading]
    require(
        not missing,
        f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(missing)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
    )
    for result in results:
        require(result in uses, f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {result}")
        require(results.count(result) == 1, "each tool_use must have a single result. Found multiple")


def _check_block(block: dict[str, Any], where: str, role: str) -> None:
    match block:
        case {"type": "text", "text": str(text)}:
            require(text.strip(), f"{where}: text content blocks must contain non-whitespace text")
        case {"type": "thinking", "thinking": str(text), "signature": str(signed)} if role == "assistant":
            genuine = signed == signature("anthropic", text)
            require(genuine, f"{where}: Invalid `signature` in `thinking` block")
            require("cache_control" not in block, f"{where}: cache_control: Extra inputs are not permitted")
        case {"type": "redacted_thinking", "data": str(data)} if role == "assistant":
            genuine = _decoded(data, where).startswith(b"anthropic redacted ")
            require(genuine, f"{where}: Invalid `data` in `redacted_thinking` block")
        case {"type": "tool_use", "id": str(use), "name": str(), "input": dict()} if role == "assistant":
            require(_ID.fullmatch(use), f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        case {"type": "tool_result", "tool_use_id": str()} if role == "user":
            content = block.get("content", "")
            for index, inner in enumerate(content if isinstance(content, list) else []):
                _check_block(inner, f"{where}.content.{index}", role)
        case {"type": "image" | "document", "source": dict(source)} if role == "user":
            media_type = source.get("media_type")
            allowed = _IMAGES if block["type"] == "image" else {"application/pdf", "text/plain"}
            require(
                media_type in allowed, f"{where}.source.base64.media_type: Input should be one of {sorted(allowed)}"
            )
            if source.get("type") == "base64":
                require(_decoded(source.get("data", ""), where), f"{where}.source.base64.data: invalid base64 data")
        case _:
            raise Invalid(f"{where}: Input tag '{block.get('type')}' found using 'type' does not match the role {role}")


def _check_thoughts_first(messages: Sequence[dict[str, Any]]) -> None:
    """The first answer since the user last spoke begins with its thought, if it is followed by results."""
    spoke = max(
        number
        for number, message in enumerate(messages)
        if message["role"] == "user" and any(block["type"] != "tool_result" for block in blocks(message))
    )
    if spoke + 1 < len(messages):
        first = blocks(messages[spoke + 1])[0]["type"]
        require(
            first in THOUGHT,
            f"messages.{spoke + 1}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. "
            "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks).",
        )


def _decoded(data: str, where: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise Invalid(f"{where}: invalid base64 data") from error
