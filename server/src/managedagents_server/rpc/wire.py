"""Finds the string that is no UTF-8 in bytes that could not be read: the parser does not say which it was."""

from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from managedagents_server.rpc.shape import is_map

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Deeper than any message of ours, and more fields than one that is not made to keep the server busy.
_MOST_DEPTH = 32
_MOST_FIELDS = 10_000


class _GaveUp(Exception):
    """The bytes are no protobuf, or too many to look at."""


def find_bad_text(raw: bytes, descriptor: Descriptor) -> str | None:
    """The path of the first such string. None: there is none, or the bytes are broken before it."""
    try:
        return _Walk().find(memoryview(raw), descriptor, "", 0)
    except _GaveUp:
        return None


class _Walk:
    def __init__(self) -> None:
        self._fields = 0

    def find(self, raw: memoryview, descriptor: Descriptor, prefix: str, depth: int) -> str | None:
        if depth > _MOST_DEPTH:
            raise _GaveUp
        counts: dict[int, int] = {}
        for number, value in self._split(raw):
            field: FieldDescriptor | None = descriptor.fields_by_number.get(number)
            if field is None or value is None:
                continue
            index = counts.get(number, 0)
            counts[number] = index + 1
            found = self._look(field, value, prefix + field.name, index, depth)
            if found is not None:
                return found
        return None

    def _look(self, field: FieldDescriptor, value: memoryview, path: str, index: int, depth: int) -> str | None:
        if field.type == FieldDescriptor.TYPE_STRING:
            return None if _is_text(value) else _numbered(field, path, index)
        if field.message_type is None:
            return None
        if is_map(field):
            return self._look_in_entry(field.message_type, value, path, depth)
        return self.find(value, field.message_type, _numbered(field, path, index) + ".", depth + 1)

    def _look_in_entry(self, entry: Descriptor, raw: memoryview, path: str, depth: int) -> str | None:
        key = ""
        for number, value in self._split(raw):
            field: FieldDescriptor | None = entry.fields_by_number.get(number)
            if field is None or value is None:
                continue
            if field.name == "key":
                if not _is_text(value):
                    return path
                key = bytes(value).decode()
            elif self._look(field, value, field.name, 0, depth) is not None:
                return f"{path}[{key}]"
        return None

    def _split(self, raw: memoryview) -> Iterator[tuple[int, memoryview | None]]:
        """The fields of a message: number, and bytes for what has a length."""
        at = 0
        while at < len(raw):
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise _GaveUp
            tag, at = _varint(raw, at)
            number, kind = tag >> 3, tag & 7
            if kind == _BYTES:
                length, at = _varint(raw, at)
                if at + length > len(raw):
                    raise _GaveUp
                yield number, raw[at : at + length]
                at += length
            elif kind == _VARINT:
                _, at = _varint(raw, at)
                yield number, None
            elif kind in {_FIXED64, _FIXED32}:
                at += 8 if kind == _FIXED64 else 4
                yield number, None
            else:
                raise _GaveUp


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """A varint, and where the next byte is."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise _GaveUp
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _GaveUp


def _is_text(value: memoryview) -> bool:
    try:
        str(value, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _numbered(field: FieldDescriptor, path: str, index: int) -> str:
    return f"{path}[{index}]" if field.is_repeated else path
