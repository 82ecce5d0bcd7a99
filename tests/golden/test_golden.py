"""A golden-history test: stored conversations keep producing the same requests, whatever was upgraded since.

The logs in stored/ were written once, by real turns against fakes; golden/__main__.py says when that may be done again.
"""

import pytest

from golden.stored import Stored
from support.driven import told
from support.wires import VENDORS, Vendor


@pytest.fixture(params=VENDORS, ids=repr)
def stored(request: pytest.FixtureRequest) -> Stored:
    vendor: Vendor = request.param
    return Stored.load(vendor)


async def test_a_stored_conversation_gives_the_requests_that_it_gave(stored: Stored) -> None:
    assert await stored.ask() == stored.bodies


def test_a_stored_conversation_has_something_of_everything(stored: Stored) -> None:
    answers = [event.response.provider for event in stored.events if event.HasField("response")]
    assert answers[0] != stored.vendor.name
    assert set(answers[2:]) == {stored.vendor.name}
    uses = [event.response_id for event in stored.events if event.HasField("agent_custom_tool_use")]
    assert max(map(uses.count, uses)) == 2
    results = [event.user_custom_tool_result for event in stored.events if event.HasField("user_custom_tool_result")]
    assert {result.is_error for result in results} == {True, False}
    assert any(block.HasField("image") for result in results for block in result.content)
    assert [event.turn for event in stored.events if event.error.turn_excluded]
    kinds = [told(event) for event in stored.events]
    assert {"agent.thinking", "agent.context_compacted"} <= set(kinds)
    assert ("status.idle refusal" in kinds) == stored.vendor.refuses
    assert kinds[-1] == "status.running"
