"""Requests as JSON and as bytes, for tests that go over all methods."""

from collections.abc import Awaitable, Mapping
from typing import Any

import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import Message

from managedagents.v1 import service_pb2 as pb
from support.server import Stub

SERVICE = pb.DESCRIPTOR.services_by_name["ManagedAgentRuntime"]
UNARY = tuple(method.name for method in SERVICE.methods if not method.server_streaming)
CHANGING = tuple(method.name for method in SERVICE.methods if "request_id" in method.input_type.fields_by_name)
ON_SESSION = tuple(method.name for method in SERVICE.methods if "session_id" in method.input_type.fields_by_name)


def request(method: str, fields: Mapping[str, Any]) -> Message:
    empty: Message = getattr(pb, f"{method}Request")()
    return json_format.ParseDict(dict(fields), empty)


def call(stub: Stub, method: str, fields: Mapping[str, Any]) -> Awaitable[Any]:
    """The answer, or the first message of a stream."""
    made = getattr(stub, method)(request(method, fields))
    return anext(aiter(made)) if method == "StreamEvents" else made


def raw_call(channel: grpc.aio.Channel, method: str, payload: bytes) -> Awaitable[Any]:
    """The same with any bytes for a request; answers are bytes, too."""
    path = f"/{SERVICE.full_name}/{method}"
    # Without serializers both sides are bytes, which the stubs of grpc cannot say.
    raw: Any = channel
    if method == "StreamEvents":
        return anext(aiter(raw.unary_stream(path)(payload)))
    made: Awaitable[Any] = raw.unary_unary(path)(payload)
    return made
