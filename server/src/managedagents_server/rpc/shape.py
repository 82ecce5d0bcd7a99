"""Which messages can hold what, found once from the descriptors."""

from collections.abc import Callable

from google.protobuf.descriptor import Descriptor, FieldDescriptor


def can_hold(descriptor: Descriptor, wanted: Callable[[FieldDescriptor], bool]) -> frozenset[str]:
    """The full names of `descriptor` and of the messages below it that have a wanted field, or hold one that has."""
    below: dict[str, Descriptor] = {}
    _gather(descriptor, below)
    holders: set[str] = {name for name, found in below.items() if any(map(wanted, found.fields))}
    growing = True
    while growing:
        parents = {
            name
            for name, found in below.items()
            if any(field.message_type is not None and field.message_type.full_name in holders for field in found.fields)
        }
        growing = not parents <= holders
        holders |= parents
    return frozenset(holders)


def is_map(field: FieldDescriptor) -> bool:
    entry: Descriptor | None = field.message_type
    return entry is not None and bool(entry.GetOptions().map_entry)


def _gather(descriptor: Descriptor, found: dict[str, Descriptor]) -> None:
    if descriptor.full_name not in found:
        found[descriptor.full_name] = descriptor
        for field in descriptor.fields:
            if field.message_type is not None:
                _gather(field.message_type, found)
