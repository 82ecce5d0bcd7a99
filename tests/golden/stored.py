"""A stored conversation, and the requests that it must give."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from google.protobuf import json_format

from managedagents.v1 import agent_pb2
from managedagents_server.providers.base import Endpoint, ModelRequest, ToolSpec, Verbatim
from managedagents_server.providers.deferred import DeferredModel, Vendors
from managedagents_server.session.conversation import rebuild
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.limits import Limits
from support.calls import Event
from support.wires import Vendor, Wire

ORIGIN = "http://provider.example.com"
"""Stands in what is stored for where the provider was: wherever it is now, its answers go back to it as they came."""

_FOLDER = Path(__file__).parent / "stored"


@dataclass(frozen=True)
class Stored:
    """Read back from two files: the log as JSON, and the bodies of the requests as they were sent, one a line."""

    vendor: Vendor
    model: str
    """Its name. The fake may have another one by now."""
    definition: agent_pb2.AgentDefinition
    events: list[Event]
    verbatims: dict[int, Verbatim]
    """As the log holds them, by the seq of the event that each stands beside."""
    bodies: list[bytes]

    @classmethod
    def load(cls, vendor: Vendor) -> Self:
        log = json.loads(_log(vendor).read_text())
        return cls(
            vendor,
            log["model"],
            json_format.ParseDict(log["definition"], agent_pb2.AgentDefinition()),
            [json_format.ParseDict(event, Event()) for event in log["events"]],
            {int(seq): Verbatim(kept["provider"], kept["blob"].encode()) for seq, kept in log["verbatims"].items()},
            _bodies(vendor).read_bytes().splitlines(),
        )

    def dump(self) -> None:
        log: dict[str, Any] = {
            "model": self.model,
            "definition": json_format.MessageToDict(self.definition, preserving_proto_field_name=True),
            "events": [json_format.MessageToDict(event, preserving_proto_field_name=True) for event in self.events],
            "verbatims": {
                seq: {"provider": kept.provider, "blob": kept.blob.decode()} for seq, kept in self.verbatims.items()
            },
        }
        _FOLDER.mkdir(exist_ok=True)
        _log(self.vendor).write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n")
        _bodies(self.vendor).write_bytes(b"".join(body + b"\n" for body in self.bodies))

    async def ask(self) -> list[bytes]:
        """What the provider is sent by the code as it is now: once for every answer of its own in the log, and for the
        one that is missing at its end."""
        vendors = Vendors(SystemClock(), Limits())
        async with Wire(self.vendor) as wire:
            model = DeferredModel(Endpoint(self.vendor.name, self.model, wire.base_url), vendors)
            for head in [*self._answers(), len(self.events)]:
                conversation = rebuild(self.events[:head], self.verbatims)
                request = ModelRequest(
                    self.definition.system,
                    conversation.items,
                    [
                        ToolSpec(
                            tool.custom.name,
                            tool.custom.description,
                            tool.custom.input_schema_json or '{"type":"object"}',
                        )
                        for tool in self.definition.tools
                    ],
                    self.definition.model_settings,
                    finished=0,
                )
                await model.ask(request, lambda _: None)
        await vendors.close()
        return [received.body for received in wire.requests]

    def _answers(self) -> list[int]:
        """How many events were there before each."""
        return [
            event.seq - 1
            for event in self.events
            if event.response.provider == self.vendor.name and not event.HasField("agent_context_compacted")
        ]


def _log(vendor: Vendor) -> Path:
    return _FOLDER / f"{vendor}.json"


def _bodies(vendor: Vendor) -> Path:
    return _FOLDER / f"{vendor}.requests"
