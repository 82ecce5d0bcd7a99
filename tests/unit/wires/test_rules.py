"""A history that a vendor would refuse is refused by its fake, with the vendor's own error; a sound one is not."""

import copy
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from support.official import hear
from support.wires import ANTHROPIC, COMPATIBLE, GEMINI, OLLAMA, OPENAI, VENDORS, Vendor, Wire
from support.wires.responses_items import encrypted_content, identify
from support.wires.server import Received
from support.wires.vendor import Invalid, signature

BAD_REQUEST = (openai.BadRequestError, anthropic.BadRequestError, genai.errors.ClientError)

RS, FC = identify("rs", 1, 1, 0), identify("fc", 1, 2, 1)
SIGNED = signature("gemini", "lookup")

CHAT = {
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
    ]
}

SOUND: dict[str, dict[str, Any]] = {
    "openai": {
        "instructions": "be brief",
        "input": [
            {"role": "user", "content": "one"},
            {"type": "reasoning", "id": RS, "summary": [], "encrypted_content": encrypted_content(RS)},
            {"type": "function_call", "id": FC, "call_id": "c1", "name": "lookup", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "found"},
        ],
    },
    "openai-compatible": CHAT,
    "anthropic": {
        "max_tokens": 5000,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "one"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": signature("anthropic", "hm")},
                    {"type": "tool_use", "id": "c1", "name": "lookup", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "found"}]},
        ],
    },
    "gemini": {
        "config": {"system_instruction": "be brief"},
        "contents": [
            {"role": "user", "parts": [{"text": "one"}]},
            {
                "role": "model",
                "parts": [{"function_call": {"name": "lookup", "args": {}}, "thought_signature": SIGNED}],
            },
            {
                "role": "user",
                "parts": [{"function_response": {"name": "lookup", "response": {"output": "found"}}}],
            },
        ],
    },
    "ollama": CHAT,
}

Spoil = Callable[[dict[str, Any]], None]


def spoiled(vendor: Vendor, about: str) -> Callable[[Spoil], Any]:
    """Names what is done to the sound history of a vendor."""
    return lambda spoil: SPOILED.append(pytest.param(vendor, spoil, id=f"{vendor}: {about}"))


SPOILED: list[Any] = []

for _chat in (COMPATIBLE, OLLAMA):
    spoiled(_chat, "a call without its result")(lambda body: body["messages"].pop())
    spoiled(_chat, "a result without its call")(lambda body: body["messages"].pop(2))
    spoiled(_chat, "two results of one call")(lambda body: body["messages"].append(body["messages"][-1]))
    spoiled(_chat, "an input that is no object")(
        lambda body: body["messages"][2]["tool_calls"][0]["function"].update(arguments="[")
    )
    spoiled(_chat, "another word before the result")(
        lambda body: body["messages"].insert(3, {"role": "user", "content": "two"})
    )
    spoiled(_chat, "an empty message")(lambda body: body["messages"][1].update(content=""))

spoiled(OLLAMA, "an effort that it does not know")(lambda body: body.update(reasoning_effort="some"))

spoiled(ANTHROPIC, "a call without its result")(
    lambda body: body["messages"][2].update(content=[{"type": "text", "text": "two"}])
)
spoiled(ANTHROPIC, "a word before the result")(
    lambda body: body["messages"][2]["content"].insert(0, {"type": "text", "text": "two"})
)
spoiled(ANTHROPIC, "a result without its call")(lambda body: body["messages"][1]["content"].pop())
spoiled(ANTHROPIC, "two results of one call")(
    lambda body: body["messages"][2]["content"].append(body["messages"][2]["content"][0])
)
spoiled(ANTHROPIC, "no thought before a call")(lambda body: body["messages"][1]["content"].pop(0))
spoiled(ANTHROPIC, "a thought that was changed")(lambda body: body["messages"][1]["content"][0].update(thinking="hm!"))
spoiled(ANTHROPIC, "a thought without a signature")(lambda body: body["messages"][1]["content"][0].pop("signature"))
spoiled(ANTHROPIC, "text of nothing")(lambda body: body["messages"][0].update(content=" "))
spoiled(ANTHROPIC, "an answer at the end")(
    lambda body: body["messages"].append({"role": "assistant", "content": "two"})
)
spoiled(ANTHROPIC, "a budget above the tokens")(lambda body: body.update(max_tokens=2000))
spoiled(ANTHROPIC, "a temperature")(lambda body: body.update(extra_body={"temperature": 1}))
spoiled(ANTHROPIC, "a temperature beside thoughts, by the older version")(
    lambda body: body.update(extra_body={"temperature": 0.5}, extra_headers={"anthropic-version": "2023-06-01"})
)
spoiled(ANTHROPIC, "what it does not know")(lambda body: body.update(extra_body={"seed": 3}))

