"""A whole server against one fake of all providers: what is the same for the model is the same in the log."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from managedagents.v1 import status_event_pb2
from support.aimock import ROUTES, SOURCE, AIMock, Route, Told, aimock
from support.calls import log
from support.keys import key
from support.mocked import KEY, TOOL_RESULT, WEATHER, ErrorCode, Turn, agent, first_turn, next_turn, together
from support.server import Stub, running

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

QUESTION = "What is the weather in Paris and in Rome?"
ANSWER = "one two three four five six seven eight"
# In all the names that the providers have for them.
_NAMES = {
    11: ("prompt_tokens", "input_tokens", "promptTokenCount"),
    7: ("completion_tokens", "output_tokens", "candidatesTokenCount"),
    18: ("total_tokens", "totalTokenCount"),
}
USAGE = {name: tokens for tokens, names in _NAMES.items() for name in names}
# One address fails again and again here, each time in another test.
LIMITS = ("retry_first=0.1", "provider_attempts=3", "breaker_failures=1000")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stub]:
    db = tmp_path_factory.mktemp("mocked") / "log.db"
    limits = [flag for limit in LIMITS for flag in ("--limit", limit)]
    async with running(db, "--allow-address", "127.0.0.0/8", *limits) as server, server.channel() as channel:
        yield Stub(channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[AIMock]:
    async with aimock() as mock:
        yield mock


@pytest_asyncio.fixture(loop_scope="module")
async def mock(shared: AIMock) -> AIMock:
    await shared.forget()
    return shared


def says(**response: Any) -> Told:
    return {"response": {"usage": USAGE, **response}}


def calls(*cities: str) -> list[Mapping[str, Any]]:
    return [{"name": "get_weather", "arguments": {"city": city}} for city in cities]


LAST = says(content=ANSWER)


@dataclass(frozen=True, slots=True)
class Case:
    """What the model answers, and the turn that it makes."""

    name: str
    told: tuple[Told, ...]
    kinds: tuple[str, ...]
    text: str = ANSWER
    cities: tuple[str, ...] = ()
    stop_reason: str = "end_turn"
    finish: Mapping[str, str] = field(default_factory=dict)
    """The first answer's finish reason on the routes that have one in words of their own; "": it cannot be told."""

    def __str__(self) -> str:
        return self.name

    def on(self, route: Route) -> list[Told] | None:
        finish = self.finish.get(route.name)
        if finish is None:
            return list(self.told)
        if not finish:
            return None
        first, *rest = self.told
        return [{**first, "response": {**first["response"], "finishReason": finish}}, *rest]


USE, RESULT = "agent.custom_tool_use", "user.custom_tool_result"
# What aimock itself makes of a call on this route is no finish reason of Gemini's.
CALLING = {"gemini": "stop"}
# aimock does not say on this route that an answer is cut off in the way that the provider does.
CUT_OFF = {"responses": ""}

CASES = [
    Case("text", (LAST,), ("agent.message",)),
    Case("thinking first", (says(content=ANSWER, reasoning="Hm."),), ("agent.thinking", "agent.message")),
    Case(
        "two calls at once",
        (says(toolCalls=calls("Paris", "Rome")), LAST),
        (USE, USE, RESULT, RESULT, "agent.message"),
        cities=("Paris", "Rome"),
        finish=CALLING,
    ),
    Case(
        "one call after the other",
        (says(toolCalls=calls("Paris")), says(toolCalls=calls("Rome")), LAST),
        (USE, RESULT, USE, RESULT, "agent.message"),
        cities=("Paris", "Rome"),
        finish=CALLING,
    ),
    Case(
        "words before a call",
        (says(content="Let me look. ", toolCalls=calls("Paris")), LAST),
        ("agent.message", USE, RESULT, "agent.message"),
        text=f"Let me look. {ANSWER}",
        cities=("Paris",),
        finish=CALLING,
    ),
    Case(
        "words after a call",
        (says(blocks=[{"type": "toolCall", **calls("Paris")[0]}, {"type": "text", "text": "Let me look. "}]), LAST),
        (USE, "agent.message", RESULT, "agent.message"),
        text=f"Let me look. {ANSWER}",
        cities=("Paris",),
        finish=CALLING,
    ),
    Case(
        "cut off",
        (says(content=ANSWER, finishReason="length"),),
        ("agent.message",),
        stop_reason="max_tokens",
        finish=CUT_OFF,
    ),
    Case(
        "refused",
        (says(content=ANSWER, finishReason="content_filter"),),
        ("agent.message",),
        stop_reason="refusal",
        finish={**CUT_OFF, "anthropic": "refusal"},
    ),
    Case("slow", ({**LAST, "streamingProfile": {"ttft": 300, "tps": 40}},), ("agent.message",)),
]


