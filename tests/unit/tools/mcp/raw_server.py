"""An MCP server by hand, on stdin and stdout: it starts at once, and can do what no library lets one do.

python raw_server.py [silent | dead | babble | refuse | mute | modern] [--pages N]
"""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MODERN = "2026-07-28"
_NAMES = (
    "echo",
    "hang",
    "die",
    "garbage",
    "stray",
    "huge",
    "endless",
    "steps",
    "change",
    "pid",
    "env",
    "told",
    "child",
    "fail",
    "once",
    "once-hang",
    "again",
    "again-hang",
    "city",
)
_HINTS: dict[str, Any] = {"annotations": {"idempotentHint": True}}
_MORE: dict[str, dict[str, Any]] = {
    "again": _HINTS,
    "again-hang": _HINTS,
    "city": {
        "inputSchema": {
            "type": "object",
            "properties": {"city": {"type": "string", "pattern": "^(a+)+$"}},
            "required": ["city"],
        }
    },
}

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=")

told: list[str] = []
"""The methods of all messages that came."""
listened: Any = None


def say(**message: Any) -> None:
    line(json.dumps({"jsonrpc": "2.0", **message}))


def line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def result(request: dict[str, Any], **content: Any) -> None:
    if mode == "modern":
        content = {"resultType": "complete", **content}
    say(id=request["id"], result=content)


def text(request: dict[str, Any], words: str, **more: Any) -> None:
    result(request, content=[{"type": "text", "text": words}], **more)


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "description": f"does {name}", "inputSchema": {"type": "object"}, **_MORE.get(name, {})}


def call(request: dict[str, Any]) -> None:
    global names
    name, given = request["params"]["name"], request["params"].get("arguments") or {}
    match name:
        case "echo":
            result(request, **given)
        case "hang":
            token = request["params"].get("_meta", {}).get("progressToken")
            say(method="notifications/progress", params={"progressToken": token, "progress": 0})
        case "die":
            sys.stderr.write("the disk is full\n")
            sys.stderr.flush()
            os._exit(3)
        case "garbage":
            line('{"jsonrpc": "2.0", "id": ')
        case "stray":
            line("DEBUG about to answer")
            text(request, "answered")
        case "huge":
            text(request, "x" * given["bytes"])
        case "endless":
            sys.stdout.write("{" + "x" * given["bytes"])
            sys.stdout.flush()
        case "steps":
            token = request["params"]["_meta"]["progressToken"]
            for step in (1, 2, 3):
                say(
                    method="notifications/progress",
                    params={"progressToken": token, "progress": step, "total": 3, "message": f"step {step}"},
                )
            text(request, "done")
        case "change":
            names = ("echo", "change", given["to"])
            meta = {"_meta": {"io.modelcontextprotocol/subscriptionId": listened}} if mode == "modern" else {}
            say(method="notifications/tools/list_changed", params=meta)
            text(request, "changed")
        case "pid":
            text(request, str(os.getpid()))
        case "env":
            text(request, json.dumps(dict(os.environ)))
        case "told":
            text(request, json.dumps(told))
        case "child":
            child = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)
            text(request, str(child.pid))
        case "once" | "again" | "once-hang" | "again-hang":
            with Path(os.environ.get("RUNS", "runs")).open("a") as runs:
                runs.write("ran\n")
            if not name.endswith("hang"):
                text(request, "done", structuredContent={"runs": 1})
        case "city":
            text(request, given["city"])
        case "fail":
            say(id=request["id"], error={"code": -32000, "message": f"it failed with {os.environ.get('TOKEN')}"})
        case _:
            say(id=request["id"], error={"code": -32602, "message": f"no tool {name}"})


def listing(request: dict[str, Any]) -> None:
    more: dict[str, Any] = {"ttlMs": 0, "cacheScope": "private"} if mode == "modern" else {}
    if pages == 0:
        result(request, tools=[tool(name) for name in names], **more)
        return
    page = int((request.get("params") or {}).get("cursor", "0"))
    if page + 1 < pages:
        more["nextCursor"] = str(page + 1)
    result(request, tools=[tool(f"page{page}-{number}") for number in range(10)], **more)


def answer(request: dict[str, Any]) -> None:
    global listened
    capabilities = {"tools": {"listChanged": True}}
    match request["method"]:
        case "initialize" if mode == "silent":
            return
        case "initialize" if mode == "babble":
            for _ in range(2000):
                line("Welcome to the server")
        case "initialize" if mode == "refuse":
            say(id=request["id"], error={"code": -32600, "message": "not today"})
        case "initialize" if mode == "modern":
            say(
                id=request["id"],
                error={"code": -32022, "message": "too old", "data": {"supported": [MODERN], "requested": "2025"}},
            )
        case "initialize":
            version = request["params"]["protocolVersion"]
            info = {"name": "raw", "version": "1"}
            result(request, protocolVersion=version, capabilities=capabilities, serverInfo=info)
        case "server/discover" if mode == "modern":
            result(request, supportedVersions=[MODERN], capabilities=capabilities, ttlMs=0, cacheScope="private")
        case "subscriptions/listen" if mode == "modern":
            listened = request["id"]
            say(
                method="notifications/subscriptions/acknowledged",
                params={
                    "_meta": {"io.modelcontextprotocol/subscriptionId": listened},
                    "notifications": {"toolsListChanged": True},
                },
            )
        case "ping":
            result(request)
        case "tools/list" if mode == "mute":
            return
        case "tools/list":
            listing(request)
        case "tools/call":
            call(request)
        case _:
            say(id=request["id"], error={"code": -32601, "message": "no such method"})


if __name__ == "__main__":
    arguments = sys.argv[1:]
    pages = int(arguments[arguments.index("--pages") + 1]) if "--pages" in arguments else 0
    mode = arguments[0] if arguments and not arguments[0].startswith("--") else ""
    names: tuple[str, ...] = _NAMES
    if mode == "dead":
        sys.exit("ModuleNotFoundError: no module named weather")
    for incoming in sys.stdin:
        message = json.loads(incoming)
        told.append(message.get("method", ""))
        if "id" in message and "method" in message:
            answer(message)
