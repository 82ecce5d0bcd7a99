"""A client of the managed agents service.

    async with Client.connect("127.0.0.1:50051") as client:
        ...

The messages and the bare gRPC stubs are in `managedagents.v1`.
"""

from managedagents._channel import TLS
from managedagents._client import Client
from managedagents._definition import (
    Definition,
    Environment,
    Overrides,
    load_definition,
    parse_definition,
    parse_environment,
    parse_overrides,
)
from managedagents._errors import (
    AgentArchivedError,
    DeadlineExceededError,
    DefinitionError,
    EventUnreadableError,
    FieldViolation,
    FromSeqBeyondHeadError,
    InvalidRequestError,
    LimitExceededError,
    LogReplacedError,
    ManagedAgentsError,
    NoAnswerError,
    NotFoundError,
    NotImplementedByServerError,
    NotThisServiceError,
    OutcomeActiveError,
    PromiseBrokenError,
    ProviderUnusableError,
    RequestIdReusedError,
    ServerFaultError,
    SessionTerminalError,
    ToolUnusableError,
    ToolUseClosedError,
    UnauthenticatedError,
    UnavailableError,
    VersionConflictError,
)
from managedagents._events import Message, kind_of, outcome_event, stop_reason_of, text, text_of, user_event
from managedagents._follow import Follow, FollowItem
from managedagents._run import Confirm, OnEvent, RunResult
from managedagents._tools import Handler, Tools, current_tool_use_id
from managedagents._uses import ToolUse, confirmation_event, result_event, use_of, use_that_waits

__all__ = [
    "TLS",
    "AgentArchivedError",
    "Client",
    "Confirm",
    "DeadlineExceededError",
    "Definition",
    "DefinitionError",
    "Environment",
    "EventUnreadableError",
    "FieldViolation",
    "Follow",
    "FollowItem",
    "FromSeqBeyondHeadError",
    "Handler",
    "InvalidRequestError",
    "LimitExceededError",
    "LogReplacedError",
    "ManagedAgentsError",
    "Message",
    "NoAnswerError",
    "NotFoundError",
    "NotImplementedByServerError",
    "NotThisServiceError",
    "OnEvent",
    "OutcomeActiveError",
    "Overrides",
    "PromiseBrokenError",
    "ProviderUnusableError",
    "RequestIdReusedError",
    "RunResult",
    "ServerFaultError",
    "SessionTerminalError",
    "ToolUnusableError",
    "ToolUse",
    "ToolUseClosedError",
    "Tools",
    "UnauthenticatedError",
    "UnavailableError",
    "VersionConflictError",
    "confirmation_event",
    "current_tool_use_id",
    "kind_of",
    "load_definition",
    "outcome_event",
    "parse_definition",
    "parse_environment",
    "parse_overrides",
    "result_event",
    "stop_reason_of",
    "text",
    "text_of",
    "use_of",
    "use_that_waits",
    "user_event",
]