async def told(stub: Stub, mock: AIMock, route: Route, *fixtures: Told, api_key: str = KEY) -> Turn:
    await mock.tell(route, *fixtures)
    definition = agent(route.provider, mock.url + route.base, route.name, api_key=api_key, tools=[WEATHER])
    return await first_turn(stub, definition, QUESTION)


async def everywhere(stub: Stub, mock: AIMock, *fixtures: Told) -> list[Turn]:
    return await together(told(stub, mock, route, *fixtures) for route in ROUTES)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_turn_is_the_same_whoever_the_provider_is(stub: Stub, mock: AIMock, case: Case) -> None:
    routes = [(route, fixtures) for route in ROUTES if (fixtures := case.on(route)) is not None]
    turns = await together(told(stub, mock, route, *fixtures) for route, fixtures in routes)
    for turn in turns:
        assert turn.kinds == ["user.message", "status.running", *case.kinds, "status.idle"]
        assert (turn.text, turn.stop_reason) == (case.text, case.stop_reason)
        assert [json.loads(input_json)["city"] for _, input_json in turn.inputs] == list(case.cities)
        requests = len(case.told)
        assert turn.usage == (11 * requests, 7 * requests)


async def test_what_the_model_reads_is_the_same_whoever_the_provider_is(stub: Stub, mock: AIMock) -> None:
    async def talk(route: Route) -> list[list[Message]]:
        calling = {"finishReason": CALLING[route.name]} if route.name in CALLING else {}
        first = await told(stub, mock, route, says(toolCalls=calls("Paris", "Rome"), **calling), LAST, LAST)
        await next_turn(stub, first, "Thank you.")
        return [_conversation(request["body"]) for request in await mock.requests(route)]

    talks = await together(talk(route) for route in ROUTES)
    asked = [Message("system", "Be brief."), Message("user", QUESTION)]
    called = [Message("assistant", "", ["Paris", "Rome"]), *[Message("tool", TOOL_RESULT)] * 2]
    went_on = [Message("assistant", ANSWER), Message("user", "Thank you.")]
    for requests in talks:
        assert requests == [asked, [*asked, *called], [*asked, *called, *went_on]]


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    text: str
    cities: list[str] = field(default_factory=list)
    """What the tool was called with."""


def _conversation(body: Mapping[str, Any]) -> list[Message]:
    """As aimock translated it."""
    talk: list[Message] = []
    for message in body["messages"]:
        content = message.get("content") or ""
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        # A result is an object on the route that knows no other.
        if message["role"] == "tool" and text.startswith("{"):
            (text,) = json.loads(text).values()
        cities = [json.loads(call["function"]["arguments"])["city"] for call in message.get("tool_calls") or []]
        if cities and talk[-1].cities:
            # Calls at once are messages of their own on the route that knows items.
            talk[-1].cities.extend(cities)
        else:
            talk.append(Message(message["role"], text, cities))
    return talk


