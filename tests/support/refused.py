"""What a request is refused for."""

from collections.abc import Callable
from typing import Any

import pytest

from managedagents_server.words.errors import InvalidRequest, LimitExceeded
from managedagents_server.words.limits import Limits


def fields_of_refusal(check: Callable[[Any, Limits], None], request: object, limits: Limits | None = None) -> list[str]:
    """The fields that are named as wrong, in order. Empty: the request passes."""
    try:
        check(request, limits or Limits())
    except InvalidRequest as refusal:
        return [violation.field for violation in refusal.violations]
    return []


def exceeded(check: Callable[[Any, Limits], None], request: object, limits: Limits) -> tuple[str, str]:
    """The limit that is named, and its value."""
    with pytest.raises(LimitExceeded) as caught:
        check(request, limits)
    return caught.value.metadata["limit"], caught.value.metadata["value"]
