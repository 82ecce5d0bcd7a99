"""A whole server and a real model, which is asked through every interface that the model's server speaks: OpenAI's chat
completions and Responses, and Anthropic's Messages. See support/small_model.py."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from managedagents.v1 import agent_pb2, status_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import start, until
from support.mocked import WEATHER, Turn, agent, first_turn, next_turn
from support.server import Stub, running
from support.small_model import CONTEXT_TOKENS, MODEL, small_model

pytestmark = [pytest.mark.long, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

LIMITS = ("retry_first=0.1", "provider_attempts=3", "breaker_failures=1000")


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    provider: agent_pb2.Provider.ValueType
    base: str
    """The path of the base URL."""

    def __str__(self) -> str:
        return self.name


CHAT = Interface("chat", agent_pb2.PROVIDER_OPENAI_COMPATIBLE, "/v1")
OLLAMA = Interface("ollama", agent_pb2.PROVIDER_OLLAMA, "/v1")
RESPONSES = Interface("responses", agent_pb2.PROVIDER_OPENAI, "/v1")
MESSAGES = Interface("messages", agent_pb2.PROVIDER_ANTHROPIC, "")
INTERFACES = [CHAT, OLLAMA, RESPONSES, MESSAGES]


@dataclass(frozen=True, slots=True)
class Served:
    stub: Stub
    url: str

    def agent(self, interface: Interface, *, max_tokens: int = 80, tools: bool = True) -> agent_pb2.AgentDefinition:
        settings = agent_pb2.ModelSettings(temperature=0, max_tokens=max_tokens)
        url = self.url + interface.base
        return agent(interface.provider, url, MODEL, tools=[WEATHER] if tools else [], settings=settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    db = tmp_path_factory.mktemp("small") / "log.db"
    limits = [flag for limit in LIMITS for flag in ("--limit", limit)]
    async with (
        small_model() as base_url,
        running(db, "--allow-address", "127.0.0.0/8", *limits) as server,
        server.channel() as channel,
    ):
        yield Served(Stub(channel), base_url.removesuffix("/v1"))


each_interface = pytest.mark.parametrize("interface", INTERFACES, ids=str)


def check_called(turn: Turn, city: str) -> None:
    """It asked for the weather there, and told it."""
    assert turn.kinds == [
        *("user.message", "status.running", "agent.custom_tool_use", "user.custom_tool_result"),
        *("agent.message", "status.idle"),
    ]
    assert turn.inputs == [("get_weather", f'{{"city": "{city}"}}')]
    assert city in turn.text
    assert "21 degrees" in turn.text
    assert turn.stop_reason == "end_turn"


async def test_the_model_says_and_does_the_same_through_every_interface(served: Served) -> None:
    hellos, weathers = [], []
    for interface in INTERFACES:
        hello = await first_turn(served.stub, served.agent(interface), "Say hello in one short sentence.")
        assert "hello" in hello.text.lower()
        weather = await first_turn(served.stub, served.agent(interface), "What is the weather in Paris?")
        check_called(weather, "Paris")
        hellos.append((hello.kinds, hello.text, hello.stop_reason, hello.usage))
        weathers.append((weather.text, weather.usage))
    # To the word and to the token: it reads the same prompt, whoever wrote it.
    assert hellos == [hellos[0]] * len(INTERFACES)
    assert weathers == [weathers[0]] * len(INTERFACES)


# By Responses the model's server does not take back what the model said before, as OpenAI's own does.
@pytest.mark.parametrize("interface", [CHAT, OLLAMA, MESSAGES], ids=str)
async def test_it_calls_a_tool_in_one_turn_after_the_other(served: Served, interface: Interface) -> None:
    turn = await first_turn(served.stub, served.agent(interface), "Say hello in one short sentence.")
    for city in ("Paris", "Rome"):
        turn = await next_turn(served.stub, turn, f"What is the weather in {city}?")
        check_called(turn, city)


@each_interface
async def test_its_words_are_told_as_they_come(served: Served, interface: Interface) -> None:
    session_id = await start(served.stub, served.agent(interface), "Say hello in one short sentence.")
    pieces = []
    text = ""
    request = pb.StreamEventsRequest(session_id=session_id, from_seq=0, include_deltas=True)
    async for reply in served.stub.StreamEvents(request):
        if reply.HasField("delta"):
            pieces.append(reply.delta.text)
        for event in reply.batch.events:
            text += "".join(content.text.text for content in event.agent_message.content)
        if any(event.HasField("status_idle") for event in reply.batch.events):
            break
    assert "".join(pieces) == text
    assert len(pieces) > 1


@each_interface
async def test_max_tokens_cuts_the_answer_off(served: Served, interface: Interface) -> None:
    definition = served.agent(interface, max_tokens=20, tools=False)
    turn = await first_turn(served.stub, definition, "Write a long story about the sea.")
    assert turn.usage[1] == 20
    # By this interface the model's server calls such an answer complete.
    assert turn.stop_reason == ("end_turn" if interface is RESPONSES else "max_tokens")


@each_interface
async def test_a_prompt_beyond_the_window_is_too_long_and_the_session_goes_on(
    served: Served, interface: Interface
) -> None:
    turn = await first_turn(served.stub, served.agent(interface), "hello " * CONTEXT_TOKENS)
    assert turn.kinds == ["user.message", "status.running", "error", "status.idle"]
    assert turn.errors[0].code == status_event_pb2.ERROR_CODE_MODEL_CONTEXT_TOO_LONG
    after = await next_turn(served.stub, turn, "Say hello in one short sentence.")
    assert (after.stop_reason, after.causes) == ("end_turn", [])


@each_interface
async def test_an_interrupt_frees_the_only_slot(served: Served, interface: Interface) -> None:
    endless = served.agent(interface, max_tokens=1800, tools=False)
    session_id = await start(served.stub, endless, "Write a long story about the sea.")
    request = pb.StreamEventsRequest(session_id=session_id, from_seq=0, include_deltas=True)
    async for reply in served.stub.StreamEvents(request):
        if reply.HasField("delta"):
            break
    await served.stub.Interrupt(pb.InterruptRequest(session_id=session_id))
    idle = (await until(served.stub, session_id, "status.idle"))[-1]
    assert idle.status_idle.stop_reason.HasField("interrupted")
    freed = time.monotonic()
    turn = await first_turn(served.stub, served.agent(interface, max_tokens=16, tools=False), "Hi.")
    assert turn.kinds == ["user.message", "status.running", "agent.message", "status.idle"]
    # The story would have taken half a minute more; there is one slot, and it answers one request at a time.
    assert time.monotonic() - freed < 10


async def test_an_answer_without_its_beginning_is_tried_again_and_the_session_outlives_it(served: Served) -> None:
    # An answer that begins with half a character comes without message_start from this server, each time anew.
    turn = await first_turn(served.stub, served.agent(MESSAGES, tools=False), "Send me a happy emoji.")
    assert turn.kinds == [
        *["user.message", "status.running"],
        *["status.rescheduling", "status.running"] * 2,
        *["error", "status.idle"],
    ]
    broken = status_event_pb2.ERROR_CODE_MODEL_BROKEN_STREAM
    assert (turn.causes, [error.code for error in turn.errors]) == ([broken] * 2, [broken])
    assert turn.stop_reason == "retries_exhausted"
    after = await next_turn(served.stub, turn, "Write a long story about the sea.")
    assert after.stop_reason == "max_tokens"
    # By another interface the same answer is whole.
    whole = await first_turn(served.stub, served.agent(CHAT, tools=False), "Send me a happy emoji.")
    assert not whole.text.isascii()
