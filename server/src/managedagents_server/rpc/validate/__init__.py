"""What a request must be, as far as the request alone tells.

Every function takes the request and the limits, and raises InvalidRequest with all that is wrong, or LimitExceeded.
"""

from managedagents_server.rpc.validate.requests import (
    archive_agent,
    change_session,
    create,
    get_agent,
    list_agents,
    list_events,
    list_sessions,
    on_session,
    send_event,
    start_session,
    stream_events,
    update_agent,
)

__all__ = [
    "archive_agent",
    "change_session",
    "create",
    "get_agent",
    "list_agents",
    "list_events",
    "list_sessions",
    "on_session",
    "send_event",
    "start_session",
    "stream_events",
    "update_agent",
]
