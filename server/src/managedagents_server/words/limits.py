"""Every bound and every time of the service, with its default. docs and flags are made from this table."""

from dataclasses import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    event_bytes: int = field(default=2 * MIB, metadata={"doc": "one event"})
    response_bytes: int = field(default=3 * MIB, metadata={"doc": "all that one model response produces"})
    batch_bytes: int = field(default=256 * 1024, metadata={"doc": "what a batch of a stream aims at"})
    request_bytes: int = field(default=4 * MIB, metadata={"doc": "one request"})
    definition_bytes: int = field(default=256 * 1024, metadata={"doc": "one agent definition"})
    tools: int = field(default=128, metadata={"doc": "tools of an agent"})
    mcp_servers: int = field(default=20, metadata={"doc": "MCP servers of an agent"})
    skills: int = field(default=20, metadata={"doc": "skills of an agent"})
    queued_messages: int = field(default=64, metadata={"doc": "messages queued in a session"})
    session_events: int = field(default=1_000_000, metadata={"doc": "events of a session's log"})
    session_bytes: int = field(default=1024 * MIB, metadata={"doc": "bytes of a session's log"})
    reserve_events: int = field(default=1_000, metadata={"doc": "of these, kept for answers, interrupts and statuses"})
    reserve_bytes: int = field(
        default=16 * MIB, metadata={"doc": "of these, kept for answers, interrupts and statuses"}
    )
    max_concurrent_turns: int = field(default=256, metadata={"doc": "turns at work at once"})
    streams: int = field(default=10_000, metadata={"doc": "open streams"})
    tool_rounds: int = field(default=64, metadata={"doc": "model answers with tool uses in one turn"})
    custom_tool_timeout: float = field(
        default=300.0, metadata={"doc": "wait for a client's answer before requires_action"}
    )
    deadline_grace: float = field(default=30.0, metadata={"doc": "time after the start in which no deadline fires"})
    provider_attempts: int = field(default=6, metadata={"doc": "attempts at one model request"})
    retry_first: float = field(default=10.0, metadata={"doc": "delay before the second attempt; doubles from there"})
    retry_most: float = field(default=150.0, metadata={"doc": "longest delay between attempts, Retry-After included"})
    model_first_token: float = field(default=300.0, metadata={"doc": "wait for the first token of a model's answer"})
    model_stall: float = field(default=180.0, metadata={"doc": "silence of a model in the middle of its answer"})
    endpoint_turns: int = field(
        default=192, metadata={"doc": "turns at work at once on one provider's address, and never more than 3/4 of all"}
    )
    breaker_failures: int = field(
        default=5, metadata={"doc": "failures in a row after which a provider's address is left alone"}
    )
    breaker_seconds: float = field(default=30.0, metadata={"doc": "for how long, until one request tries it again"})
    tool_wall_time: float = field(
        default=120.0, metadata={"doc": "one call of a built-in tool; an environment may ask for less"}
    )
    tool_cpu_time: float = field(default=60.0, metadata={"doc": "processor time of one such call; likewise"})
    tool_memory_bytes: int = field(default=1024 * MIB, metadata={"doc": "memory of one such call; likewise"})
    tool_processes: int = field(default=64, metadata={"doc": "processes at once of one such call; likewise"})
    tool_file_bytes: int = field(default=256 * MIB, metadata={"doc": "one file that tools write; likewise"})
    workspace_bytes: int = field(default=1024 * MIB, metadata={"doc": "a session's workspace; likewise"})
    mcp_idle: float = field(
        default=30.0, metadata={"doc": "for how long a session that does nothing keeps its connections to MCP servers"}
    )
    heartbeat: float = field(default=10.0, metadata={"doc": "silence of a stream before a progress message"})
    request_id_hours: float = field(default=24.0, metadata={"doc": "hours that a request id is remembered"})
    drain_grace: float = field(default=10.0, metadata={"doc": "time that running turns get at SIGTERM"})
    resting_bytes: int = field(
        default=64 * MIB, metadata={"doc": "logs of sessions just come to rest that stay in memory"}
    )
