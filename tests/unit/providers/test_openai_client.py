"""The client reads a stream faster than the library, and reads the same."""

import httpx2
import openai
import pytest

from managedagents_server.providers import openai_client
from support.wires import COMPATIBLE, OLLAMA, OPENAI, Vendor, Wire
from support.wires.told import Call, Say, Think, Told, Usage, answer

ANSWERS = [
    answer(Think("hm"), Say("Hel", "lo"), usage=Usage(input=11, output=7, cached=3, reasoning=2)),
    answer(Think("hm"), Say("I look"), Call("lookup", '{"z":', " 1}"), Call("other")),
    answer(Say("cut"), stop="max_tokens"),
    answer(Say("no"), stop="refusal"),
    answer(stop="filtered"),
]


async def pieces(client: openai.AsyncOpenAI, vendor: Vendor) -> list[object]:
    if vendor is OPENAI:
        return [
            event
            async for event in await client.responses.create(
                model=vendor.model, input=[{"role": "user", "content": "hi"}], stream=True
            )
        ]
    stream = await client.chat.completions.create(
        model=vendor.model, messages=[{"role": "user", "content": "hi"}], stream=True
    )
    return [chunk async for chunk in stream]


@pytest.mark.parametrize("vendor", [OPENAI, COMPATIBLE, OLLAMA], ids=repr)
@pytest.mark.parametrize("told", ANSWERS)
async def test_every_piece_is_what_the_library_makes_of_it(vendor: Vendor, told: Told) -> None:
    async with Wire(vendor, told) as wire, httpx2.AsyncClient() as connections:
        read = await pieces(openai_client.client(wire.base_url, "k", connections), vendor)
        wire.rejected.clear()
    async with (
        Wire(vendor, told) as wire,
        openai.AsyncOpenAI(api_key="k", base_url=wire.base_url, max_retries=0) as plain,
    ):
        expected = await pieces(plain, vendor)
        wire.rejected.clear()
    assert len(read) > 1
    assert [repr(piece) for piece in read] == [repr(piece) for piece in expected]
    assert read == expected
