"""An MCP server by hand at a URL, in this process: it can do what no library lets one do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

_HELD = 3600.0


class RawHttp:
    def __init__(self) -> None:
        self.url = ""
        self.told: list[str] = []
        """The methods of all messages that came, and of HTTP where there is none."""
        self.headers: list[str] = []
        """The authorization of each."""
        self.refuses = 0
        """With this status, all. 0: it does not."""
        self.forgotten = 404
        """The status for a session that it does not know."""
        self._sessions = 0
        self._known: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("authorization", ""))
        if self.refuses:
            return web.Response(status=self.refuses)
        if request.method != "POST":
            self.told.append(request.method)
            return web.Response(status=405 if request.method == "GET" else 200)
        message = await request.json()
        self.told.append(message["method"])
        if message["method"] == "initialize":
            return self._opened(message)
        if request.headers["mcp-session-id"] not in self._known:
            return web.Response(status=self.forgotten)
        if "id" not in message:
            return web.Response(status=202)
        return await self._called(request, message)

    def _opened(self, message: dict[str, Any]) -> web.Response:
        self._sessions += 1
        session = f"session-{self._sessions}"
        self._known.add(session)
        about = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "raw", "version": "1"},
        }
        return web.json_response(_result(message, about), headers={"mcp-session-id": session})

    async def _called(self, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        if message["method"] == "tools/list":
            tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("any", "break", "hang")]
            return web.json_response(_result(message, {"tools": tools}))
        match message["params"]["name"] if message["method"] == "tools/call" else "":
            case "hang":
                await asyncio.sleep(_HELD)
            case "garbage":
                return web.Response(text='{"jsonrpc": ', content_type="application/json")
            case "page":
                return web.Response(text="<html>", content_type="text/html")
            case "huge":
                return web.json_response(_text(message, "x" * message["params"]["arguments"]["bytes"]))
            case "break":
                assert request.transport is not None
                request.transport.abort()
            case "forget":
                self._known.clear()
            case "events":
                return await _events(request, message)
        return web.json_response(_text(message, "answered"))


def _result(message: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _text(message: dict[str, Any], words: str) -> dict[str, Any]:
    return _result(message, {"content": [{"type": "text", "text": words}]})


async def _events(request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    token = message["params"]["_meta"]["progressToken"]
    step = {
        "jsonrpc": "2.0",
        "method": "notifications/progress",
        "params": {"progressToken": token, "progress": 1, "message": "half"},
    }
    for one in (step, _text(message, "both")):
        await response.write(f"event: message\ndata: {json.dumps(one)}\n\n".encode())
    return response


@asynccontextmanager
async def raw_http() -> AsyncIterator[RawHttp]:
    server = RawHttp()
    app = web.Application()
    app.router.add_route("*", "/mcp", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
        yield server
    finally:
        await runner.cleanup()
