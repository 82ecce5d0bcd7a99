"""One event loop for all tests of a folder, so that they can share a server."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from pytest_asyncio import is_async_test


def share_loop(items: Iterable[pytest.Item], folder: Path) -> None:
    """For a `pytest_collection_modifyitems` hook, which gets the items of other folders too."""
    for item in items:
        if item.path.is_relative_to(folder) and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
