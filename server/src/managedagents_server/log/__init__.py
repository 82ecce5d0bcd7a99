"""The event log: what is not in it has not happened.

`Log` is all that the layers above see of it; SQLite is known only here.
"""

from managedagents_server.log.backup import backup, restore
from managedagents_server.log.database import DatabaseFault
from managedagents_server.log.faults import AgentConflict, LogConflict
from managedagents_server.log.feed import Feed
from managedagents_server.log.log import Log
from managedagents_server.log.records import (
    AgentRow,
    AgentUsage,
    Append,
    EventRow,
    NewSession,
    NewVersion,
    SessionFields,
    SessionRow,
    VerbatimRow,
)

__all__ = [
    "AgentConflict",
    "AgentRow",
    "AgentUsage",
    "Append",
    "DatabaseFault",
    "EventRow",
    "Feed",
    "Log",
    "LogConflict",
    "NewSession",
    "NewVersion",
    "SessionFields",
    "SessionRow",
    "VerbatimRow",
    "backup",
    "restore",
]
