"""What servers of chat completions insist on, and how their requests are read back."""

import json
from collections import Counter
from typing import Any

from support.wires.server import Received
from support.wires.vendor import Vendor, bearer, parsed, require, texts, without

_SYSTEM = frozenset({"system", "developer"})
_ROLES = _SYSTEM | {"user", "assistant", "tool"}


class ChatVendor(Vendor):
    """A vendor whose interface is chat completions."""

    path = "/v1"
    signs = False

    def check(self, received: Received) -> None:
        check(received)

    def key(self, received: Received) -> str:
        return bearer(received)

    def system(self, received: Received) -> list[Any]:
        return [message for message in received.json["messages"] if message["role"] in _SYSTEM]

    def tools(self, received: Received) -> list[Any]:
        return list(received.json.get("tools", []))

    def messages(self, received: Received) -> list[Any]:
        spoken = [message for message in received.json["messages"] if message["role"] not in _SYSTEM]
        return list(without(spoken, "cache_control"))

    def signatures(self, received: Received) -> list[str]:
        return []

    def tool_results(self, received: Received) -> list[str]:
        return [
            message["content"] if isinstance(message["content"], str) else texts(message["content"])
            for message in received.json["messages"]
            if message["role"] == "tool"
        ]


def check(received: Received) -> None:
    """Raises Invalid. Each call is answered exactly once, before anything else is said."""
    require(received.path == "/v1/chat/completions", f"Invalid URL (POST {received.path})")
    body = parsed(received)
    require(isinstance(body.get("model"), str), "you must provide a model parameter", "model")
    require(body.get("stream") is True, "This server streams.", "stream")
    messages = body.get("messages")
    require(isinstance(messages, list) and messages, "Invalid 'messages': empty array.", "messages")
    open_calls: Counter[str] = Counter()
    for number, message in enumerate(body["messages"]):
        where = f"messages[{number}]"
        role = message.get("role")
        require(role in _ROLES, f"Invalid value: '{role}'.", f"{where}.role")
        if role == "tool":
            answered = message.get("tool_call_id")
            require(
                open_calls[answered] > 0,
                "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                where,
            )
            require(isinstance(message.get("content"), str | list), f"Missing '{where}.content'.", where)
            open_calls[answered] -= 1
        else:
            _closed(open_calls, where)
            open_calls = _calls(message, where) if role == "assistant" else Counter()
            _content(message, where)
    _closed(open_calls, f"messages[{len(body['messages']) - 1}]")
    require(
        body["messages"][-1]["role"] != "assistant" and any(message["role"] == "user" for message in body["messages"]),
        "The last message must be the user's or a tool's.",
        "messages",
    )
    for number, tool in enumerate(body.get("tools", [])):
        where = f"tools[{number}]"
        require(tool.get("type") == "function" and tool.get("function", {}).get("name"), f"Missing '{where}'.", where)
        require(tool["function"].get("parameters", {}).get("type") == "object", f"Invalid schema of '{where}'.", where)


def _closed(open_calls: "Counter[str]", where: str) -> None:
    missing = sorted(+open_calls)
    require(
        not missing,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(missing)}",
        where,
    )


def _calls(message: dict[str, Any], where: str) -> "Counter[str]":
    ids: Counter[str] = Counter()
    for call in message.get("tool_calls") or []:
        require(call.get("type") == "function" and call.get("id"), f"Missing '{where}.tool_calls[0].id'.", where)
        try:
            arguments = json.loads(call["function"]["arguments"])
        except ValueError:
            arguments = None
        require(isinstance(arguments, dict), "invalid tool call arguments", where)
        ids[call["id"]] += 1
    return ids


def _content(message: dict[str, Any], where: str) -> None:
    content = message.get("content")
    empty = content is None or content == [] or (content == "" and message["role"] != "assistant")
    require(not empty or message.get("tool_calls"), f"Invalid type for '{where}.content': empty.", f"{where}.content")
    if not isinstance(content, list):
        return
    for part in content:
        known = part.get("type") in ("text", "image_url", "input_audio", "file", "refusal")
        require(known, f"Invalid value: '{part.get('type')}'.", f"{where}.content")
        if part["type"] == "image_url":
            require(part["image_url"]["url"].startswith("data:image/"), "Invalid image data.", f"{where}.content")
