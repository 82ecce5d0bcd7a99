"""Limits on the command line: `--limit NAME=VALUE`."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import cast

from managedagents_server.words.limits import Limits


class WrongLimit(Exception):
    """The message says which, and why."""


def limits(given: Sequence[str]) -> Limits:
    """Raises WrongLimit."""
    types = {field.name: cast("type[int] | type[float]", field.type) for field in fields(Limits)}
    chosen: dict[str, float] = {}
    for item in given:
        name, _, text = item.partition("=")
        if name not in types:
            raise WrongLimit(f"--limit {item}: there is no limit {name!r}")
        is_count = types[name] is int
        try:
            value = types[name](text)
        except ValueError:
            raise WrongLimit(f"--limit {item}: must be {'a whole number' if is_count else 'a number'}") from None
        if not (math.isfinite(value) and value >= (1 if is_count else 0)):
            raise WrongLimit(f"--limit {item}: must be {'at least 1' if is_count else 'finite, and not negative'}")
        chosen[name] = value
    return Limits(**cast("dict[str, int]", chosen))


def help_of_limits() -> str:
    return "".join(
        f"  {field.name + '=' + str(field.default):<32} {field.metadata['doc']}\n" for field in fields(Limits)
    )
