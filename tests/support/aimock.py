"""aimock, which other people wrote: one server that speaks for several providers, from one set of fixtures.

A fixture says what is answered to which request, in no provider's words. Here each route asks for a model of its own
name, so that what is told to one route is not told to another.
"""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from managedagents.v1 import agent_pb2
from support import node
from support.spawned import spawned

SOURCE = node.ROOT / "tests/mocks"
_INSTALLED = node.ROOT / ".cache/aimock"
_PROGRAM = _INSTALLED / "node_modules/@copilotkit/aimock/dist/aimock-cli.js"

Told = Mapping[str, Any]
"""A response as fixtures have it, beside `match` what holds for the whole fixture: `truncateAfterChunks`, `chaos`, …"""


@dataclass(frozen=True, slots=True)
class Route:
    """One of the interfaces that aimock speaks and we ask models through."""

    name: str
    provider: agent_pb2.Provider.ValueType
    base: str
    """The path of the base URL."""

    def __str__(self) -> str:
        return self.name


ROUTES = (
    Route("responses", agent_pb2.PROVIDER_OPENAI, "/v1"),
    Route("chat", agent_pb2.PROVIDER_OPENAI_COMPATIBLE, "/v1"),
    Route("ollama", agent_pb2.PROVIDER_OLLAMA, "/v1"),
    Route("anthropic", agent_pb2.PROVIDER_ANTHROPIC, ""),
    Route("gemini", agent_pb2.PROVIDER_GEMINI, ""),
)


class AIMock:
    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self.url = url
        self._http = http

    async def tell(self, route: Route, *fixtures: Told) -> None:
        """What the route's requests get, one after the other. One more than these is HTTP 404."""
        numbered = [
            {**fixture, "match": {"model": route.name, "sequenceIndex": number}}
            for number, fixture in enumerate(fixtures)
        ]
        await self._post("fixtures", {"fixtures": numbered})

    async def requests(self, route: Route) -> list[dict[str, Any]]:
        """All that came in on a route, oldest first: headers, and a body in chat completions' words."""
        reply = await self._http.get(f"{self.url}/__aimock/journal")
        assert reply.status_code == 200, reply.text
        return [request for request in reply.json() if request["body"]["model"] == route.name]

    async def forget(self) -> None:
        """Everything that was told, and everything that came in."""
        await self._post("reset", {})

    async def _post(self, what: str, body: object) -> None:
        reply = await self._http.post(f"{self.url}/__aimock/{what}", json=body)
        assert reply.status_code == 200, reply.text


@asynccontextmanager
async def aimock(*keys: str) -> AsyncIterator[AIMock]:
    """`keys`: those that are let in; none: everybody is."""
    program = await asyncio.to_thread(node.installed, SOURCE, _INSTALLED)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "aimock.json"
        auth = {"auth": {"apiKeys": keys}} if keys else {}
        config.write_text(json.dumps({"llm": {"logLevel": "silent", "chunkSize": 8}, **auth}))
        command = (program, str(_PROGRAM), "--config", str(config))
        headers = {"authorization": f"Bearer {keys[0]}"} if keys else {}
        async with (
            spawned(command, "aimock server listening on") as url,
            httpx2.AsyncClient(trust_env=False, timeout=30, headers=headers) as http,
        ):
            yield AIMock(url, http)
