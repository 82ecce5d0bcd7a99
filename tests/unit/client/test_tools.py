"""From a handler to what the model is told."""

import asyncio
from typing import Any

import pytest

from managedagents import current_tool_use_id, text
from managedagents._tools import Answer, Answers, Handler
from managedagents._tools import ask as ask_handler


async def ask(handler: Handler, input_json: str = "{}") -> Answer:
    return await ask_handler("use_1", handler, "tool", input_json)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("19", "19"),
        ({"t": 19, "å": [1]}, '{"t":19,"å":[1]}'),
        ([1, 2], "[1,2]"),
        (False, "false"),
        (text("block"), "block"),
        ([text("a")], "a"),
    ],
)
async def test_a_result_becomes_content(result: Any, told: str) -> None:
    answer = await ask(lambda given: result)
    assert [block.text.text for block in answer.content] == [told]
    assert not answer.is_error


@pytest.mark.parametrize("nothing", [None, ""])
async def test_nothing_is_told_as_no_content(nothing: Any) -> None:
    assert (await ask(lambda given: nothing)) == Answer(())


async def test_the_input_arrives_as_python_values_in_sync_and_async_handlers() -> None:
    async def handler(given: Any) -> Any:
        return {"got": given}

    assert (await ask(handler, '{"a": [1, null]}')).content == (text('{"got":{"a":[1,null]}}'),)
    assert (await ask(lambda given: given["a"], '{"a": "x"}')).content == (text("x"),)


async def test_a_handler_that_raises_is_told_as_an_error() -> None:
    def handler(given: Any) -> Any:
        raise LookupError("no such city")

    assert await ask(handler) == Answer((text("The tool failed: no such city"),), is_error=True)


@pytest.mark.parametrize("result", [object(), float("nan"), [float("inf")]])
async def test_a_result_that_json_cannot_hold_is_told_as_an_error(result: Any) -> None:
    assert await ask(lambda given: result) == Answer((text("The tool's answer is no JSON."),), is_error=True)


async def test_an_input_that_is_no_json_is_told_as_an_error() -> None:
    assert await ask(lambda given: given, "{") == Answer((text("The input is no JSON."),), is_error=True)


async def test_a_handler_knows_the_id_of_its_use() -> None:
    async def slow(given: Any) -> str:
        await asyncio.sleep(0)
        return current_tool_use_id()

    assert (await ask(slow)).content == (text("use_1"),)
    assert (await ask(lambda given: current_tool_use_id())).content == (text("use_1"),)


def test_a_use_is_taken_once_and_given_back_with_what_could_not_be_sent() -> None:
    answers, told = Answers(), Answer((text("made"),))
    assert answers.take("ses_1", "use_1") == (True, None)
    assert answers.take("ses_1", "use_1") == (False, None)
    answers.keep("ses_1", "use_1", told)
    assert not answers.in_hand("ses_1", "use_1")
    assert answers.take("ses_1", "use_1") == (True, told)
    assert answers.in_hand("ses_1", "use_1")
    assert answers.take("ses_2", "use_1") == (True, None)
