"""A whole server and a real model that works towards an outcome and judges it, too: whatever it thinks of its work, its
verdicts follow the schema, and the outcome comes to its end. See support/small_model.py."""

from pathlib import Path

import pytest

from managedagents import Client, outcome_event
from support.server import running
from support.small_model import MODEL, small_model

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


async def test_a_real_models_verdicts_are_read_and_lead_to_the_end_of_the_outcome(tmp_path: Path) -> None:
    async with (
        small_model(4096) as base_url,
        running(tmp_path / "log.db", "--allow-address", "127.0.0.1", "--limit", "retry_first=0.1") as server,
        Client.connect(server.address) as client,
    ):
        agent = await client.create(
            {
                "name": "greeter",
                "system": "You are a helpful assistant.",
                "model": {"provider_model": {"provider": "openai_compatible", "model": MODEL, "base_url": base_url}},
                "model_settings": {"temperature": 0, "seed": 1, "max_tokens": 60},
            }
        )
        session = (await client.start_session(agent.agent_id)).session_id
        result = await client.run(session, outcome_event("The answer says hello.", 2))
    verdicts = [event for event in result.events if event.HasField("outcome_evaluated")]
    assert [event.outcome_evaluated.iteration for event in verdicts] == list(range(1, len(verdicts) + 1))
    assert all(event.response.usage.output_tokens > 0 for event in verdicts)
    assert result.stop_reason == ("completed" if verdicts[-1].outcome_evaluated.met else "max_outcome_iterations")
