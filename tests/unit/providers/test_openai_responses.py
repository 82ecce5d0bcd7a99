"""What OpenAI's Responses alone are sent, and do."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from managedagents.v1 import agent_pb2, status_event_pb2
from managedagents_server.providers.base import Model, ModelFailure, ToolSpec
from support.asking import failing, request, said
from support.wires import OPENAI, Vendor, Wire
from support.wires.faults import Event
from support.wires.server import Step
from support.wires.told import Say, answer, error

Made = Callable[..., Model]

SCHEMA = '{"$schema":"x","type":"object","title":"T","properties":{"z":{"type":"integer","default":1},"a":{}}}'


async def sent(made: Made, settings: agent_pb2.ModelSettings, **model: Any) -> Any:
    async with Wire(OPENAI) as wire:
        asked = request(said("hi"), tools=[ToolSpec("lookup", "Looks.", SCHEMA)], settings=settings)
        await made(wire, **model).ask(asked, lambda delta: None)
    return wire.requests[0].json


async def test_nothing_is_kept_at_the_provider(made: Made) -> None:
    body = await sent(made, agent_pb2.ModelSettings())
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])
    assert "previous_response_id" not in body


@pytest.mark.parametrize("model", ["gpt-5", "gpt-7.2-terra", "o9"])
async def test_a_model_that_the_library_does_not_know_gives_its_thoughts_too(made: Made, model: str) -> None:
    body = await sent(made, agent_pb2.ModelSettings(thinking_effort=agent_pb2.THINKING_EFFORT_LOW), model=model)
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["reasoning"]["effort"] == "low"


async def test_a_model_that_does_not_think_is_not_asked_for_thoughts(made: Made) -> None:
    body = await sent(made, agent_pb2.ModelSettings(temperature=0.5), model="gpt-4o")
    assert ("include" in body, "reasoning" in body, body["temperature"]) == (False, False, 0.5)


@pytest.mark.parametrize(
    ("model", "settings", "why"),
    [
        ("gpt-4o", agent_pb2.ModelSettings(thinking_effort=agent_pb2.THINKING_EFFORT_HIGH), "does not think"),
        ("gpt-5", agent_pb2.ModelSettings(temperature=0.5), "takes no temperature"),
        (
            "gpt-5.4",
            agent_pb2.ModelSettings(temperature=0.5, thinking_effort=agent_pb2.THINKING_EFFORT_LOW),
            "takes no temperature",
        ),
    ],
)
async def test_what_a_model_is_known_not_to_take_is_refused(
    made: Made, model: str, settings: agent_pb2.ModelSettings, why: str
) -> None:
    async with Wire(OPENAI) as wire:
        with pytest.raises(ModelFailure, match=why) as caught:
            await made(wire, model=model).ask(request(said("hi"), settings=settings), lambda delta: None)
    assert wire.requests == []
    assert (caught.value.transient, caught.value.content_rejected) == (False, False)


async def test_a_temperature_goes_to_a_model_that_does_not_think_by_itself(made: Made) -> None:
    assert (await sent(made, agent_pb2.ModelSettings(temperature=0.5), model="gpt-5.4"))["temperature"] == 0.5


async def test_a_tools_schema_is_sent_as_it_was_written(made: Made) -> None:
    async with Wire(OPENAI) as wire:
        asked = request(said("hi"), tools=[ToolSpec("lookup", "Looks.", SCHEMA)])
        await made(wire).ask(asked, lambda delta: None)
    assert SCHEMA.encode() in wire.requests[0].body
    assert wire.requests[0].json["tools"][0]["strict"] is False


@pytest.mark.parametrize(
    ("speed", "tier"), [(agent_pb2.MODEL_SPEED_STANDARD, "default"), (agent_pb2.MODEL_SPEED_FAST, "priority")]
)
async def test_speed_is_the_service_tier(made: Made, speed: agent_pb2.ModelSpeed.ValueType, tier: str) -> None:
    assert (await sent(made, agent_pb2.ModelSettings(), speed=speed))["service_tier"] == tier
    assert "service_tier" not in await sent(made, agent_pb2.ModelSettings())


@pytest.mark.parametrize("code", ["invalid_prompt", "invalid_image", "image_content_policy_violation"])
async def test_content_that_is_rejected_in_mid_stream_is_the_contents_fault(made: Made, code: str) -> None:
    def failed(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
        event = {"type": "error", "code": code, "message": "no", "param": None, "sequence_number": 3}
        return (events[0].data, f"event: error\ndata: {json.dumps(event)}\n\n".encode())

    async with Wire(OPENAI, answer(Say("never"), fault=failed)) as wire:
        failure = await failing(made(wire))
    assert (failure.code, failure.content_rejected) == (status_event_pb2.ERROR_CODE_MODEL_REJECTED, True)


async def test_a_chunk_of_a_wrong_shape_is_a_broken_stream(made: Made) -> None:
    def shaped(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
        return tuple(event.data.replace(b'"delta":"Hel"', b'"delta":7') for event in events)

    async with Wire(OPENAI, answer(Say("Hel", "lo"), fault=shaped)) as wire:
        failure = await failing(made(wire))
    assert failure.code == status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM


async def test_the_masked_key_is_in_no_message(made: Made) -> None:
    async with Wire(OPENAI, error("authentication")) as wire:
        failure = await failing(made(wire, key="KEYMARK-openai-1"))
    assert failure.message == "HTTP 401: the provider does not take the key, or not for this"
