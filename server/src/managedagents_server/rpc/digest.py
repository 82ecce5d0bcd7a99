"""The canonical hash of a request: two requests of one id are the same request when their hashes are equal."""

import hashlib
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from managedagents_server.rpc.shape import can_hold

# Not hashed: a hash is kept for a day, and one of a short secret can be tried out.
_SECRETS = frozenset({"api_key"})


def hasher(method: str, descriptor: Descriptor) -> Callable[[Message], bytes]:
    """Makes the function that hashes the requests of one method, without their request id and their secrets."""
    holders = can_hold(descriptor, _is_secret)
    prefix = method.encode() + b"\0"

    def digest(request: Message) -> bytes:
        bare = type(request)()
        bare.CopyFrom(request)
        bare.ClearField("request_id")
        _clear_secrets(bare, holders)
        return hashlib.sha256(prefix + bare.SerializeToString(deterministic=True)).digest()

    return digest


def _is_secret(field: FieldDescriptor) -> bool:
    return field.name in _SECRETS


def _clear_secrets(message: Message, holders: frozenset[str]) -> None:
    if message.DESCRIPTOR.full_name not in holders:
        return
    for field, value in message.ListFields():
        if _is_secret(field):
            message.ClearField(field.name)
        elif field.message_type is not None and field.message_type.full_name in holders:
            for child in _children(field, value):
                _clear_secrets(child, holders)


def _children(field: FieldDescriptor, value: Any) -> list[Message]:
    return list(value) if field.is_repeated else [value]
