"""Bytes that were once written say today what they said then: clients of every age stay understood."""

import pytest

from golden.wire import parsed, recorded, samples, types


@pytest.mark.parametrize("name", recorded())
def test_recorded_bytes_say_what_they_said(name: str) -> None:
    for one in recorded()[name]:
        assert parsed(name, one["bytes"]) == one["json"]


def test_every_field_of_every_message_is_recorded() -> None:
    """A new one is added by `python -m golden.wire`."""
    for kind in types():
        said = {field for one in recorded().get(kind.full_name, []) for field in one["json"]}
        wanted = {field.json_name for sample in samples(kind) for field, _ in sample.ListFields()}
        assert wanted <= said, kind.full_name
