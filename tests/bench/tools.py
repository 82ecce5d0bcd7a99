"""What a tool costs beside what it does: a command in the sandbox beside a bare bubblewrap, and many of one answer
beside one of them."""

import asyncio
import json
import os
import tempfile
import time
from pathlib import Path

from google.protobuf import json_format

from bench.measure import Bench, Measure, in_turns, p50_of
from bench.report import Row
from bench.talk import Talk, serving
from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from managedagents_server.tools.base import Place
from managedagents_server.tools.bash import Bash
from managedagents_server.tools.sandbox import Sandbox
from managedagents_server.tools.sandbox.launching import bubblewrap
from support.calls import scripted
from support.server import Stub

_BARE = (
    *("--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    *("--tmpfs", "/", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"),
    *("--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/", "--clearenv"),
    "/usr/bin/true",
)
_SLOW = 1.0
"""Seconds that a slow tool sleeps."""


async def tools(bench: Bench) -> list[Row]:
    # In a folder that everybody may enter: a server that runs as root gives each session a user of its own.
    with tempfile.TemporaryDirectory(prefix="managedagents-bench-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101 - one call, before anything is measured
        place = Place(Path(folder) / "workspace", owner=1)
        bash, bare = await in_turns(bench.size(10, 1), p50_of(20, _bash(place)), p50_of(20, _bare()))
    async with serving(bench.folder / "tools.db") as (_, channel):
        stub = Stub(channel)
        eight, one = await in_turns(bench.size(3, 1), await _turn(stub, 8), await _turn(stub, 1))
    return [
        Row("tools", "bash `true`, p50", "ms", bash * 1e3, bare * 1e3, "bare bwrap true", at_most=3),
        Row("tools", f"eight that sleep {_SLOW:g} s, of one answer", "s", eight, one, "one", at_most=1.5),
    ]


def _bash(place: Place) -> Measure:
    tool = Bash(Sandbox())

    async def seconds() -> float:
        begin = time.perf_counter()
        outcome = await tool.run({"command": "true"}, place)
        assert not outcome.is_error
        return time.perf_counter() - begin

    return seconds


def _bare() -> Measure:
    program = bubblewrap()
    assert program is not None

    async def seconds() -> float:
        begin = time.perf_counter()
        process = await asyncio.create_subprocess_exec(program, *_BARE)
        assert await process.wait() == 0
        return time.perf_counter() - begin

    return seconds


async def _turn(stub: Stub, calls: int) -> Measure:
    """A turn whose model calls so many slow tools at once."""
    command = {"name": "bash", "input_json": json.dumps({"command": f"sleep {_SLOW}"})}
    definition: agent_pb2.AgentDefinition = scripted({"tool_calls": [command] * calls}, {"text": "done"})
    json_format.ParseDict({"bash": {}}, definition.tools.add())
    agent = await stub.Create(pb.CreateRequest(definition=definition))

    async def seconds() -> float:
        session = await stub.StartSession(pb.StartSessionRequest(agent_id=agent.agent_id))
        talk = await Talk.follow(stub, session.session_id)
        taken = await talk.turn()
        talk.leave()
        return taken

    return seconds
