"""What OpenAI's Responses insist on, in their words where they are known."""

import re
from collections.abc import Sequence
from typing import Any

from openai.types.responses import response_create_params as params

from support.wires.responses_items import encrypted_content, reasoning_of
from support.wires.server import Received
from support.wires.vendor import Invalid, parsed, require

_KNOWN = frozenset(params.ResponseCreateParamsBase.__annotations__) | {"stream"}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PREFIXES = {"message": "msg", "function_call": "fc", "reasoning": "rs"}
_CONTENT = {
    "user": frozenset({"input_text", "input_image", "input_file"}),
    "system": frozenset({"input_text"}),
    "developer": frozenset({"input_text"}),
    "assistant": frozenset({"output_text", "refusal"}),
}
_LONGEST_ID = 64
_FEWEST_TOKENS = 16


def check(received: Received) -> None:
    require(received.path == "/v1/responses", f"Invalid URL (POST {received.path})")
    body = parsed(received)
    for name in body:
        require(name in _KNOWN, f"Unknown parameter: '{name}'.", name)
    require(isinstance(body.get("model"), str), "Missing required parameter: 'model'.", "model")
    require(body.get("stream") is True, "This server streams.", "stream")
    most = body.get("max_output_tokens")
    require(
        most is None or most >= _FEWEST_TOKENS,
        f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {_FEWEST_TOKENS}, but got "
        f"{most} instead.",
        "max_output_tokens",
    )
    for number, tool in enumerate(body.get("tools", [])):
        where = f"tools[{number}]"
        require(tool.get("type") == "function", f"Missing required parameter: '{where}.type'.", where)
        require(_NAME.fullmatch(tool.get("name", "")), f"Invalid '{where}.name': string does not match pattern.", where)
        require(tool.get("parameters", {}).get("type") == "object", f"Invalid schema for '{where}'.", where)
    given = body.get("input")
    require(isinstance(given, list) and given, "Missing required parameter: 'input'.", "input")
    _check_items(body["input"], kept=body.get("store") is not False)


def is_system(item: dict[str, Any]) -> bool:
    return item.get("role") in ("system", "developer")


def _check_items(items: Sequence[dict[str, Any]], *, kept: bool) -> None:
    ids = [item["id"] for item in items if item.get("id")]
    for item_id in ids:
        require(ids.count(item_id) == 1, f"Duplicate item found with id {item_id}.", "input")
    for number, item in enumerate(items):
        where = f"input[{number}]"
        kind = item.get("type", "message")
        _check_id(item, kind, where)
        match kind:
            case "message":
                _check_message(item, where)
            case "reasoning":
                _check_reasoning(items, number, kept=kept)
            case "function_call":
                require(_NAME.fullmatch(item.get("name", "")), f"Invalid '{where}.name'.", where)
                outputs = [later for later in items[number + 1 :] if _answers(later, item["call_id"])]
                require(outputs, f"No tool output found for function call {item['call_id']}.", "input")
                require(len(outputs) == 1, f"Duplicate output for function call {item['call_id']}.", "input")
            case "function_call_output":
                call_id = item.get("call_id")
                called = any(
                    earlier.get("type") == "function_call" and earlier["call_id"] == call_id
                    for earlier in items[:number]
                )
                require(called, f"No tool call found for function call output with call_id {call_id}.", "input")
            case _:
                raise Invalid(f"Invalid value: '{kind}'.", where)
        if kind in ("message", "function_call") and item.get("id"):
            needed = reasoning_of(item["id"])
            earlier_ids = {earlier.get("id") for earlier in items[:number]}
            require(
                needed is None or needed in earlier_ids,
                f"Item '{item['id']}' of type '{kind}' was provided without its required 'reasoning' item: '{needed}'.",
                "input",
            )
    last = items[-1]
    require(
        last.get("type") == "function_call_output" or last.get("role") != "assistant",
        "The input must end with the user or the output of a call.",
        "input",
    )


def _check_id(item: dict[str, Any], kind: str, where: str) -> None:
    item_id, prefix = item.get("id"), _PREFIXES.get(kind)
    if item_id is not None and prefix is not None:
        message = f"Invalid '{where}.id': '{item_id}'. Expected an ID that begins with '{prefix}'."
        require(item_id.startswith(f"{prefix}_"), message, f"{where}.id")
    for name in ("id", "call_id"):
        require(
            len(item.get(name) or "") <= _LONGEST_ID,
            f"Invalid '{where}.{name}': string too long. Expected a string with maximum length {_LONGEST_ID}.",
            f"{where}.{name}",
        )


def _check_message(item: dict[str, Any], where: str) -> None:
    role, content = item.get("role"), item.get("content")
    require(role in _CONTENT, f"Invalid value: '{role}'.", f"{where}.role")
    require(content, f"Missing required parameter: '{where}.content'.", f"{where}.content")
    for part in content if isinstance(content, list) else []:
        known = part.get("type") in _CONTENT[str(role)]
        require(known, f"Invalid value: '{part.get('type')}'. Supported values are: {_CONTENT[str(role)]}.", where)
        if part["type"] == "input_image":
            require(part.get("image_url", "").startswith("data:image/"), "Invalid image data.", where)


def _check_reasoning(items: Sequence[dict[str, Any]], number: int, *, kept: bool) -> None:
    item = items[number]
    encrypted = item.get("encrypted_content")
    require(
        encrypted or kept,
        f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false. Try again with "
        "`store` set to true, or remove this item from your input.",
        "input",
    )
    require(
        encrypted in (None, encrypted_content(item["id"])),
        f"The encrypted content {str(encrypted)[:8]}... could not be verified.",
        "input",
    )
    after = items[number + 1] if number + 1 < len(items) else {}
    follows = after.get("type") == "reasoning" or (after.get("id") and reasoning_of(after["id"]) == item["id"])
    require(
        follows,
        f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.",
        "input",
    )


def _answers(item: dict[str, Any], call_id: str) -> bool:
    return item.get("type") == "function_call_output" and item["call_id"] == call_id
