"""Messages as they go over the wire, one of every type, with every field: `PYTHONPATH=tests python -m golden.wire` adds
those that are not recorded yet, and leaves the others as they are, for ever."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor, descriptor_pool, json_format, message_factory
from google.protobuf.message import Message

from managedagents.v1 import error_pb2, service_pb2

RECORDED = Path(__file__).parent / "wire.json"
_PACKAGE = service_pb2.DESCRIPTOR.package
_SAMPLES: dict[str, Any] = {"string": "text", "bytes": b"\x00\xff", "bool": True, "float": 0.5}


def types() -> list[descriptor.Descriptor]:
    """Of all messages of the service, in the order of their names."""
    found: dict[str, descriptor.Descriptor] = {}
    files = [service_pb2.DESCRIPTOR, error_pb2.DESCRIPTOR]
    while files:
        file = files.pop()
        if file.package == _PACKAGE:
            found |= {made.full_name: made for made in file.message_types_by_name.values()}
            files += file.dependencies
    return [found[name] for name in sorted(found)]


def samples(kind: descriptor.Descriptor) -> Iterator[Message]:
    """Messages of the type with every field set; of each oneof every case in one of them."""
    cases = max((len(oneof.fields) for oneof in kind.oneofs), default=1)
    for case in range(cases):
        yield _filled(kind, case, 3)


def _filled(kind: descriptor.Descriptor, case: int, depth: int) -> Message:
    message = message_factory.GetMessageClass(kind)()
    for field in kind.fields:
        oneof = field.containing_oneof
        if oneof is not None and oneof.fields[case % len(oneof.fields)] is not field:
            continue
        _fill(message, field, case, depth)
    return message


def _fill(message: Message, field: descriptor.FieldDescriptor, case: int, depth: int) -> None:
    kind = field.message_type
    if kind is None:
        value = _scalar(field)
        getattr(message, field.name).append(value) if field.is_repeated else setattr(message, field.name, value)
    elif kind.GetOptions().map_entry:
        entries = getattr(message, field.name)
        entries["key"] = _scalar(kind.fields_by_name["value"])
    elif kind.file.package != _PACKAGE:
        getattr(message, field.name).seconds = 7
    elif depth:
        made = _filled(kind, case, depth - 1)
        if field.is_repeated:
            getattr(message, field.name).append(made)
        else:
            getattr(message, field.name).CopyFrom(made)


def _scalar(field: descriptor.FieldDescriptor) -> Any:
    match field.cpp_type:
        case descriptor.FieldDescriptor.CPPTYPE_ENUM:
            assert field.enum_type is not None
            return field.enum_type.values[-1].number
        case descriptor.FieldDescriptor.CPPTYPE_STRING:
            return _SAMPLES["bytes" if field.type == descriptor.FieldDescriptor.TYPE_BYTES else "string"]
        case descriptor.FieldDescriptor.CPPTYPE_BOOL:
            return _SAMPLES["bool"]
        case descriptor.FieldDescriptor.CPPTYPE_DOUBLE | descriptor.FieldDescriptor.CPPTYPE_FLOAT:
            return _SAMPLES["float"]
        case _:
            return field.number


def recorded() -> dict[str, list[dict[str, Any]]]:
    """By the type's name: the bytes, and what they say as JSON."""
    told: dict[str, list[dict[str, Any]]] = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    return told


def parsed(name: str, data: str) -> Any:
    """What the bytes say now."""
    kind = descriptor_pool.Default().FindMessageTypeByName(name)
    message = message_factory.GetMessageClass(kind).FromString(base64.b64decode(data))
    return json_format.MessageToDict(message)


def main() -> None:
    kept = recorded()
    for kind in types():
        known = {json.dumps(one["json"]) for one in kept.setdefault(kind.full_name, [])}
        for sample in samples(kind):
            said = json_format.MessageToDict(sample)
            if json.dumps(said) not in known:
                data = base64.b64encode(sample.SerializeToString(deterministic=True)).decode()
                kept[kind.full_name].append({"bytes": data, "json": said})
    RECORDED.write_text(json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
