"""What a server answered to a request for a page."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    url: str
    """Where it came from: the last redirect's."""
    status: int
    reason: str
    media_type: str
    """As its header says, in small letters and without parameters. Empty: it says none."""
    charset: str | None
    """As its header says."""
    data: bytes
    whole: bool
    """False: the body is longer, or broke off."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class NotReached(Exception):
    """There is no answer. The message tells a model why, and what is wrong with the URL if something is."""
