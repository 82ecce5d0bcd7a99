"""What a server that means no good, or is broken beyond the faults of its kind, cannot do."""

import asyncio
import gzip
import json
import warnings
from collections.abc import AsyncIterator, Iterable

import pytest

from managedagents.v1 import status_event_pb2
from managedagents_server.providers import names
from managedagents_server.providers.base import Answer, Delta, Endpoint, ModelFailure
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.session import events
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.asking import request, said
from support.wires.server import JSON, SSE, Received, Reply, Stall, Step, WireServer

KEY = "KEYMARK-hostile-answers-1"
KEPT = 1000
TOO_LARGE = status_event_pb2.ERROR_CODE_RESPONSE_TOO_LARGE
BROKEN = status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM


class Says(WireServer):
    """Sends what it is given, whatever it is asked."""

    def __init__(self, *steps: Step, status: int = 200, **headers: str) -> None:
        super().__init__("/v1")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._reply = Reply(steps, status, {**SSE, **named})

    def reply(self, received: Received) -> Reply:
        return self._reply


@pytest.fixture
async def vendors() -> AsyncIterator[Vendors]:
    built = Vendors(SystemClock(), Limits(model_first_token=5.0, model_stall=5.0, response_bytes=KEPT))
    yield built
    await built.close()


async def asked(vendors: Vendors, wire: Says, provider: str = names.OPENAI_COMPATIBLE) -> Answer | ModelFailure:
    base_url = wire.base_url.removesuffix("/v1") if provider == names.GEMINI else wire.base_url
    deltas: list[Delta] = []
    try:
        return await DeferredModel(Endpoint(provider, "m", base_url, KEY), vendors).ask(
            request(said("hi")), deltas.append
        )
    except ModelFailure as failure:
        return failure


async def failure_of(vendors: Vendors, wire: Says, provider: str = names.OPENAI_COMPATIBLE) -> ModelFailure:
    async with wire:
        outcome = await asked(vendors, wire, provider)
    assert isinstance(outcome, ModelFailure)
    # It can be logged.
    assert events.rescheduling(1, outcome, 1, 1.0, 1).ByteSize()
    return outcome


def data(*chunks: object) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def piece(finish_reason: str | None = None, **delta: object) -> dict[str, object]:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


def called(index: int, name: object = "look") -> dict[str, object]:
    function = {"name": name, "arguments": "{}"}
    return piece(tool_calls=[{"index": index, "id": f"c{index}", "type": "function", "function": function}])


def of_gemini(**part: object) -> bytes:
    return data({"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}]})


class TestEndless:
    """Each is cut off in the midst: nobody waits until there is no memory left."""

    @pytest.mark.parametrize(
        "poured",
        [
            pytest.param([data(piece(content="a" * 100))] * 11, id="text"),
            pytest.param([data(piece(reasoning_content="a" * 100))] * 11, id="thoughts"),
            pytest.param([data(called(0)), *[data(called(0, None))] * 600], id="the input of a call"),
            pytest.param([data(called(number)) for number in range(1001)], id="calls"),
            pytest.param([b"data: {", *[b"a" * 1000] * 9], id="a line"),
            pytest.param([b": nothing\n" * 600] * 2, id="an event"),
            pytest.param([b": nothing at all\n\n" * 100] * 40, id="silence in many words"),
        ],
    )
    async def test_an_answer_that_does_not_end_is_cut_off(self, poured: Iterable[bytes], vendors: Vendors) -> None:
        async with Says(*poured, Stall()) as wire:
            failure = await asked(vendors, wire)
            await wire.requests[0].wait_hung_up()
        assert isinstance(failure, ModelFailure)
        assert (failure.code, failure.transient) == (TOO_LARGE, False), failure.message
        assert "too large" in failure.message

    async def test_a_refusal_that_does_not_end_is_read_in_its_beginning(self, vendors: Vendors) -> None:
        wire = Says(b'{"error": "', *[b"no" * 50_000] * 12, Stall(), status=503)
        failure = await failure_of(vendors, wire)
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True)
        assert failure.message.startswith('HTTP 503: {"error": "nono')

    async def test_what_is_compressed_is_not_unpacked(self, vendors: Vendors) -> None:
        packed = gzip.compress(data(piece(content="hi"), piece("stop")))
        wire = Says(packed, content_encoding="gzip")
        assert (await failure_of(vendors, wire)).code == BROKEN
        assert wire.requests[0].headers["accept-encoding"] == "identity"

    async def test_the_others_have_their_turn_while_it_pours(self) -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        patient = Vendors(SystemClock(), Limits())
        poured = data(piece(content="a")) * 1000 + data(piece("stop"))
        async with Says(poured) as wire:
            await asked(patient, wire)
            task = asyncio.create_task(others())
            await asyncio.sleep(0)
            before = turns
            await asked(patient, wire)
            task.cancel()
        await patient.close()
        assert turns - before > 1000 // 64


class TestOddities:
    @pytest.mark.parametrize(
        "odd",
        [
            pytest.param(data({**piece("stop", content="x"), "model": 5}), id="the model's name is a number"),
            pytest.param(data({**piece("stop", content="x"), "model": "\ud800"}), id="the model's name is no UTF-8"),
            pytest.param(data(called(0, 5), piece("tool_calls")), id="a tool's name is a number"),
            pytest.param(data(called(0, "\ud800"), piece("tool_calls")), id="a tool's name is no UTF-8"),
        ],
    )
    async def test_an_answer_that_cannot_be_logged_is_a_broken_one(self, odd: bytes, vendors: Vendors) -> None:
        with warnings.catch_warnings(action="ignore"):
            failure = await failure_of(vendors, Says(odd))
        assert (failure.code, failure.transient) == (BROKEN, True)

    @pytest.mark.parametrize(
        "part",
        [{"functionCall": {"name": "a", "args": {"\ud800": 1}}}, {"functionCall": {"name": "\ud800", "args": {}}}],
    )
    async def test_also_where_a_call_comes_whole(self, part: dict[str, object], vendors: Vendors) -> None:
        failure = await failure_of(vendors, Says(of_gemini(**part)), names.GEMINI)
        assert (failure.code, failure.transient) == (BROKEN, True)

    async def test_the_words_of_a_refusal_can_always_be_logged(self, vendors: Vendors) -> None:
        wire = Says(b'{"error": {"message": "half \\ud800 of it"}}', status=400, **JSON)
        assert (await failure_of(vendors, wire)).message == "HTTP 400: half � of it"

    @pytest.mark.parametrize("tokens", [-5, 9 * 10**18])
    async def test_a_count_of_tokens_that_cannot_be_is_no_count(self, tokens: int, vendors: Vendors) -> None:
        usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 1}
        told = data(piece("stop", content="x"), {"model": "m", "choices": [], "usage": usage})
        with warnings.catch_warnings(action="ignore"):
            async with Says(told) as wire:
                answer = await asked(vendors, wire)
        assert isinstance(answer, Answer)
        assert 0 <= answer.usage.input_tokens <= 10**12
        assert 0 <= answer.usage.output_tokens <= 10**12

    async def test_a_name_that_leads_to_another_path_of_geminis_is_not_asked(self, vendors: Vendors) -> None:
        async with Says() as wire:
            model = DeferredModel(Endpoint(names.GEMINI, "%2e%2e/m", wire.base_url, KEY), vendors)
            with pytest.raises(ModelFailure, match="is no name of a model"):
                await model.ask(request(said("hi")), lambda delta: None)
            assert wire.requests == []
