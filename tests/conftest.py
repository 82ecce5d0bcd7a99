from collections.abc import Iterator

import pytest

from support.leaks import leaks


@pytest.fixture(scope="session", autouse=True)
def no_key_is_left_anywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After all tests of this process a search of the databases, the logs and whatever else they left finds no key."""
    yield
    if found := leaks(tmp_path_factory.getbasetemp()):
        pytest.fail("\n".join(["a key stands where none may (see support/leaks.py):", *found]), pytrace=False)
