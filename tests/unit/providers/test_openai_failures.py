"""What a model behind chat completions promises when it fails, over the real wire format."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from managedagents.v1 import status_event_pb2
from managedagents_server.providers import names
from managedagents_server.providers.base import (
    Delta,
    Endpoint,
    Model,
    ModelFailure,
)
from managedagents_server.providers.deferred import DeferredModel, Vendors
from support.asking import failing, joined, request, said
from support.wires.chat import DONE, OpenAIWire, call, ending, refuse, sse, text, usage
from support.wires.server import Cut, Pause, Reply


class TestBrokenStream:
    @pytest.mark.parametrize(
        "steps",
        [
            pytest.param((*text("Hel"), DONE), id="text without a reason"),
            pytest.param((*text("Hel"), usage()), id="text without an end"),
            pytest.param((*call("lookup", '{"z"'), DONE), id="half a call"),
            pytest.param((*call("lookup", '{"z": 1}'), DONE), id="a whole call without a reason"),
            pytest.param((*call("lookup", '{"z": 1'), *ending("tool_calls")), id="a call of broken JSON"),
            pytest.param(
                (*call("lookup", '{"z": NaN}'), *ending("tool_calls")), id="a call with what only looks like JSON"
            ),
            pytest.param((*call("lookup", "[1]"), *ending("tool_calls")), id="a call with no object"),
            pytest.param((*text("a"), *ending("tool_calls")), id="a call announced and not there"),
            pytest.param((*text("Hel"), Cut()), id="cut"),
            pytest.param((*text("Hel"), b"data: {oops\n\n", *ending()), id="a malformed chunk"),
            pytest.param(
                (*text("Hel"), sse({"choices": [{"delta": "oops"}]}), *ending()), id="a chunk of a wrong shape"
            ),
            pytest.param((*text("Hel"), sse({"choices": "oops"}), *ending()), id="choices that are none"),
            pytest.param((*text("Hel"), b"data: \xff\n\n", *ending()), id="no UTF-8"),
            pytest.param((), id="nothing at all"),
            pytest.param((b"<html>Welcome</html>",), id="a page"),
        ],
    )
    async def test_an_answer_that_is_not_whole_is_transient(
        self, wire: OpenAIWire, model: Model, steps: tuple[bytes, ...]
    ) -> None:
        wire.replies = [Reply(steps)]
        failure = await failing(model)
        assert failure.code == status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM
        assert (failure.transient, failure.content_rejected) == (True, False)
        assert len(wire.requests) == 1

    async def test_what_was_streamed_before_the_break_was_told(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [Reply((*text("Hel", "lo"), Pause(0.02), Cut()))]
        deltas: list[Delta] = []
        with pytest.raises(ModelFailure):
            await model.ask(request(said("hi")), deltas.append)
        assert joined(deltas) == {(0, "text", ""): "Hello"}

    async def test_an_error_in_mid_stream_means_what_it_says(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [Reply((*text("a"), sse({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})))]
        failure = await failing(model)
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED, True)

    async def test_a_fault_of_the_listener_is_not_blamed_on_the_provider(self, wire: OpenAIWire, model: Model) -> None:
        def fails(delta: Delta) -> None:
            raise ValueError("a fault of ours")

        with pytest.raises(ValueError, match="a fault of ours"):
            await model.ask(request(said("hi")), fails)


class TestRefused:
    @pytest.mark.parametrize(
        ("reply", "code", "transient", "rejected"),
        [
            (refuse(400), status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, True),
            (refuse(422), status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, True),
            (refuse(401), status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION, False, False),
            (refuse(403), status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION, False, False),
            (refuse(402), status_event_pb2.ERROR_CODE_MODEL_QUOTA, False, False),
            (refuse(429, code="insufficient_quota"), status_event_pb2.ERROR_CODE_MODEL_QUOTA, False, False),
            (refuse(404), status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND, False, False),
            (refuse(307, location="http://127.0.0.1:1/"), status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND, False, False),
            (refuse(405), status_event_pb2.ERROR_CODE_MODEL_REJECTED, False, False),
            (refuse(408), status_event_pb2.ERROR_CODE_MODEL_TIMEOUT, True, False),
            (refuse(409), status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
            (refuse(425), status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
            (refuse(500), status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
            (refuse(503), status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
            (refuse(529), status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE, True, False),
            (refuse(413), status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG, False, True),
            (
                refuse(400, code="context_length_exceeded"),
                status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG,
                False,
                True,
            ),
            (
                refuse(400, kind="exceed_context_size_error", code=400),
                status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG,
                False,
                True,
            ),
        ],
    )
    async def test_a_refusal_is_typed(
        self,
        wire: OpenAIWire,
        model: Model,
        reply: Reply,
        code: status_event_pb2.ErrorCode.ValueType,
        transient: bool,
        rejected: bool,
    ) -> None:
        wire.replies = [reply]
        failure = await failing(model)
        assert (failure.code, failure.transient, failure.content_rejected) == (code, transient, rejected)
        assert len(wire.requests) == 1, "it was tried again behind the log's back"

    async def test_retry_after_is_passed_on(self, wire: OpenAIWire, model: Model) -> None:
        wire.replies = [refuse(429, "slow down", retry_after="7")]
        failure = await failing(model)
        assert (failure.code, failure.retry_after) == (status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED, 7.0)
        assert failure.message == "HTTP 429: slow down"

    async def test_a_server_that_is_not_there_is_a_connection_failure(self, vendors: Vendors) -> None:
        async with OpenAIWire() as gone:
            model = DeferredModel(Endpoint(names.OPENAI_COMPATIBLE, "m", gone.base_url), vendors)
        failure = await failing(model)
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_CONNECTION, True)

    async def test_a_connection_cut_before_the_answer_is_a_connection_failure(
        self, wire: OpenAIWire, model: Model
    ) -> None:
        wire.replies = [Reply((Cut(),))]
        failure = await failing(model)
        assert (failure.code, failure.transient) == (status_event_pb2.ERROR_CODE_MODEL_CONNECTION, True)

    @pytest.mark.parametrize(
        "echo",
        [
            lambda key: {"detail": [{"loc": ["header", key]}]},
            lambda key: {"error": {"message": f"bad header {key}"}},
            lambda key: {"seen": json.dumps({"key": key})},
            lambda key: {"url": f"/v1?key={quote(key, safe='')}"},
            lambda key: {"html": f"<p>{html.escape(key)}</p>"},
            lambda key: {"authorization": base64.b64encode(key.encode()).decode()},
        ],
    )
    async def test_a_key_that_a_provider_echoes_is_taken_out_in_every_form(
        self, echo: Callable[[str], object], wire: OpenAIWire, compatible: Callable[..., Model]
    ) -> None:
        key = 'KEYMARK<"x"\\&/\''
        body = json.dumps(echo(key)).encode()
        wire.replies = [Reply((body,), 422, {"content-type": "application/json"})]
        message = (await failing(compatible(key=key))).message
        assert "[key]" in message
        assert not any(form in message for form in ("KEYMARK", base64.b64encode(b"KEYMARK").decode()[:8]))

    async def test_the_key_is_never_in_a_message(self, wire: OpenAIWire, compatible: Callable[..., Model]) -> None:
        wire.replies = [refuse(401, "no such key: sk-secret-17")]
        failure = await failing(compatible(key="sk-secret-17"))
        assert failure.message == "HTTP 401: the provider does not take the key, or not for this"
        assert failure.__cause__ is None
        assert failure.__suppress_context__
