"""The command line."""

import os
from dataclasses import fields
from pathlib import Path

import pytest

from managedagents_server import config
from managedagents_server.config import Address, Backup, Restore, Serve, Tls
from managedagents_server.words.limits import Limits


def serve(*arguments: str, environ: dict[str, str] | None = None) -> Serve:
    command = config.parse(["--db", "a.db", *arguments], environ or {})
    assert isinstance(command, Serve)
    return command


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, environ: dict[str, str] | None = None) -> str:
    """The one line on stderr."""
    with pytest.raises(SystemExit) as caught:
        config.parse(arguments, environ or {})
    assert caught.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("managedagents-server: ")
    return line


def test_defaults() -> None:
    assert serve() == Serve(
        listen=Address("127.0.0.1", 50051),
        db=Path("a.db"),
        synchronous="FULL",
        tls=None,
        tokens=None,
        log_level="INFO",
        log_format=None,
        limits=Limits(),
        clock_ahead=0.0,
        failpoint="",
    )


def test_serve_may_be_said() -> None:
    assert config.parse(["serve", "--db", "a.db"], {}) == serve()


def test_all_of_it() -> None:
    asked = serve(
        *("--listen", "0.0.0.0:0", "--synchronous", "normal", "--tls-cert", "c", "--tls-key", "k"),
        *("--tls-client-ca", "ca", "--tokens", "t", "--log-level", "debug", "--log-format", "json"),
    )
    assert asked.listen == Address("0.0.0.0", 0)
    assert asked.synchronous == "NORMAL"
    assert asked.tls == Tls(Path("c"), Path("k"), Path("ca"))
    assert asked.tokens == Path("t")
    assert (asked.log_level, asked.log_format) == ("DEBUG", "json")


def test_backup_and_restore() -> None:
    assert config.parse(["backup", "--db", "a", "--to", "b"], {}) == Backup(Path("a"), Path("b"))
    assert config.parse(["restore", "--db", "a", "--from", "b"], {}) == Restore(Path("a"), Path("b"))


@pytest.mark.parametrize(
    ("text", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
        ("example.org:1", False),
        ("localhost.example.org:1", False),
    ],
)
def test_an_address_knows_whether_it_can_be_reached(text: str, loopback: bool) -> None:
    address = serve("--listen", text, "--plaintext", "--no-auth").listen
    assert address.loopback is loopback
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "127.0.0.1", ":50051", "a:b", "a:-1", "a:65536", "a:٣", "a:"])
def test_what_is_no_address_is_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert "is no HOST:PORT" in refused(capsys, "--db", "a", f"--listen={text}")


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), "--plaintext"),
        (("--tokens", "t"), "--plaintext"),
        (("--no-auth",), "--plaintext"),
        (("--plaintext",), "--no-auth"),
        (("--tls-cert", "c", "--tls-key", "k"), "--no-auth"),
    ],
)
def test_beyond_loopback_needs_tls_and_tokens_each_on_its_own(
    capsys: pytest.CaptureFixture[str], given: tuple[str, ...], missing: str
) -> None:
    assert missing in refused(capsys, "--db", "a", "--listen", "0.0.0.0:1", *given)


@pytest.mark.parametrize(
    "given",
    [
        ("--tls-cert", "c"),
        ("--tls-key", "k"),
        ("--tls-client-ca", "ca"),
        ("--plaintext", "--tls-cert", "c", "--tls-key", "k"),
        ("--no-auth", "--tokens", "t"),
        ("--synchronous", "off"),
        ("--log-level", "loud"),
        ("--unknown",),
        ("--list", "127.0.0.1:1"),
    ],
)
def test_what_does_not_fit_together_is_refused(capsys: pytest.CaptureFixture[str], given: tuple[str, ...]) -> None:
    refused(capsys, "--db", "a", *given)


@pytest.mark.parametrize("arguments", [(), ("serve",), ("backup", "--db", "a"), ("restore", "--db", "a"), ("nothing",)])
def test_what_is_required(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    refused(capsys, *arguments)


def test_every_limit_can_be_set() -> None:
    for field in fields(Limits):
        assert getattr(serve("--limit", f"{field.name}=7").limits, field.name) == 7


def test_limits_are_repeated() -> None:
    limits = serve("--limit", "tools=3", "--limit", "heartbeat=0.5").limits
    assert (limits.tools, limits.heartbeat, limits.streams) == (3, 0.5, Limits().streams)


@pytest.mark.parametrize(
    "text",
    [
        *("tools", "tools=", "tools=x", "tools=1.5", "tools=0", "tools=-1", "nothing=1", "=1"),
        *("heartbeat=-1", "heartbeat=nan", "heartbeat=inf"),
    ],
)
def test_a_wrong_limit_is_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert f"--limit {text}" in refused(capsys, "--db", "a", "--limit", text)


def test_help_names_every_limit_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        config.parse(["--help"], {})
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for field in fields(Limits):
        assert f"{field.name}={field.default} " in text
        assert field.metadata["doc"] in text


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        config.parse(["--version"], {})
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"managedagents-server {config.VERSION}\n"


def test_the_environment_is_for_tests_only() -> None:
    asked = serve(
        environ={"MANAGEDAGENTS_TEST_CLOCK_AHEAD": "3600.5", "MANAGEDAGENTS_TEST_FAILPOINT": "before_commit", "X": "y"}
    )
    assert (asked.clock_ahead, asked.failpoint) == (3600.5, "before_commit")


@pytest.mark.parametrize("text", ["soon", "nan", "inf", ""])
def test_a_wrong_clock_is_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    environ = {"MANAGEDAGENTS_TEST_CLOCK_AHEAD": text}
    assert "MANAGEDAGENTS_TEST_CLOCK_AHEAD" in refused(capsys, "--db", "a", environ=environ)


def test_variables_of_vendors_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "o")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "h")
    monkeypatch.setenv("PATH_OF_OPENAI_", "stays")
    config.forget_vendor_variables()
    assert not [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]
    assert "PATH_OF_OPENAI_" in os.environ
