"""From a request's bytes to its message. What cannot be read is refused here, with a reason, not by the transport."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from managedagents_server.rpc.shape import can_hold, is_map
from managedagents_server.rpc.wire import find_bad_text
from managedagents_server.words.errors import InvalidRequest, MalformedRequest, Violation

# Of unknown values in one request: more than that helps nobody.
_MOST_VIOLATIONS = 20


def decoder(descriptor: Descriptor) -> Callable[[bytes], Any]:
    """Makes the function that reads one type of request. It raises MalformedRequest where the bytes are no such
    message, and InvalidRequest for an enum value that this server does not know, which proto3 would let through."""
    kind = GetMessageClass(descriptor)
    holders = can_hold(descriptor, lambda field: field.enum_type is not None)

    def decode(raw: bytes) -> Message:
        try:
            request = kind.FromString(raw)
        except DecodeError:
            raise _malformed(descriptor, raw) from None
        if holders:
            unknown = tuple(islice(_unknown_enums(request, "", holders), _MOST_VIOLATIONS))
            if unknown:
                raise InvalidRequest.of(*unknown)
        return request

    return decode


def _malformed(descriptor: Descriptor, raw: bytes) -> MalformedRequest:
    path = find_bad_text(raw, descriptor)
    if path is None:
        return MalformedRequest(f"the bytes are no {descriptor.name}")
    return MalformedRequest(f"{path} is no UTF-8", violations=(Violation(path, "is no UTF-8"),))


def _unknown_enums(message: Message, prefix: str, holders: frozenset[str]) -> Iterator[Violation]:
    for field, value in message.ListFields():
        if field.enum_type is not None:
            for path, number in _items(field, value, prefix + field.name):
                if number not in field.enum_type.values_by_number:
                    yield _unknown(path, number, field.enum_type)
        elif field.message_type is None or field.message_type.full_name not in holders:
            continue
        elif is_map(field):
            yield from _unknown_in_map(field.message_type, value, prefix + field.name, holders)
        else:
            for path, child in _items(field, value, prefix + field.name):
                yield from _unknown_enums(child, path + ".", holders)


def _unknown_in_map(entry: Descriptor, entries: Any, path: str, holders: frozenset[str]) -> Iterator[Violation]:
    of = entry.fields_by_name["value"]
    for key, item in entries.items():
        if of.enum_type is None:
            yield from _unknown_enums(item, f"{path}[{key}].", holders)
        elif item not in of.enum_type.values_by_number:
            yield _unknown(f"{path}[{key}]", item, of.enum_type)


def _items(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if field.is_repeated:
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    else:
        yield path, value


def _unknown(path: str, number: int, enum: EnumDescriptor) -> Violation:
    return Violation(path, f"{number} is no {enum.name} that this server knows")
