"""What a log line is about. Set where a call or a session's own work begins; a task inherits it from its maker."""

from contextvars import ContextVar

session_id: ContextVar[str] = ContextVar("session_id", default="")
"""The session in hand. Empty: none."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The request id of the call in hand. Empty: none."""
