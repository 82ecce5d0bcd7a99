"""Agents whose key comes inline, and a model that tells which key it was asked with."""

from typing import Any

from managedagents.v1 import agent_pb2, session_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import Event, message, until
from support.keys import key
from support.server import Stub
from support.wires.compatible import Compatible
from support.wires.told import Told
from support.wires.wire import Wire

ELSEWHERE = "https://models.example.com/v1"
FIELD = "definition.model.provider_model.api_key"
FLAGS = ("--allow-address", "127.0.0.1/32", "--limit", "retry_first=0.05", "--log-level", "debug")


def wire(*told: Told) -> Wire:
    return Wire(Compatible(), *told)


def model(base_url: str, api_key: str | None) -> agent_pb2.Model:
    """None: without a key."""
    reference = agent_pb2.ProviderModel(provider=agent_pb2.PROVIDER_OPENAI_COMPATIBLE, model="m", base_url=base_url)
    if api_key is not None:
        reference.api_key = api_key
    return agent_pb2.Model(provider_model=reference)


def definition(base_url: str, api_key: str | None = key("one"), **fields: Any) -> agent_pb2.AgentDefinition:
    return agent_pb2.AgentDefinition(name="keyed", model=model(base_url, api_key), **fields)


async def create(stub: Stub, definition: agent_pb2.AgentDefinition, request_id: str = "") -> str:
    return (await stub.Create(pb.CreateRequest(definition=definition, request_id=request_id))).agent_id


async def update(stub: Stub, agent_id: str, version: int, definition: agent_pb2.AgentDefinition) -> int:
    request = pb.UpdateAgentRequest(agent_id=agent_id, version=version, definition=definition)
    return (await stub.UpdateAgent(request)).version


async def turn(stub: Stub, agent_id: str, own: agent_pb2.Model | None = None) -> list[Event]:
    """The log of a new session after its first turn."""
    overrides = None if own is None else session_pb2.SessionOverrides(model=own)
    request = pb.StartSessionRequest(agent_id=agent_id, overrides=overrides, initial_events=[message("go")])
    session_id = (await stub.StartSession(request)).session_id
    return await until(stub, session_id, "status.idle")


def sent(wire: Wire) -> list[str]:
    """The keys that came over the wire, in order."""
    return [request.headers["authorization"].removeprefix("Bearer ") for request in wire.requests]
