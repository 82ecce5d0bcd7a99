"""What can go wrong with a write, below the reasons that a caller is told."""


class LogConflict(Exception):
    """The session's log is not where the append expected it: a foreign writer, an append before it that failed, or a
    deletion. Whoever appended must read the log again."""


class AgentConflict(Exception):
    """The agent is not as the write expected it: it has another version by now, or is archived. Whoever asked for the
    write must look again."""
