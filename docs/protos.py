"""What the protos declare, with their comments."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import descriptor_pb2

PROTO = Path(__file__).resolve().parents[1] / "proto"

Field = descriptor_pb2.FieldDescriptorProto

# The numbers of the fields of the descriptors, which the paths of comments are made of.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_MEMBERS = 2

_SCALARS = {
    Field.TYPE_BOOL: "bool",
    Field.TYPE_BYTES: "bytes",
    Field.TYPE_DOUBLE: "double",
    Field.TYPE_INT32: "int32",
    Field.TYPE_INT64: "int64",
    Field.TYPE_STRING: "string",
    Field.TYPE_UINT64: "uint64",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a message, a value of an enum, or a call of the service."""

    name: str
    comment: str
    type: str = ""
    """The name of a message or an enum of ours, or what stands for another type."""
    label: str = ""
    """What is said of the type: repeated, optional; or the oneof that the field is of."""


@dataclass(frozen=True, slots=True)
class Type:
    """A message, an enum or the service."""

    name: str
    comment: str
    file: str
    is_enum: bool
    members: list[Member] = field(default_factory=list)


def read() -> dict[str, Type]:
    """What the protos declare, by name, with the comments."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "protos"
        protos = sorted(map(str, PROTO.rglob("*.proto")))
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", "--include_source_info"]
        subprocess.run([*command, f"--descriptor_set_out={out}", *protos], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return {type_.name: type_ for file in files.file for type_ in _types(file)}


def _types(file: descriptor_pb2.FileDescriptorProto) -> Iterator[Type]:
    comments = {tuple(at.path): _paragraphs(at.leading_comments) for at in file.source_code_info.location}
    name = Path(file.name).name
    for index, message in enumerate(file.message_type):
        path = (_MESSAGES, index)
        entries = {entry.name: entry for entry in message.nested_type if entry.options.map_entry}
        members = [
            _member(each, entries, [oneof.name for oneof in message.oneof_decl], comments[(*path, _MEMBERS, at)])
            for at, each in enumerate(message.field)
        ]
        yield Type(message.name, comments[path], name, False, members)
    for index, enum in enumerate(file.enum_type):
        path = (_ENUMS, index)
        values = [Member(value.name, comments[(*path, _MEMBERS, at)]) for at, value in enumerate(enum.value)]
        yield Type(enum.name, comments[path], name, True, values)
    for index, service in enumerate(file.service):
        path = (_SERVICES, index)
        calls = [
            Member(call.name, comments[(*path, _MEMBERS, at)], call.input_type.rpartition(".")[2])
            for at, call in enumerate(service.method)
        ]
        yield Type(service.name, comments[path], name, False, calls)


def _member(
    given: Field, entries: dict[str, descriptor_pb2.DescriptorProto], oneofs: Sequence[str], comment: str
) -> Member:
    entry = entries.get(given.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = entry.field
        return Member(given.name, comment, _type(value), f"by {_type(key)}")
    if given.proto3_optional:
        label = "optional"
    elif given.HasField("oneof_index"):
        label = f"one of `{oneofs[given.oneof_index]}`"
    else:
        label = "repeated" if given.label == Field.LABEL_REPEATED else ""
    return Member(given.name, comment, _type(given), label)


def _type(given: Field) -> str:
    return _SCALARS[given.type] if given.type in _SCALARS else given.type_name.rpartition(".")[2]


def _paragraphs(comment: str) -> str:
    """Each paragraph as one line."""
    parts = re.split(r"\n\s*\n", comment.strip())
    return "\n\n".join(" ".join(part.split()) for part in parts)
