"""What the search tool asks of a search engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Hit:
    title: str
    url: str
    snippet: str
    """Empty: none."""


class NotFound(Exception):
    """The engine gave no answer. The message tells a model why."""


class Engine(Protocol):
    async def find(self, query: str, most: int) -> Sequence[Hit]:
        """Best first; none: it knows none. Raises NotFound. Cancelling ends everything that it began."""
        ...
