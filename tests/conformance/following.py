"""The verb `keep_following`: a session by the client's own follow, which goes on over as many streams as it takes."""

from typing import Any

from conformance.lines import Json, Names, dump, has
from managedagents import Client, Follow, ManagedAgentsError
from support.calls import kind


class Following:
    """One follow at a time. What it tells goes to `lines`."""

    def __init__(self, lines: list[str], names: Names) -> None:
        self._lines, self._names = lines, names
        self._follow: Follow[Any] | None = None

    async def close(self) -> None:
        if self._follow is not None:
            await self._follow.aclose()
        self._follow = None

    async def go_on(self, client: Client, session_id: str, given: Json) -> None:
        """Up to an event of the kind, or to the end."""
        if self._follow is None:
            self._follow = client.follow(session_id, 0)
        follow = self._follow
        try:
            async for event in follow:
                self._lines.append(self._names.event(event))
                if kind(event) == given.get("kind") and has(self._names.payload(event), given.get("has", {})):
                    return
        except ManagedAgentsError as error:
            self._lines.append(f"keep_following {self._names.failure(error)}")
        else:
            assert follow.ended is not None, "a follow is over when the session is"
            self._lines.append(f"keep_following ended {dump(self._names.message(follow.ended))}")
        self._follow = None
