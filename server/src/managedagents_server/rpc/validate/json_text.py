"""JSON that travels as text."""

import json
from typing import Any, NoReturn

from jsonschema import Draft202012Validator, FormatChecker, SchemaError

_TOO_DEEP = "is nested too deeply"
_MOST_CHARACTERS = 160

# With formats a pattern would have to be one of Python's, and schemas are written for others too.
_NO_FORMATS = FormatChecker(formats=())


class _NotJson(Exception):
    """The message says why."""


def json_fault(text: str) -> str | None:
    """Why the text is no JSON. None: it is."""
    try:
        _read(text)
    except _NotJson as fault:
        return str(fault)
    return None


def schema_fault(text: str) -> str | None:
    """Why the text is no JSON Schema (2020-12), written as an object. None: it is."""
    try:
        schema = _read(text)
        if not isinstance(schema, dict):
            return "must be a JSON object"
        Draft202012Validator.check_schema(schema, format_checker=_NO_FORMATS)
    except _NotJson as fault:
        return str(fault)
    except SchemaError as error:
        return f"is no JSON Schema: {_short(error.message)} at {_short(error.json_path)}"
    except RecursionError:
        return _TOO_DEEP
    return None


def _read(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise _NotJson(f"is no JSON: {_short(str(error))}") from error
    except RecursionError:
        raise _NotJson(_TOO_DEEP) from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