_PASSING: dict[str, tuple[Told, ErrorCode.ValueType]] = {
    **{
        f"HTTP {status}": ({"response": {"error": {"message": "no", "type": "t"}, "status": status}}, code)
        for status, code in {
            429: status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED,
            500: status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE,
            503: status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE,
            529: status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE,
        }.items()
    },
    "dropped": ({**LAST, "chaos": {"dropRate": 1}}, status_event_pb2.ERROR_CODE_MODEL_UNAVAILABLE),
    "rate limited": ({**LAST, "chaos": {"rateLimitRate": 1}}, status_event_pb2.ERROR_CODE_MODEL_RATE_LIMITED),
    "malformed": ({**LAST, "chaos": {"malformedRate": 1}}, status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM),
    "disconnected": ({**LAST, "chaos": {"disconnectRate": 1}}, status_event_pb2.ERROR_CODE_MODEL_CONNECTION),
    # Reset before the first byte is out.
    "reset": ({**LAST, "truncateAfterChunks": 3}, status_event_pb2.ERROR_CODE_MODEL_CONNECTION),
}
_STAYING: dict[int, ErrorCode.ValueType] = {
    400: status_event_pb2.ERROR_CODE_MODEL_REJECTED,
    401: status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION,
    403: status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION,
    404: status_event_pb2.ERROR_CODE_MODEL_NOT_FOUND,
}


@pytest.mark.parametrize("fault", _PASSING)
async def test_a_fault_that_may_pass_is_the_same_whoever_the_provider_is(stub: Stub, mock: AIMock, fault: str) -> None:
    fixture, code = _PASSING[fault]
    for turn in await everywhere(stub, mock, fixture, LAST):
        assert turn.kinds == [
            *("user.message", "status.running", "status.rescheduling"),
            *("status.running", "agent.message", "status.idle"),
        ]
        assert turn.causes == [code]
        assert (turn.text, turn.stop_reason) == (ANSWER, "end_turn")


async def test_a_stream_that_is_reset_in_its_middle_is_tried_again(stub: Stub, mock: AIMock) -> None:
    # A chunk every 100 ms, of which there are more than five.
    for turn in await everywhere(stub, mock, {**LAST, "latency": 100, "disconnectAfterMs": 350}, LAST):
        assert turn.causes == [status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM]
        assert (turn.text, turn.stop_reason) == (ANSWER, "end_turn")


@pytest.mark.parametrize("seconds", [1, 2])
async def test_retry_after_is_waited_for(stub: Stub, mock: AIMock, seconds: int) -> None:
    limited = {"response": {"error": {"message": "no"}, "status": 429, "retryAfter": seconds}}
    for turn in await everywhere(stub, mock, limited, LAST):
        ((_, delay),) = turn.delayed
        assert delay == seconds
        assert turn.stop_reason == "end_turn"


@pytest.mark.parametrize("status", _STAYING)
async def test_a_fault_that_stays_is_the_same_whoever_the_provider_is(stub: Stub, mock: AIMock, status: int) -> None:
    refused = {"response": {"error": {"message": "no", "type": "t"}, "status": status}}
    for turn in await everywhere(stub, mock, refused, LAST):
        assert turn.kinds == ["user.message", "status.running", "error", "status.idle"]
        assert [error.code for error in turn.errors] == [_STAYING[status]]
        assert turn.stop_reason == "error"
        assert (await next_turn(stub, turn, "And now?")).text == ANSWER


async def test_a_key_is_where_each_provider_looks_for_it_and_never_in_the_log(stub: Stub) -> None:
    right, wrong = key("let-in"), key("kept-out")
    async with aimock(right) as mock:
        for route in ROUTES:
            turn = await told(stub, mock, route, LAST, api_key=right)
            assert (turn.text, turn.stop_reason) == (ANSWER, "end_turn")
            refused = await told(stub, mock, route, LAST, api_key=wrong)
            assert [error.code for error in refused.errors] == [status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION]
            for session in (turn, refused):
                assert "KEYMARK" not in str(await log(stub, session.session_id))


async def test_its_lock_has_hashes_and_names_no_registry() -> None:
    packages = json.loads((SOURCE / "package-lock.json").read_text())["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
    assert not any("resolved" in package for package in packages.values())
