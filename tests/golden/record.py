"""Holds the conversation with a real server, whose providers are fakes, and takes its log down."""

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from golden import talk
from golden.stored import ORIGIN, Stored
from managedagents.v1 import agent_pb2
from managedagents_server.providers.base import Verbatim
from support.calls import Event
from support.driven import drive
from support.server import Stub, running
from support.wires import COMPATIBLE, OLLAMA, Vendor, Wire

_TIMES = {"create_time": "2026-01-01T00:00:00Z", "deadline": "2026-01-01T00:05:00Z", "model_time": "1s"}


async def record(vendor: Vendor, folder: Path) -> Stored:
    """In `folder` the server gets its files. The model's name stays; whose it is changes with the operator's table."""
    other = OLLAMA if vendor is COMPATIBLE else COMPATIBLE
    definition = agent_pb2.AgentDefinition(model=agent_pb2.Model(name=vendor.model))
    definition.MergeFrom(talk.DEFINITION)
    table = folder / "providers.toml"
    db = folder / "golden.db"
    async with Wire(other, *talk.BEFORE) as before, Wire(vendor, *talk.AFTER) as after:
        _write(table, vendor.model, before)
        async with running(db, "--providers", str(table)) as server, server.channel() as channel:
            session = await drive(Stub(channel), definition)

            async def change_provider() -> None:
                _write(table, vendor.model, after)

            events = await talk.hold(session, change_provider)
            await after.wait_requests(len(talk.AFTER))
        with closing(sqlite3.connect(db)) as reading:
            rows = reading.execute("SELECT seq, provider, blob FROM verbatim ORDER BY seq").fetchall()
        verbatims = {seq: Verbatim(provider, _blob(seq, blob, before, after)) for seq, provider, blob in rows}
    stored = Stored(vendor, vendor.model, talk.DEFINITION, [_event(event) for event in events], verbatims, [])
    return replace(stored, bodies=await stored.ask())


def _write(table: Path, model: str, wire: Wire) -> None:
    table.write_text(f'[[models]]\nprefix = "{model}"\nprovider = "{wire.vendor}"\nbase_url = "{wire.base_url}"\n')


def _event(event: Event) -> Event:
    """With ids and times that are the same in every run."""

    def timed(members: dict[str, Any]) -> dict[str, Any]:
        return members | {name: time for name, time in _TIMES.items() if name in members}

    text = json_format.MessageToJson(event, preserving_proto_field_name=True)
    text = re.sub(r"(use_\d+_)[0-9a-z]{5}", r"\g<1>00000", text)
    return json_format.ParseDict(json.loads(text, object_hook=timed), Event())


def _blob(seq: int, blob: bytes, *wires: Wire) -> bytes:
    """The same for what the provider library wrote. It makes ids where the provider gives none."""
    text = re.sub(r'"timestamp":"[^"]*"', f'"timestamp":"{_TIMES["create_time"]}"', blob.decode())
    made = dict.fromkeys(re.findall(r"pyd_ai_[0-9a-f]{32}", text))
    for number, made_id in enumerate(made, start=1):
        text = text.replace(made_id, f"pyd_ai_{seq:016x}{number:016x}")
    for wire in wires:
        text = text.replace(wire.base_url.removesuffix(wire.vendor.path), ORIGIN)
    return text.encode()
