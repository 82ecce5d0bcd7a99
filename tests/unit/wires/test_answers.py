"""What the fakes send is what the vendors' own libraries read."""

import pytest

from support.keys import key
from support.official import hear
from support.wires import ANTHROPIC, COMPATIBLE, GEMINI, OLLAMA, OPENAI, VENDORS, Vendor, Wire
from support.wires.told import Call, Say, Stop, Think, Usage, answer

STOPS: dict[str, dict[Stop, str]] = {
    "openai": {
        "end": "completed",
        "max_tokens": "max_output_tokens",
        "refusal": "completed",
        "filtered": "content_filter",
    },
    "openai-compatible": {"end": "stop", "max_tokens": "length", "refusal": "stop", "filtered": "content_filter"},
    "anthropic": {"end": "end_turn", "max_tokens": "max_tokens", "refusal": "refusal", "filtered": "refusal"},
    "gemini": {"end": "STOP", "max_tokens": "MAX_TOKENS", "refusal": "SAFETY", "filtered": "SAFETY"},
    "ollama": {"end": "stop", "max_tokens": "length", "refusal": "stop", "filtered": "stop"},
}

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=str)


@every_vendor
@pytest.mark.parametrize("stop", ["end", "max_tokens", "refusal", "filtered"])
async def test_text_and_why_it_ended(vendor: Vendor, stop: Stop) -> None:
    async with Wire(vendor, answer(Say("Hel", "lö"), stop=stop)) as wire:
        heard = await hear(wire)
        assert vendor.key(wire.requests[0]) == key(vendor.name)
    said = heard.refusal if stop == "refusal" and vendor in (OPENAI, COMPATIBLE) else heard.text
    assert (said, heard.stop) == ("Hellö", STOPS[vendor.name][stop])


@every_vendor
async def test_thoughts_text_and_calls(vendor: Vendor) -> None:
    told = answer(Think("let ", "me"), Say("I ", "look"), Call("lookup", '{"z":', " 1}"), Call("other"))
    async with Wire(vendor, told) as wire:
        heard = await hear(wire)
    assert (heard.thought, heard.text) == ("let me", "I look")
    assert heard.calls == [("lookup", {"z": 1}), ("other", {})]
    assert len(heard.signatures) == (1 if vendor.signs else 0)


@every_vendor
async def test_a_hidden_thought_is_only_signed(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Think(), Call("lookup"))) as wire:
        heard = await hear(wire)
    assert (heard.thought, heard.calls) == ("", [("lookup", {})])
    assert len(heard.signatures) == (1 if vendor.signs else 0)


@every_vendor
async def test_tokens_are_counted(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Say("a"), usage=Usage(100, 20, 64, 12))) as wire:
        heard = await hear(wire)
    assert heard.counted == ((100, 20, 0, 0) if vendor is OLLAMA else (100, 20, 64, 12))


@every_vendor
async def test_what_is_told_last_repeats_as_another_answer(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Say("a")), answer(Think("hm"), Call("lookup"))) as wire:
        heard = [await hear(wire) for _ in range(3)]
    assert [one.text for one in heard] == ["a", "", ""]
    assert len(wire.requests) == 3


async def test_gemini_signs_every_answer() -> None:
    async with Wire(GEMINI, answer(Say("a"))) as wire:
        assert len((await hear(wire)).signatures) == 1


async def test_anthropic_pings() -> None:
    events = ANTHROPIC.events(answer(Say("a")), 1)
    assert [event.data.split(b"\n")[0].removeprefix(b"event: ") for event in events] == [
        b"message_start",
        b"ping",
        b"content_block_start",
        b"content_block_delta",
        b"content_block_stop",
        b"message_delta",
        b"message_stop",
    ]
