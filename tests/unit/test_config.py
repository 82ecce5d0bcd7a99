"""The command line."""

import ipaddress
import os
from dataclasses import fields
from pathlib import Path

import pytest

from managedagents_server import config
from managedagents_server.config import Address, Backup, Restore, Serve, Tls, Variables
from managedagents_server.words.limits import Limits
from support.keys import KEYMARK, key


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
        providers_file=None,
        credentials={},
        variables=Variables({}),
        allowed=(),
        secret_key="",
        secret_key_file=Path("a.db.key"),
        sandbox="bubblewrap",
        workspaces=Path("a.db.workspaces"),
        searxng=None,
        skills=None,
        mcp_servers=None,
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
        *("--providers", "p", "--secret-key-file", "s", "--allow-address", "127.0.0.0/8", "--allow-address", "::1"),
        *("--sandbox", "none", "--workspaces", "w", "--searxng", "http://127.0.0.1:8888", "--skills", "sk"),
    )
    assert (asked.sandbox, asked.searxng) == ("none", "http://127.0.0.1:8888")
    assert (asked.workspaces, asked.skills) == (Path("w"), Path("sk"))
    assert asked.listen == Address("0.0.0.0", 0)
    assert asked.synchronous == "NORMAL"
    assert asked.tls == Tls(Path("c"), Path("k"), Path("ca"))
    assert asked.tokens == Path("t")
    assert (asked.log_level, asked.log_format) == ("DEBUG", "json")
    assert (asked.providers_file, asked.secret_key_file) == (Path("p"), Path("s"))
    assert asked.allowed == (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))


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
        ("--allow-address", "localhost"),
        ("--allow-address", "10.1.2.3/16"),
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


def test_what_the_environment_says() -> None:
    asked = serve(
        environ={
            "MANAGEDAGENTS_TEST_CLOCK_AHEAD": "3600.5",
            "MANAGEDAGENTS_TEST_FAILPOINT": "before_commit",
            "MANAGEDAGENTS_CREDENTIAL_TEAM_A": key("team"),
            "MANAGEDAGENTS_SECRET_KEY": key("secret"),
            "X": key("x"),
        }
    )
    assert (asked.clock_ahead, asked.failpoint) == (3600.5, "before_commit")
    assert asked.credentials == {"team-a": key("team")}
    assert asked.secret_key == key("secret")
    assert KEYMARK not in repr(asked)


@pytest.mark.parametrize("text", ["soon", "nan", "inf", ""])
def test_a_wrong_clock_is_refused(capsys: pytest.CaptureFixture[str], text: str) -> None:
    environ = {"MANAGEDAGENTS_TEST_CLOCK_AHEAD": text}
    assert "MANAGEDAGENTS_TEST_CLOCK_AHEAD" in refused(capsys, "--db", "a", environ=environ)


def test_keys_and_what_vendors_read_leave_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        *("OPENAI_ORG_ID", "ANTHROPIC_CUSTOM_HEADERS", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OLLAMA_BASE_URL"),
        *("PYDANTIC_AI_GATEWAY_API_KEY", "MANAGEDAGENTS_CREDENTIAL_TEAM_A", "MANAGEDAGENTS_SECRET_KEY"),
    ]
    for name in (*names, "PATH_OF_OPENAI_"):
        monkeypatch.setenv(name, "x")
    config.forget_variables()
    assert not os.environ.keys() & set(names)
    assert "PATH_OF_OPENAI_" in os.environ


def test_a_variable_that_is_read_as_a_key_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key("openai"))
    monkeypatch.setenv("TEAM_KEY", key("team"))
    command = config.parse(["--db", "a.db"], os.environ)
    config.forget_variables()
    assert isinstance(command, Serve)
    assert "TEAM_KEY" in os.environ
    assert [command.variables.take(name) for name in ("TEAM_KEY", "OPENAI_API_KEY", "NO_KEY")] == [
        key("team"),
        key("openai"),
        None,
    ]
    assert command.variables.take("TEAM_KEY") == key("team")
    assert "TEAM_KEY" not in os.environ
