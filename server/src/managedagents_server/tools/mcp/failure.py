"""Why a server has no connection, in words for the model and for people."""

from math import ceil


class McpFailure(Exception):
    """The tools of a server cannot be had now. `retry_in`: seconds until it is tried again; 0: at the next need."""

    def __init__(self, words: str, retry_in: float = 0.0) -> None:
        super().__init__(words)
        self.retry_in = retry_in


def unreachable(server: str, reason: str, retry_in: float) -> McpFailure:
    when = f"It is tried again in {ceil(retry_in)} s at the earliest" if retry_in > 0 else "A call tries it again"
    return McpFailure(f"The MCP server {server} cannot be used: {reason}. {when}; go on without it.", retry_in)
