"""What Gemini insists on, in its words where they are known."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from support.wires.server import Received
from support.wires.vendor import Invalid, parsed, require, signature

_PATH = re.compile(r"/v1beta/models/([^/:]+):streamGenerateContent")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_KNOWN = frozenset(
    {
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "safetySettings",
        "cachedContent",
        "serviceTier",
        "store",
    }
)
_DUMMIES = frozenset({b"skip_thought_signature_validator", b"context_engineering_is_the_way_to_go"})
"""Documented for calls that another model made."""


def check(received: Received) -> None:
    address = urlsplit(received.path)
    path = _PATH.fullmatch(address.path)
    require(path and "alt=sse" in address.query, f"The requested URL {address.path} was not found on this server.")
    assert path is not None
    body = parsed(received)
    for name in body:
        require(name in _KNOWN, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    for number, declaration in enumerate(declarations(body)):
        where = f"tools[0].function_declarations[{number}]"
        require(
            _NAME.fullmatch(declaration.get("name", "")),
            f"* GenerateContentRequest.{where}.name: Invalid function name. Must start with a letter or an underscore.",
        )
    settings = body.get("generationConfig", {})
    require(0 <= settings.get("temperature", 1) <= 2, "temperature must be in the range [0.0, 2.0]")
    thinking = settings.get("thinkingConfig", {})
    require(
        not ({"thinkingBudget", "thinking_budget"} & thinking.keys())
        or not ({"thinkingLevel", "thinking_level"} & thinking.keys()),
        "You can only set only one of thinking budget and thinking level.",
    )
    contents = body.get("contents")
    require(contents, "* GenerateContentRequest.contents: contents is not specified")
    _check_contents(body["contents"])
    if not path[1].startswith("gemini-2"):
        _check_signed(body["contents"])


def declarations(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [made for tool in body.get("tools", []) for made in tool.get("functionDeclarations", [])]


def _check_contents(contents: Sequence[dict[str, Any]]) -> None:
    for number, content in enumerate(contents):
        where = f"* GenerateContentRequest.contents[{number}]"
        require(content.get("role") in ("user", "model"), "Please use a valid role: user, model.")
        parts = content.get("parts", [])
        require(parts, f"{where}.parts: contents.parts must not be empty.")
        for part in parts:
            _check_part(part, where)
        calls, responses = _named(content, "functionCall"), _named(content, "functionResponse")
        before = contents[number - 1] if number else {"role": "", "parts": []}
        if calls:
            require(
                content["role"] == "model" and before["role"] == "user",
                "Please ensure that function call turn comes immediately after a user turn or after a function "
                "response turn.",
            )
        called = _named(before, "functionCall")
        require(
            bool(called) == bool(responses),
            "Please ensure that function response turn comes immediately after a function call turn.",
        )
        require(
            len(called) == len(responses),
            "Please ensure that the number of function response parts is equal to the number of function call parts "
            "of the function call turn.",
        )
        require(
            [name for name, _ in called] == [name for name, _ in responses],
            "Please ensure that the function responses are those of the function calls.",
        )
        for (_, call_id), (_, response_id) in zip(called, responses, strict=True):
            require(call_id == response_id, "Please ensure that a function response has the id of its function call.")
    require(
        contents[-1]["role"] == "user",
        "Please ensure that single turn requests end with a user role or the role field is empty.",
    )


def _check_part(part: dict[str, Any], where: str) -> None:
    data = {"text", "functionCall", "functionResponse", "inlineData"} & part.keys()
    require(len(data) == 1, f"{where}.parts: required oneof field 'data' must have one initialized field")
    if "inlineData" in part:
        blob = part["inlineData"]
        _decoded(blob["data"])
        # Both names of a field are taken, and the official library sends this one so.
        require(blob.get("mimeType") or blob.get("mime_type"), f"{where}.parts: mimeType is required")
    if "thoughtSignature" in part:
        signed = _decoded(part["thoughtSignature"])
        about = part.get("functionCall", {}).get("name", "")
        genuine = base64.b64decode(signature("gemini", about))
        require(signed == genuine or signed in _DUMMIES, "Corrupted thought signature.")


def _check_signed(contents: Sequence[dict[str, Any]]) -> None:
    """Since the user last spoke, the first call of every answer carries its signature."""
    spoke = max(
        number
        for number, content in enumerate(contents)
        if content["role"] == "user" and not _named(content, "functionResponse")
    )
    for number, content in enumerate(contents[spoke:], start=spoke):
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            raise Invalid(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{calls[0]['functionCall']['name']}` , position {number + 1}. Please "
                "refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )


def _named(content: dict[str, Any], kind: str) -> list[tuple[str, str]]:
    """Name and id of each call or response."""
    found = [part[kind] for part in content["parts"] if kind in part]
    return [(one["name"], one.get("id", "")) for one in found]


def _decoded(data: str) -> bytes:
    """Of either alphabet: this interface takes both."""
    try:
        return base64.b64decode(data.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise Invalid("Base64 decoding failed") from error
