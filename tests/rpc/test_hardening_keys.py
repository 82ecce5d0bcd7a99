"""What a provider that tells the key back in odd places, and a definition made for it, cannot do."""

import json

import pytest

from managedagents.v1 import agent_pb2, status_event_pb2
from support.keyed import create, definition, turn
from support.keys import KEYMARK
from support.server import Server, Stub
from support.wires.server import SSE, Received, Reply, WireServer

pytestmark = pytest.mark.long


class Echoes(WireServer):
    """Answers with `chunks`, in which KEY is the key that came as chat completions want it."""

    def __init__(self, *chunks: object) -> None:
        super().__init__("/v1")
        self._chunks = chunks

    def reply(self, received: Received) -> Reply:
        key = received.headers.get("authorization", "").removeprefix("Bearer ")
        steps = (b"data: %b\n\n" % json.dumps(chunk).replace("KEY", key).encode() for chunk in self._chunks)
        return Reply(tuple(steps), 200, SSE)


def choice(**fields: object) -> dict[str, object]:
    return {"model": "m", "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop", **fields}]}


COUNTS = {"prompt_tokens": "KEY", "completion_tokens": {"KEY": 1}, "total_tokens": 1}
ODD = [
    [choice(), {"choices": [], "usage": COUNTS}],
    *([{**choice(), "id": "KEY", "created": "KEY"}], [choice(), {"choices": "KEY"}]),
    *([choice(delta={"tool_calls": "KEY"})], [{"error": {"KEY": ["KEY"]}}], ["KEY"]),
]


@pytest.mark.parametrize(
    "told", [ODD[:1], pytest.param(ODD[1:], marks=pytest.mark.long)], ids=["as counts", "elsewhere"]
)
async def test_a_key_that_is_told_back_where_it_does_not_belong_is_not_quoted(
    told: list[list[object]], keyed: Server, mine: Stub
) -> None:
    for chunks in told:
        async with Echoes(*chunks) as one:
            events = await turn(mine, await create(mine, definition(one.base_url)))
            assert one.requests
        assert KEYMARK not in str(events)
    assert KEYMARK not in keyed.stderr()


@pytest.mark.parametrize("provider", [agent_pb2.PROVIDER_OPENAI_COMPATIBLE, agent_pb2.PROVIDER_GEMINI])
async def test_an_answer_that_cannot_be_logged_ends_the_turn_and_not_the_session(
    provider: agent_pb2.Provider.ValueType, keyed: Server, mine: Stub
) -> None:
    async with Echoes({"error": {"message": "\ud800", "code": 400, "status": "INVALID_ARGUMENT"}}) as one:
        given = definition(one.base_url)
        given.model.provider_model.provider = provider
        events = await turn(mine, await create(mine, given))
    assert events[-1].HasField("status_idle")
    assert "\ufffd" in events[-2].error.message
    assert events[-2].error.code != status_event_pb2.ERROR_CODE_UNRECOVERABLE
