"""What all providers are sent alike: the bytes on the wire."""

import json
from collections.abc import Callable, Sequence

import pytest

from managedagents.v1 import agent_pb2, content_pb2, status_event_pb2
from managedagents_server.providers.base import (
    Answer,
    Answered,
    Item,
    Model,
    ModelFailure,
    Result,
    Results,
    Said,
    ToolSpec,
)
from support.asking import answered, ask, request, results, said, text_content
from support.wires import ANTHROPIC, GEMINI, OPENAI, VENDORS, Vendor, Wire
from support.wires.told import Call, Say, Think, Told, answer

Made = Callable[..., Model]

LOOKUP = ToolSpec("lookup", "Looks it up.", '{"type": "object", "properties": {"z": {"type": "integer"}, "a": {}}}')
PNG = b"\x89PNG\r\n\x1a\n"
SIGNING = [vendor for vendor in VENDORS if vendor.signs]


async def turn(model: Model, talk: Sequence[Item]) -> Answer:
    return await model.ask(request(*talk, system="be brief", tools=[LOOKUP]), lambda delta: None)


async def talk_through(model: Model, provider: str) -> None:
    """Two turns with calls of tools, one of them with two at once."""
    talk: list[Item] = [said("one")]
    for after in (results("r1"), results("r2", "r3"), said("two"), results("r4")):
        talk += [answered(await turn(model, talk), provider), after]
    await turn(model, talk)


SCENARIO: list[Told] = [
    answer(Think("let ", "me"), Call("lookup", '{"z":1}')),
    answer(Call("lookup", '{"z":2}'), Call("lookup")),
    answer(Think("so"), Say("that is it")),
    answer(Say("again"), Call("lookup", '{"z":3}')),
    answer(Say("done")),
]


class TestHistory:
    async def test_each_request_begins_with_the_bytes_of_the_one_before(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor, *SCENARIO) as wire:
            await talk_through(made(wire), vendor.name)
        for before, after in zip(wire.requests, wire.requests[1:], strict=False):
            earlier = json.dumps(vendor.messages(before))[:-1]
            assert json.dumps(vendor.messages(after)).startswith(earlier)
            assert vendor.system(after) == vendor.system(before)
            assert vendor.tools(after) == vendor.tools(before)
        assert vendor.tool_results(wire.requests[-1])[0] in ("r1", '{"return_value": "r1"}')

    async def test_nothing_but_the_conversation_changes_between_requests(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor, *SCENARIO) as wire:
            await talk_through(made(wire), vendor.name)
        first, *others = (
            {name: value for name, value in sent.json.items() if name not in ("messages", "input", "contents")}
            for sent in wire.requests
        )
        assert all(other == first for other in others)

    @pytest.mark.parametrize("signing", SIGNING, ids=repr)
    async def test_what_is_signed_goes_back_to_the_model_that_signed_it(self, signing: Vendor, made: Made) -> None:
        async with Wire(signing, *SCENARIO) as wire:
            await talk_through(made(wire), signing.name)
        assert signing.signatures(wire.requests[0]) == []
        given = signing.signatures(wire.requests[-1])
        assert len(given) > 1
        assert given[: len(signing.signatures(wire.requests[-2]))] == signing.signatures(wire.requests[-2])

    @pytest.mark.parametrize("signing", SIGNING, ids=repr)
    @pytest.mark.parametrize("change", ["model", "provider"])
    async def test_what_is_signed_goes_to_nobody_else(self, signing: Vendor, change: str, made: Made) -> None:
        async with Wire(signing, answer(Think("secret"), Say("I look"), Call("lookup", '{"z":1}')), answer()) as wire:
            first = await turn(made(wire), [said("one")])
            talk: list[Item] = [
                said("one"),
                answered(first, "scripted" if change == "provider" else signing.name),
                results("r"),
            ]
            await turn(made(wire, model=f"{signing.model}-other" if change == "model" else ""), talk)
        if signing is not GEMINI:
            assert signing.signatures(wire.requests[1]) == []
        assert b"secret" not in wire.requests[1].body
        assert b"I look" in wire.requests[1].body
        assert len(signing.tool_results(wire.requests[1])) == 1

    @pytest.mark.parametrize("signing", [ANTHROPIC, OPENAI], ids=repr)
    async def test_a_hidden_thought_goes_back(self, signing: Vendor, made: Made) -> None:
        async with Wire(signing, answer(Think(), Say("so")), answer()) as wire:
            first = await turn(made(wire), [said("one")])
            await turn(made(wire), [said("one"), answered(first, signing.name), said("two")])
        assert len(signing.signatures(wire.requests[1])) == 1

    async def test_a_provider_that_moved_to_another_address_gets_back_what_it_said(
        self, vendor: Vendor, made: Made
    ) -> None:
        first = answer(Think("hm"), Say("I look"), Call("lookup", '{"z":1}'))
        bodies = []
        for moves in (False, True):
            async with Wire(vendor, first, answer()) as here, Wire(vendor, answer()) as there:
                said_first = await turn(made(here), [said("one")])
                talk: list[Item] = [said("one"), answered(said_first, vendor.name), results("r")]
                await turn(made(there if moves else here), talk)
                sent = (there if moves else here).requests[-1]
            bodies.append((len(vendor.signatures(sent)), len(vendor.tool_results(sent)), len(vendor.messages(sent))))
        assert bodies[0] == bodies[1]

    async def test_a_failed_tool_is_told_as_failed(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor, answer(Call("lookup")), answer()) as wire:
            first = await turn(made(wire), [said("one")])
            failed = results("no such thing", is_error=True)
            await turn(made(wire), [said("one"), answered(first, vendor.name), failed])
        assert b"no such thing" in wire.requests[1].body
        assert b"error" in wire.requests[1].body

    async def test_an_answer_told_from_its_events_keeps_the_order_of_calls(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor, answer(Call("lookup", '{"z":1}'), Call("lookup", '{"z":2}')), answer()) as wire:
            first = await turn(made(wire), [said("one")])
            told: Answered = answered(first, None)
            await turn(made(wire), [said("one"), told, results("first", "second")])
        one, two = vendor.tool_results(wire.requests[1])
        assert "first" in one
        assert "second" in two


