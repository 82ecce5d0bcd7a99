"""Tokens: which files are taken, and which headers."""

from pathlib import Path

import pytest

from managedagents_server.rpc.auth import TokenFileFault, Tokens


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_a_token_of_the_file_is_accepted(file: Path) -> None:
    file.write_text("# ours\n\n  first.token \nsecond-token==\n")
    tokens = Tokens.read(file)
    assert tokens.accept("Bearer first.token")
    assert tokens.accept("bearer second-token==")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer other", "Bearer abc abc", "Basic abc", "abc", "Bearer # ours"]
)
def test_anything_else_is_not(file: Path, header: str) -> None:
    file.write_text("# ours\nabc\n")
    assert not Tokens.read(file).accept(header)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has no token"),
        (b"# only this\n\n", "has no token"),
        (b"good\nnot good\n", "line 2"),
        ("schlüssel\n".encode(), "no ASCII"),
    ],
)
def test_a_file_without_tokens_is_refused(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    with pytest.raises(TokenFileFault, match=why):
        Tokens.read(file)


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(TokenFileFault, match="cannot be read"):
        Tokens.read(file)
