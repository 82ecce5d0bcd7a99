"""What Anthropic alone is sent, and does."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from managedagents.v1 import agent_pb2, model_pb2, status_event_pb2
from managedagents_server.providers.base import Answer, Item, Model, ModelFailure, ToolSpec
from support.asking import answered, ask, failing, request, said
from support.wires import ANTHROPIC, Wire
from support.wires.faults import Event
from support.wires.server import Step
from support.wires.told import Answer as Told
from support.wires.told import Say, Think, answer
from support.wires.vendor import Vendor

Made = Callable[..., Model]

LOOKUP = ToolSpec("lookup", "Looks it up.", '{"type": "object"}')
HIGH = agent_pb2.THINKING_EFFORT_HIGH


async def sent(made: Made, settings: agent_pb2.ModelSettings, *talk: Item, **model: Any) -> Any:
    """The body of the request."""
    async with Wire(ANTHROPIC) as wire:
        asked = request(*(talk or [said("hi")]), system="be brief", tools=[LOOKUP], settings=settings)
        await made(wire, **model).ask(asked, lambda delta: None)
    return wire.requests[0].json


async def refused(made: Made, settings: agent_pb2.ModelSettings, **model: Any) -> str:
    """The words of a failure that asked nobody."""
    async with Wire(ANTHROPIC) as wire:
        with pytest.raises(ModelFailure) as caught:
            await made(wire, **model).ask(request(said("hi"), settings=settings), lambda delta: None)
    assert wire.requests == []
    failure = caught.value
    assert failure.code == status_event_pb2.ERROR_CODE_MODEL_REJECTED
    assert (failure.transient, failure.content_rejected) == (False, False)
    return failure.message


class TestCaching:
    async def test_the_end_of_each_part_is_marked(self, made: Made) -> None:
        body = await sent(made, agent_pb2.ModelSettings())
        mark = {"type": "ephemeral", "ttl": "5m"}
        assert body["system"][-1]["cache_control"] == mark
        assert body["tools"][-1]["cache_control"] == mark
        assert body["messages"][-1]["content"][-1]["cache_control"] == mark

    async def test_what_was_written_to_the_cache_is_counted_as_input(self, made: Made) -> None:
        def written(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
            counted = b'"cache_creation_input_tokens":0'
            assert any(counted in event.data for event in events)
            return tuple(event.data.replace(counted, b'"cache_creation_input_tokens":30') for event in events)

        async with Wire(ANTHROPIC, answer(Say("a"), fault=written)) as wire:
            usage = (await ask(made(wire), said("hi"))).usage
        assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (130, 64, 30)


class TestSettings:
    async def test_max_tokens_is_the_models_own_maximum_where_nothing_is_said(self, made: Made) -> None:
        assert (await sent(made, agent_pb2.ModelSettings()))["max_tokens"] == 64_000
        assert (await sent(made, agent_pb2.ModelSettings(max_tokens=17)))["max_tokens"] == 17

    async def test_settings_are_sent_by_their_names(self, made: Made) -> None:
        body = await sent(made, agent_pb2.ModelSettings(stop_sequences=["END"]))
        assert (body["stop_sequences"], "thinking" in body) == (["END"], False)

    async def test_a_temperature_is_sent_by_the_version_that_takes_one(self, made: Made) -> None:
        async with Wire(ANTHROPIC) as wire:
            for settings in (agent_pb2.ModelSettings(temperature=0.5), agent_pb2.ModelSettings()):
                await made(wire).ask(request(said("hi"), settings=settings), lambda delta: None)
        with_it, without = wire.requests
        assert (with_it.headers["anthropic-version"], with_it.json["temperature"]) == ("2023-06-01", 0.5)
        assert without.headers["anthropic-version"] > "2023-06-01"

    async def test_an_older_model_thinks_within_a_budget(self, made: Made) -> None:
        body = await sent(made, agent_pb2.ModelSettings(thinking_effort=HIGH))
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 16_384}

    async def test_a_budget_that_max_tokens_leaves_no_room_for_is_refused(self, made: Made) -> None:
        settings = agent_pb2.ModelSettings(thinking_effort=HIGH, max_tokens=16_384)
        assert "set max_tokens above that" in await refused(made, settings)

    async def test_a_newer_model_thinks_with_an_effort(self, made: Made) -> None:
        body = await sent(made, agent_pb2.ModelSettings(thinking_effort=HIGH), model="claude-opus-5")
        assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})

    async def test_no_thinking_turns_off_what_is_on_by_itself(self, made: Made) -> None:
        none = agent_pb2.ModelSettings(thinking_effort=agent_pb2.THINKING_EFFORT_NONE)
        assert (await sent(made, none, model="claude-opus-5"))["thinking"] == {"type": "disabled"}
        assert "thinking" not in await sent(made, none)

    async def test_what_a_model_is_known_not_to_take_is_refused(self, made: Made) -> None:
        warm = agent_pb2.ModelSettings(temperature=0.5)
        assert "takes no temperature" in await refused(made, warm, model="claude-opus-5")
        schema = agent_pb2.ModelSettings(response_schema_json='{"type":"object"}')
        assert "follows no response schema" in await refused(made, schema, model="claude-3-5-haiku-latest")

    async def test_speed_is_the_tier_or_the_fast_mode(self, made: Made) -> None:
        plain = agent_pb2.ModelSettings()
        standard = await sent(made, plain, speed=agent_pb2.MODEL_SPEED_STANDARD)
        assert (standard["service_tier"], "speed" in standard) == ("standard_only", False)
        async with Wire(ANTHROPIC) as wire:
            await ask(made(wire, model="claude-opus-5", speed=agent_pb2.MODEL_SPEED_FAST), said("hi"))
        assert wire.requests[0].json["speed"] == "fast"
        assert wire.requests[0].headers["anthropic-beta"].startswith("fast-mode")
        assert "no fast mode" in await refused(made, plain, speed=agent_pb2.MODEL_SPEED_FAST)


async def test_a_stream_without_its_beginning_is_broken(made: Made) -> None:
    """As llama.cpp's server sends it where the first token is a part of an emoji; the library only asserts."""

    def headless(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
        return tuple(event.data for event in events if b"message_start" not in event.data)

    async with Wire(ANTHROPIC, answer(Say("a"), fault=headless)) as wire:
        failure = await failing(made(wire))
    assert failure.code == status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM
    assert (failure.transient, failure.content_rejected) == (True, False)


async def test_a_thought_that_was_cut_off_is_never_sent_as_text(made: Made) -> None:
    def unsigned(vendor: Vendor, events: Sequence[Event]) -> tuple[Step, ...]:
        return tuple(event.data for event in events if b"signature_delta" not in event.data)

    told: Told = answer(Think("half a thought"), stop="max_tokens", fault=unsigned)
    async with Wire(ANTHROPIC, told, answer(Say("so"))) as wire:
        model = made(wire)
        cut_off: Answer = await ask(model, said("one"))
        assert cut_off.stop_reason == model_pb2.MODEL_STOP_REASON_MAX_TOKENS
        await ask(model, said("one"), answered(cut_off, "anthropic"), said("go on"))
    assert b"half a thought" not in wire.requests[1].body
