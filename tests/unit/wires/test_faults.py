"""An answer that goes wrong does so where it was told to, as the vendors' own libraries see it."""

import json

import anthropic
import httpx2
import openai
import pytest
from google import genai

from support.official import hear, status_of
from support.wires import OLLAMA, OPENAI, VENDORS, Vendor, Wire
from support.wires.faults import (
    cut,
    ends_early,
    error_in_stream,
    fails_in_stream,
    half_a_call,
    malformed,
    slow,
    stalls_between,
    stalls_first,
)
from support.wires.server import Stall
from support.wires.told import Call, Say, answer

BROKEN = (httpx2.TransportError, openai.APIConnectionError)
UNREADABLE = (json.JSONDecodeError, genai.errors.UnknownApiResponseError)

every_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=str)


@every_vendor
async def test_a_cut_is_a_broken_connection(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Say("Hel", "lo"), fault=cut(after=1))) as wire:
        with pytest.raises(BROKEN):
            await hear(wire)


@every_vendor
async def test_an_early_end_says_nothing_of_why(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Say("Hel", "lo"), fault=ends_early())) as wire:
        heard = await hear(wire)
    assert (heard.text, heard.stop) == ("Hello", None)


@every_vendor
async def test_half_a_call_ends_without_an_error_or_in_half_an_event(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Call("lookup", '{"z":', " 1}"), fault=half_a_call())) as wire:
        try:
            heard = await hear(wire)
        except genai.errors.UnknownApiResponseError:
            return
    assert heard.stop is None
    assert heard.calls in ([], [("lookup", None)])


@every_vendor
async def test_a_malformed_event_cannot_be_read(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Say("Hel", "lo"), fault=malformed())) as wire:
        with pytest.raises(UNREADABLE):
            await hear(wire)


@every_vendor
async def test_an_error_in_the_stream_is_the_vendors(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Say("Hel", "lo"), fault=error_in_stream("overloaded"))) as wire:
        if vendor is OLLAMA:
            # Its error is lost on the way: there is only an end.
            assert ((await hear(wire)).text, (await hear(wire)).stop) == ("Hel", None)
            return
        with pytest.raises((openai.APIError, anthropic.APIStatusError, genai.errors.APIError)) as caught:
            await hear(wire)
    # OpenAI's and Anthropic's libraries tell the status of the stream, which was well.
    assert status_of(caught.value) in (None, 200, 503)


async def test_openai_fails_in_two_ways() -> None:
    async with Wire(OPENAI, answer(Say("Hel", "lo"), fault=fails_in_stream("server_error"))) as wire:
        assert (await hear(wire)).stop == "server_error"


@every_vendor
def test_a_stall_comes_before_the_first_piece_or_after_it(vendor: Vendor) -> None:
    told = answer(Say("Hel", "lo"))
    events = vendor.events(told, 1)
    first, between = stalls_first()(vendor, events), stalls_between()(vendor, events)
    assert isinstance(first[-1], Stall)
    assert isinstance(between[-1], Stall)
    assert b"Hel" not in b"".join(step for step in first if isinstance(step, bytes))
    sent = b"".join(step for step in between if isinstance(step, bytes))
    assert b"Hel" in sent
    assert b'"lo"' not in sent


@every_vendor
async def test_a_slow_answer_is_whole(vendor: Vendor) -> None:
    async with Wire(vendor, answer(Say("Hel", "lo"), fault=slow(0.01))) as wire:
        assert (await hear(wire)).text == "Hello"