class TestRequest:
    async def test_nothing_of_the_environment_is_sent(
        self, vendor: Vendor, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY"):
            monkeypatch.setenv(name, "leaked")
        for name in ("ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OLLAMA_API_KEY"):
            monkeypatch.setenv(name, "leaked")
        for name in ("OPENAI", "ANTHROPIC", "OLLAMA", "GOOGLE_GEMINI", "GOOGLE_VERTEX"):
            monkeypatch.setenv(f"{name}_BASE_URL", "http://127.0.0.1:1/leaked")
        monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Extra: leaked\nAuthorization: Bearer leaked")
        monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Extra: leaked\nX-Api-Key: leaked")
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "leaked")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        async with Wire(vendor) as wire:
            await ask(made(wire, key=""), said("hi"))
            await ask(made(wire, key="KEYMARK-mine"), said("hi"))
        keyless, keyed = wire.requests
        assert "leaked" not in f"{keyless.headers}{keyed.headers}{keyless.body!r}{keyed.body!r}"
        assert vendor.key(keyed) == "KEYMARK-mine"

    async def test_only_known_headers_are_sent(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor) as wire:
            await ask(made(wire), said("hi"))
        usual = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
        own = set(wire.requests[0].headers) - usual
        assert own <= {"anthropic-version", "authorization", "x-api-key", "x-goog-api-key"}

    async def test_a_request_never_runs_into_the_hang_up_after_the_one_before(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor) as wire:
            for _ in range(3):
                await ask(made(wire), said("hi"))
        assert [received.connection for received in wire.requests] == [1, 2, 3]

    async def test_a_schema_of_the_answer_is_sent_beside_the_tools(self, vendor: Vendor, made: Made) -> None:
        schema = '{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"]}'
        settings = agent_pb2.ModelSettings(response_schema_json=schema)
        async with Wire(vendor, answer(Say('{"answer":"a"}'))) as wire:
            asked = request(said("hi"), tools=[LOOKUP], settings=settings)
            model = made(wire, model="gemini-3-flash-preview" if vendor is GEMINI else "")
            await model.ask(asked, lambda delta: None)
        assert b'"answer"' in wire.requests[0].body
        assert vendor.tools(wire.requests[0])


class TestFiles:
    def file(self, media_type: str, data: bytes = b"data", name: str = "") -> Said:
        file = content_pb2.FileContent(data=data, media_type=media_type, name=name)
        return Said([content_pb2.Content(file=file)])

    async def test_a_picture_travels_as_bytes(self, vendor: Vendor, made: Made) -> None:
        picture = content_pb2.Content(image=content_pb2.ImageContent(data=PNG, media_type="image/png"))
        async with Wire(vendor) as wire:
            await ask(made(wire), Said([text_content("look"), picture]))
        assert b"iVBORw0KGgo" in wire.requests[0].body
        assert b"image/png" in wire.requests[0].body

    async def test_a_text_file_is_told_with_its_name(self, vendor: Vendor, made: Made) -> None:
        async with Wire(vendor) as wire:
            await ask(made(wire), self.file("text/csv; charset=utf-8", b"a,b", "data.csv"))
        assert b"[File data.csv, text/csv]\\na,b" in wire.requests[0].body

    async def test_a_file_that_cannot_be_told_is_the_contents_fault_and_says_what_can(
        self, vendor: Vendor, made: Made
    ) -> None:
        async with Wire(vendor) as wire:
            with pytest.raises(ModelFailure) as caught:
                await ask(made(wire), self.file("application/zip", b"PK"))
        assert caught.value.code == status_event_pb2.ERROR_CODE_MODEL_REJECTED
        assert (caught.value.transient, caught.value.content_rejected) == (False, True)
        assert caught.value.message.startswith("this provider takes no application/zip; send it as one of text/*, ")
        assert wire.requests == []

    async def test_a_picture_in_a_result_goes_with_it(self, vendor: Vendor, made: Made) -> None:
        picture = content_pb2.Content(image=content_pb2.ImageContent(data=PNG, media_type="image/png"))
        async with Wire(vendor, answer(Call("lookup")), answer(Say("nice"))) as wire:
            first = await turn(made(wire), [said("one")])
            back = Results([Result("use_1", "lookup", [text_content("here"), picture], is_error=False)])
            await turn(made(wire), [said("one"), answered(first, vendor.name), back, said("two")])
        assert b"iVBORw0KGgo" in wire.requests[1].body
        assert "here" in vendor.tool_results(wire.requests[1])[0]