spoiled(OPENAI, "a call without its output")(lambda body: body["input"].pop())
spoiled(OPENAI, "an output without its call")(lambda body: body["input"].__delitem__(slice(1, 3)))
spoiled(OPENAI, "two outputs of one call")(lambda body: body["input"].append(body["input"][-1]))
spoiled(OPENAI, "a reasoning without what followed it")(
    lambda body: body.update(input=[*body["input"][:2], {"role": "user", "content": "two"}])
)
spoiled(OPENAI, "a call without its reasoning")(lambda body: body["input"].pop(1))
spoiled(OPENAI, "a reasoning that cannot be read")(lambda body: body["input"][1].update(encrypted_content="gAAAAAB"))
spoiled(OPENAI, "a reasoning that was not kept")(lambda body: body["input"][1].pop("encrypted_content"))
spoiled(OPENAI, "an item twice")(lambda body: body["input"].insert(1, body["input"][1]))
spoiled(OPENAI, "an id of another kind")(lambda body: body["input"][2].update(id="call_1"))
spoiled(OPENAI, "what it does not know")(lambda body: body.update(extra_body={"stop": ["END"]}))

spoiled(GEMINI, "a call without its response")(lambda body: body["contents"].pop())
spoiled(GEMINI, "a response without its call")(lambda body: body["contents"].pop(1))
spoiled(GEMINI, "more responses than calls")(
    lambda body: body["contents"][2]["parts"].append(body["contents"][2]["parts"][0])
)
spoiled(GEMINI, "a call without its signature")(lambda body: body["contents"][1]["parts"][0].pop("thought_signature"))
spoiled(GEMINI, "another's signature")(
    lambda body: body["contents"][1]["parts"][0].update(thought_signature=signature("gemini", "other"))
)
spoiled(GEMINI, "another role")(lambda body: body["contents"][0].update(role="system"))
spoiled(GEMINI, "content of no parts")(lambda body: body["contents"][0].update(parts=[]))


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_a_sound_history_is_answered(vendor: Vendor) -> None:
    async with Wire(vendor) as wire:
        assert (await hear(wire, SOUND[vendor.name])).text == "ok"
    (received,) = wire.requests
    assert vendor.tool_results(received) == ["found"]
    assert "be brief" in json.dumps(vendor.system(received))
    assert len(vendor.messages(received)) == (4 if vendor is OPENAI else 3)
    assert len(vendor.signatures(received)) == (1 if vendor.signs else 0)
    assert "cache_control" not in json.dumps(vendor.system(received))


@pytest.mark.parametrize(("vendor", "spoil"), SPOILED)
async def test_one_that_breaks_a_rule_is_refused(vendor: Vendor, spoil: Spoil) -> None:
    body = copy.deepcopy(SOUND[vendor.name])
    spoil(body)
    async with Wire(vendor) as wire:
        with pytest.raises(BAD_REQUEST) as caught:
            await hear(wire, body)
        (problem,) = wire.rejected
        wire.rejected.clear()
    assert problem in str(caught.value)


@pytest.mark.parametrize("vendor", VENDORS, ids=str)
async def test_what_was_refused_fails_the_test(vendor: Vendor) -> None:
    body = copy.deepcopy(SOUND[vendor.name])
    body["contents" if vendor is GEMINI else "input" if vendor is OPENAI else "messages"].pop()
    with pytest.raises(AssertionError, match="refused requests"):
        await _asked(vendor, body)


async def _asked(vendor: Vendor, body: dict[str, Any]) -> None:
    async with Wire(vendor) as wire:
        with pytest.raises(BAD_REQUEST):
            await hear(wire, body)


def test_a_fifth_cache_mark_is_refused() -> None:
    mark = {"type": "ephemeral"}
    texts = [{"type": "text", "text": str(number), "cache_control": mark} for number in range(5)]
    body = {"model": "m", "max_tokens": 1, "stream": True, "messages": [{"role": "user", "content": texts}]}
    received = Received("/v1/messages", {"anthropic-version": "2023-06-01"}, json.dumps(body).encode(), 1)
    with pytest.raises(Invalid, match="maximum of 4 blocks"):
        ANTHROPIC.check(received)
