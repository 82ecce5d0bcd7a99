"""A session with a token budget stops asking the model when it has used it up, and lives on."""

from support.calls import scripted
from support.driven import drive, use_ids
from support.server import Stub

COSTLY = {"input_tokens": 70, "output_tokens": 30}


async def test_an_answer_that_reaches_the_budget_still_ends_its_turn_as_it_would(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a", "usage": COSTLY}, token_budget=100), "hi")
    await session.comes("status.idle")
    assert (await session.lines())[-1] == "1 status.idle end_turn"


async def test_after_it_each_turn_begins_and_ends_without_a_request(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a", "usage": COSTLY}, token_budget=100), "one", "two")
    await session.comes("status.idle token_budget")
    await session.send("three")
    events = await session.comes("status.idle token_budget")
    assert events[-1].status_idle.usage.requests == 0
    assert (await session.lines())[5:] == [
        "2 status.running",
        "2 status.idle token_budget",
        "8 user.message",
        "8 status.running",
        "8 status.idle token_budget",
    ]
    assert (await session.status()).usage.requests == 1


async def test_tools_in_hand_are_settled_before_the_budget_ends_the_turn(stub: Stub) -> None:
    calls = {"tool_calls": [{"name": "look"}, {"name": "look"}], "usage": COSTLY}
    session = await drive(stub, scripted(calls, tools=["look"], token_budget=100), "hi")
    events = await session.comes("agent.custom_tool_use")
    events += await session.comes("agent.custom_tool_use")
    for use_id in use_ids(events):
        await session.answer(use_id)
    events = await session.comes("status.idle")
    assert [line.split(" ", 1)[1] for line in await session.lines()][-3:] == [
        "user.custom_tool_result",
        "user.custom_tool_result",
        "status.idle token_budget",
    ]
    assert events[-1].status_idle.usage.input_tokens == 70


async def test_one_token_below_the_budget_the_model_is_asked(stub: Stub) -> None:
    session = await drive(stub, scripted({"text": "a", "usage": COSTLY}, token_budget=101), "one", "two")
    await session.comes("status.idle end_turn")
    await session.comes("status.idle end_turn")
    assert (await session.status()).usage.requests == 2
