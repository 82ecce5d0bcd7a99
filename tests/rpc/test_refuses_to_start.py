"""A server that cannot serve as it was told says why in one clear line, and touches nothing."""

import asyncio
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from support.server import Server, running

pytestmark = pytest.mark.long

OUTSIDE = "0.0.0.0:0"


async def run(*arguments: str) -> tuple[int, str]:
    """Its exit code and its one line."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "managedagents_server", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert out == b""
    (line,) = err.decode().splitlines()
    assert line.startswith("managedagents-server: ")
    assert process.returncode is not None
    return process.returncode, line


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


async def on(db: Path, *arguments: str) -> tuple[int, str]:
    return await run("--listen", "127.0.0.1:0", "--db", str(db), *arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--db"),
        (("--db", "log.db", "--nope"), "--nope"),
        (("--db", "log.db", "--listen", "nonsense"), "'nonsense' is no HOST:PORT"),
        (("--db", "log.db", "--limit", "no_such=1"), "there is no limit 'no_such'"),
        (("--db", "log.db", "--tls-cert", "x.pem"), "--tls-cert and --tls-key go together"),
        (("--db", "log.db", "--listen", OUTSIDE), "give --tls-cert and --tls-key, or --plaintext"),
        (("--db", "log.db", "--listen", OUTSIDE, "--plaintext"), "give --tokens, or --no-auth"),
    ],
)
async def test_a_wrong_command_line_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, line = await run(*arguments)
    assert code == 2
    assert says in line
    assert is_empty(tmp_path)


async def test_beyond_loopback_it_listens_when_told_twice(tmp_path: Path) -> None:
    async with running(tmp_path / "log.db", "--listen", OUTSIDE, "--plaintext", "--no-auth") as server:
        assert server.address.startswith("0.0.0.0:")


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, line = await run("--listen", address, "--db", str(tmp_path / "log.db"))
    assert (code, line) == (1, f"managedagents-server: cannot listen on {address}: Address already in use")
    assert is_empty(tmp_path)


async def test_a_log_that_another_server_has(server: Server) -> None:
    code, line = await on(server.db)
    assert (code, line) == (1, f"managedagents-server: {server.db} is in use by another server")
    assert await server.terminate() == 0
    await server.start()


def foreign(db: Path) -> None:
    with closing(sqlite3.connect(db)) as other:
        other.execute("CREATE TABLE theirs (x)")


def garbage(db: Path) -> None:
    db.write_bytes(bytes(range(256)) * 64)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (foreign, "is not a managedagents database"),
        (garbage, "cannot be read as a database"),
    ],
)
async def test_a_file_that_is_no_log_is_left_as_it_is(tmp_path: Path, make: object, says: str) -> None:
    db = tmp_path / "log.db"
    assert callable(make)
    make(db)
    before = db.read_bytes()
    code, line = await on(db)
    assert code == 1
    assert f"{db} {says}" in line
    assert db.read_bytes() == before


async def test_a_log_of_a_newer_server(server: Server) -> None:
    assert await server.terminate() == 0
    with closing(sqlite3.connect(server.db)) as log, log:
        log.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('managedagents', 'm999_from_the_future', '2999-01-01')"
        )
    code, line = await on(server.db)
    assert code == 1
    assert "was written by a newer managedagents-server" in line


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    code, line = await on(tmp_path / "nowhere" / "log.db")
    assert code == 1
    assert str(tmp_path / "nowhere" / "log.db") in line


async def test_a_folder_in_the_place_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "log.db").mkdir()
    code, line = await on(tmp_path / "log.db")
    assert code == 1
    assert str(tmp_path / "log.db") in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"two words\n", "has no bearer token on line 1"),
    ],
)
async def test_a_token_file_without_tokens(tmp_path: Path, content: bytes | None, says: str) -> None:
    tokens = tmp_path / "tokens"
    if content is not None:
        tokens.write_bytes(content)
    code, line = await on(tmp_path / "log.db", "--tokens", str(tokens))
    assert (code, says in line) == (1, True), line
    assert not (tmp_path / "log.db").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read: No such file"),
        (
            "[credentials.a]\nkey_env = 'NOT_SET_ANYWHERE'",
            "[credentials.a] key_env: the variable NOT_SET_ANYWHERE is not set",
        ),
        ("[[models]]\nprefix = 'a'\nprovider = 'nobody'", "[[models]] 1 provider: must be one of"),
    ],
)
async def test_a_providers_file_that_is_wrong(tmp_path: Path, content: str | None, says: str) -> None:
    providers = tmp_path / "providers.toml"
    if content is not None:
        providers.write_text(content)
    code, line = await on(tmp_path / "log.db", "--providers", str(providers))
    assert (code, says in line, str(providers) in line) == (1, True, True), line
    assert not (tmp_path / "log.db").exists()


async def test_a_key_in_the_environment_that_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANAGEDAGENTS_CREDENTIAL_TEAM_A", "KEYMARK-team-1")
    code, line = await on(tmp_path / "log.db")
    assert (code, "'team-a'" in line, "nothing says where it goes" in line) == (1, True, True), line
    assert "KEYMARK" not in line
    assert is_empty(tmp_path)


async def test_a_key_in_the_environment_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANAGEDAGENTS_CREDENTIAL_TEAM_A", "two words")
    code, line = await on(tmp_path / "log.db")
    assert (code, "the credential 'team-a' of the environment" in line) == (1, True), line
    assert "two words" not in line
    assert is_empty(tmp_path)


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    for name in ("cert", "key"):
        (tmp_path / name).write_text("none\n")
    code, line = await on(tmp_path / "log.db", "--tls-cert", str(tmp_path / "cert"), "--tls-key", str(tmp_path / "key"))
    assert code == 1
    assert "are no certificate and its unlocked key" in line
