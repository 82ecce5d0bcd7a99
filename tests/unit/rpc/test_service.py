"""The table of methods."""

from typing import Any

from managedagents_server.rpc.methods import Change, methods
from managedagents_server.rpc.service import SERVICE


class Anything:
    """Stands for a runtime that is never asked."""

    def __getattr__(self, name: str) -> "Anything":
        return self


def table() -> Any:
    anything: Any = Anything()
    return methods(anything, anything)


def test_the_table_has_every_method_of_the_service_and_no_other() -> None:
    assert set(table()) == {method.name for method in SERVICE.methods}


def test_what_takes_a_request_id_is_a_change() -> None:
    takes = {method.name for method in SERVICE.methods if "request_id" in method.input_type.fields_by_name}
    changes = {name for name, method in table().items() if isinstance(method, Change)}
    assert changes == takes
