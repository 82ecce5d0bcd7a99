"""What the failures of all providers promise alike, over each one's wire format."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from managedagents.v1 import status_event_pb2
from managedagents_server.providers.base import Delta, Endpoint, Model, ModelFailure
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.asking import ask, failing, joined, request, said
from support.wires import OLLAMA, VENDORS, Vendor, Wire
from support.wires.faults import (
    Event,
    Fault,
    cut,
    ends_early,
    error_in_stream,
    fails_in_stream,
    half_a_call,
    malformed,
    stalls_between,
    stalls_first,
)
from support.wires.server import Stall, Step
from support.wires.told import Call, ErrorKind, Say, answer, error

pytestmark = pytest.mark.long

Made = Callable[..., Model]

CODES: dict[ErrorKind, tuple[status_event_pb2.ErrorCode.ValueType, bool, bool]] = {
    "rate_limited": (status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED, True, False),
    "quota": (status_event_pb2.ERROR_CODE_MODEL_QUOTA, False, False),
    "overloaded": (status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
    "server_error": (status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
    "authentication": (status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION, False, False),
    "permission": (status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION, False, False),
    "unknown_model": (status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND, False, False),
    "context_too_long": (status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG, False, True),
    "content_rejected": (status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, True),
    "bad_request": (status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, True),
}
"""Code, whether it is tried again, whether it lies in the conversation."""

TYPED = [
    (vendor, kind)
    for vendor in VENDORS
    for kind in sorted(vendor.kinds)
    # Only the text of Ollama's error tells that the conversation is too long, so it counts as rejected.
    if (vendor, kind) != (OLLAMA, "context_too_long")
]


class TestRefused:
    @pytest.mark.parametrize(
        ("refusing", "kind"), [pytest.param(vendor, kind, id=f"{vendor}-{kind}") for vendor, kind in TYPED]
    )
    async def test_a_refusal_is_typed_and_not_tried_again(self, refusing: Vendor, kind: ErrorKind, made: Made) -> None:
        async with Wire(refusing, error(kind)) as wire:
            failure = await failing(made(wire))
        assert (failure.code, failure.transient, failure.content_rejected) == CODES[kind], failure.message
        assert len(wire.requests) == 1, "it was tried again behind the log's back"

    async def test_how_long_to_wait_is_passed_on(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor, error("rate_limited", retry_after=7)) as wire:
            failure = await failing(made(wire))
        assert (failure.code, failure.retry_after) == (status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED, 7.0)

    async def test_a_server_that_is_not_there_is_a_connection_failure(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor) as gone:
            model = made(gone)
        failure = await failing(model)
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_CONNECTION, True)

    async def test_the_key_is_in_no_message(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor, error("authentication")) as wire:
            failure = await failing(made(wire, key="KEYMARK-1"))
            assert vendor.key(wire.requests[0]) == "KEYMARK-1"
        assert "KEYMARK" not in failure.message
        assert failure.__cause__ is None
        assert failure.__suppress_context__


class TestBrokenStream:
    @pytest.mark.parametrize("fault", [cut(), ends_early(), malformed()], ids=["cut", "early", "malformed"])
    async def test_an_answer_that_is_not_whole_is_transient(self, vendor: Vendor, fault: Fault, made: Made) -> None:
        async with Wire(vendor, answer(Say("Hel", "lo"), fault=fault)) as wire:
            failure = await failing(made(wire))
        assert failure.code in (
            status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM,
            status_event_pb2.ERROR_CODE_MODEL_CONNECTION,
        ), failure.message
        assert (failure.transient, failure.content_rejected) == (True, False)
        assert len(wire.requests) == 1

    @pytest.mark.parametrize("fault", [half_a_call(), ends_early()], ids=["half", "whole, without a reason"])
    async def test_a_call_without_its_end_is_none(self, vendor: Vendor, fault: Fault, made: Made) -> None:
        async with Wire(vendor, answer(Call("lookup", '{"z":', "1}"), fault=fault)) as wire:
            failure = await failing(made(wire))
        assert failure.code == status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM, failure.message
        assert failure.transient

    @pytest.mark.parametrize("fails", [error_in_stream, fails_in_stream])
    @pytest.mark.parametrize("kind", ["overloaded", "rate_limited"])
    async def test_an_error_in_mid_stream_means_what_it_says(
        self, vendor: Vendor, fails: Callable[[ErrorKind], Fault], kind: ErrorKind, made: Made
    ) -> None:
        deltas: list[Delta] = []
        async with Wire(vendor, answer(Say("Hel", "lo"), fault=fails(kind))) as wire:
            with pytest.raises(ModelFailure) as caught:
                await made(wire).ask(request(said("hi")), deltas.append)
        assert caught.value.transient
        lost = status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM
        # Ollama loses what went wrong, and ends the stream.
        assert caught.value.code == (lost if vendor is OLLAMA else CODES[kind][0])
        assert joined(deltas) == {(0, "text", ""): "Hel"}, "what was streamed before was told"


class TestHangingUp:
    """What is not closed at once is paid for, and holds a connection."""

    @pytest.mark.parametrize(
        ("fault", "limits", "waited_for"),
        [
            (stalls_first(), Limits(model_first_token=0.3, model_stall=60.0), "the first token"),
            (stalls_between(), Limits(model_first_token=60.0, model_stall=0.3), "more of the answer"),
        ],
        ids=["before the first token", "between tokens"],
    )
    async def test_silence_is_a_timeout_and_hangs_up(
        self, vendor: Vendor, fault: Fault, limits: Limits, waited_for: str
    ) -> None:
        impatient = Vendors(SystemClock(), limits)
        async with Wire(vendor, answer(Say("Hel", "lo"), fault=fault)) as wire:
            failure = await failing(DeferredModel(Endpoint(vendor.name, vendor.model, wire.base_url), impatient))
            await wire.requests[0].wait_hung_up()
        await impatient.close()
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_TIMEOUT, True)
        assert failure.message == f"the model was silent for 0.3 s; waited for {waited_for}"

    # Ollama's error is the end of the stream.
    @pytest.mark.parametrize("failing_vendor", [vendor for vendor in VENDORS if vendor is not OLLAMA], ids=repr)
    async def test_an_error_in_mid_stream_hangs_up(self, failing_vendor: Vendor, made: Made) -> None:
        def errs_and_stays(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
            return (*error_in_stream()(vendor, events), b": still here\n\n", Stall())

        async with Wire(failing_vendor, answer(Say("Hel", "lo"), fault=errs_and_stays)) as wire:
            await failing(made(wire))
            await wire.requests[0].wait_hung_up()

    async def test_cancelling_between_tokens_hangs_up_at_once(self, vendor: Vendor, made: Made) -> None:
        begun = asyncio.Event()
        async with Wire(vendor, answer(Say("Hel", "lo"), fault=stalls_between())) as wire:
            asking = asyncio.create_task(made(wire).ask(request(said("hi")), lambda delta: begun.set()))
            await begun.wait()
            cancelled_at = time.monotonic()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await wire.requests[0].wait_hung_up()
            assert wire.requests[0].hung_up_at - cancelled_at < 0.5

    async def test_cancelling_before_the_first_token_hangs_up(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor, answer(Say("Hel", "lo"), fault=stalls_first())) as wire:
            asking = asyncio.create_task(ask(made(wire), said("hi")))
            await wire.wait_requests(1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await wire.requests[0].wait_hung_up()
