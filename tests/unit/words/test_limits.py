"""Every bound has a default that holds and a sentence that says what it bounds."""

from dataclasses import FrozenInstanceError, fields

import pytest

from managedagents_server.words.limits import Limits

MIB = 1024 * 1024

CONTRACT = {
    "event_bytes": 2 * MIB,
    "response_bytes": 3 * MIB,
    "batch_bytes": 256 * 1024,
    "request_bytes": 4 * MIB,
    "queued_messages": 64,
    "definition_bytes": 256 * 1024,
    "tools": 128,
    "mcp_servers": 20,
    "skills": 20,
    "session_events": 1_000_000,
    "session_bytes": 1024 * MIB,
    "max_concurrent_turns": 256,
    "streams": 10_000,
    "tool_rounds": 64,
    "custom_tool_timeout": 300.0,
    "provider_attempts": 6,
    "deadline_grace": 30.0,
    "heartbeat": 10.0,
    "request_id_hours": 24.0,
}


@pytest.mark.parametrize(("name", "value"), CONTRACT.items())
def test_a_default_is_what_callers_are_told(name: str, value: float) -> None:
    assert getattr(Limits(), name) == value


def test_the_attempts_at_a_model_take_about_five_minutes() -> None:
    limits = Limits()
    delays = [min(limits.retry_most, limits.retry_first * 2.0**n) for n in range(limits.provider_attempts - 1)]
    assert 240 <= sum(delays) <= 360


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_a_limit_says_what_it_bounds_and_is_fixed_at_the_start(name: str) -> None:
    (field,) = (field for field in fields(Limits) if field.name == name)
    assert field.metadata["doc"]
    with pytest.raises(FrozenInstanceError):
        setattr(Limits(), name, 1)


def test_the_reserves_leave_room_for_what_they_are_reserved_from() -> None:
    limits = Limits()
    assert limits.reserve_events < limits.session_events
    assert limits.response_bytes < limits.reserve_bytes < limits.session_bytes
