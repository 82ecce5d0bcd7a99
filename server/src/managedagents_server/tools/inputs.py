"""What a model writes as the input of a tool, checked before anything runs."""

import json
from typing import Any, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

_MOST_CHARACTERS = 300


_Patternless = extend(Draft202012Validator, {"pattern": None, "patternProperties": None})  # type: ignore[no-untyped-call]


class BadInput(Exception):
    """The message tells the model what is wrong."""


class Schema:
    """Ready to be checked against, often."""

    def __init__(self, schema_json: str, *, patterns: bool = True) -> None:
        """`patterns`: whether its regular expressions count."""
        self._validator = (Draft202012Validator if patterns else _Patternless)(json.loads(schema_json))

    def read(self, input_json: str) -> dict[str, Any]:
        """Raises BadInput."""
        try:
            given = json.loads(input_json, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"The input is no JSON: {_short(str(error))}.") from None
        if not isinstance(given, dict):
            raise BadInput("The input must be a JSON object.")
        worst = best_match(self._validator.iter_errors(given))
        if worst is not None:
            where = "" if worst.json_path == "$" else f" at {worst.json_path.removeprefix('$.')}"
            raise BadInput(f"The input does not fit the tool's schema{where}: {_short(worst.message)}.")
        return given


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
