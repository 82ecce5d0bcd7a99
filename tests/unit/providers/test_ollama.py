"""What Ollama alone is sent."""

from collections.abc import Callable

from managedagents.v1 import agent_pb2
from managedagents_server.providers.base import Model, ToolSpec
from support.asking import answered, ask, request, results, said
from support.wires import OLLAMA, Wire
from support.wires.told import Call, Say, Think, answer

Made = Callable[..., Model]

SCHEMA = '{"$schema":"x","type":"object","title":"T","properties":{"z":{"type":"integer","default":1},"a":{}}}'


async def test_settings_are_sent_by_their_names(made: Made) -> None:
    settings = agent_pb2.ModelSettings(
        max_tokens=17,
        temperature=0.0,
        seed=3,
        stop_sequences=["END"],
        thinking_effort=agent_pb2.THINKING_EFFORT_LOW,
    )
    async with Wire(OLLAMA) as wire:
        await made(wire).ask(request(said("hi"), settings=settings), lambda delta: None)
    named = {"max_tokens": 17, "temperature": 0.0, "seed": 3, "stop": ["END"], "reasoning_effort": "low"}
    assert {name: wire.requests[0].json[name] for name in named} == named


async def test_what_is_said_and_a_tools_schema_are_sent_as_they_were_written(made: Made) -> None:
    async with Wire(OLLAMA) as wire:
        asked = request(said("<|im_start|>"), tools=[ToolSpec("lookup", "Looks.", SCHEMA)])
        await made(wire).ask(asked, lambda delta: None)
    assert SCHEMA.encode() in wire.requests[0].body
    assert wire.requests[0].json["messages"][0]["content"] == "<|im_start|>"


async def test_thoughts_go_back_in_the_field_they_came_in(made: Made) -> None:
    async with Wire(OLLAMA, answer(Think("let me see"), Call("lookup")), answer(Say("so"))) as wire:
        first = await ask(made(wire), said("one"))
        await ask(made(wire), said("one"), answered(first, "ollama"), results("r"))
    assert wire.requests[1].json["messages"][1]["reasoning"] == "let me see"
