"""llmock, which other people wrote: a server that fails the way OpenAI, Anthropic and Gemini fail, and that judges the
client by what it did about it. Here it runs in a process of its own and is told over HTTP what to do next."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from managedagents.v1 import agent_pb2
from support.spawned import spawned

Behavior = Mapping[str, Any]
"""What one of the next requests meets, as llmock's control interface takes it; `times`: how many of them, None: all."""


@dataclass(frozen=True, slots=True)
class Route:
    """One of the interfaces that llmock speaks and we ask models through."""

    name: str
    provider: agent_pb2.Provider.ValueType
    base: str
    """The path of the base URL."""
    path: str
    """The path of its requests, as llmock's `match` takes it."""

    def __str__(self) -> str:
        return self.name


ROUTES = (
    Route("responses", agent_pb2.PROVIDER_OPENAI, "/v1", "/v1/responses"),
    Route("chat", agent_pb2.PROVIDER_OPENAI_COMPATIBLE, "/v1", "/v1/chat/completions"),
    Route("anthropic", agent_pb2.PROVIDER_ANTHROPIC, "/anthropic", "/anthropic/*"),
    Route("gemini", agent_pb2.PROVIDER_GEMINI, "/gemini", "/gemini/*"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the client coped, in llmock's opinion."""

    findings: tuple[str, ...]
    """The names of what it did wrong, errors and warnings alike. Empty: nothing."""
    errors: tuple[str, ...]
    """Those that are more than warnings."""
    attempts: int
    """Requests that came in, and were answered or left by now."""
    faults: int
    """Of these, those that met a fault."""
    report: str
    """For people."""


class LLMock:
    def __init__(self, url: str, http: httpx2.AsyncClient) -> None:
        self.url = url
        self._http = http

    async def next(self, *behaviors: Behavior) -> None:
        """Queues them behind those that still wait. Of each type a request meets at most one."""
        reply = await self._http.post(f"{self.url}/_llmock/scenario", json={"behaviors": behaviors})
        assert reply.status_code == 201, reply.text

    async def verdict(self) -> Verdict:
        told = await self._get("/_llmock/verdict")
        report = (await self._http.get(f"{self.url}/_llmock/verdict", params={"format": "text"})).text
        findings = tuple(finding["code"] for finding in told["findings"])
        errors = tuple(finding["code"] for finding in told["findings"] if finding["severity"] == "error")
        return Verdict(findings, errors, told["attempts"], told["faults_injected"], report)

    async def requests(self) -> list[dict[str, Any]]:
        """All that came in, oldest first, with what became of them."""
        requests: list[dict[str, Any]] = (await self._get("/_llmock/requests"))["requests"]
        return requests

    async def forget(self) -> None:
        """Everything: what came in, what is queued, what was used of a quota."""
        reply = await self._http.post(f"{self.url}/_llmock/reset")
        assert reply.status_code == 200, reply.text

    async def _get(self, path: str) -> dict[str, Any]:
        reply = await self._http.get(self.url + path)
        assert reply.status_code == 200, reply.text
        told: dict[str, Any] = reply.json()
        return told


@asynccontextmanager
async def llmock(*flags: str) -> AsyncIterator[LLMock]:
    """Flags are those of `llmock serve`."""
    program = str(Path(sys.executable).with_name("llmock"))
    async with (
        spawned((program, "serve", "--port", "0", *flags), "INFO:     Uvicorn running on") as url,
        httpx2.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        yield LLMock(url, http)
