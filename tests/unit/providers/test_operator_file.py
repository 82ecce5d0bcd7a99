"""The operator's file about providers, and what it becomes while the server runs."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest

from managedagents_server.providers import names
from managedagents_server.providers.credentials import Operator
from managedagents_server.providers.operator_file import Credential, ProvidersFault
from support.keys import KEYMARK, key

FULL = f"""
[credentials.openai]
key = "{key("openai")}"

[credentials.team-a]
key_env = "TEAM_A_KEY"
base_url = "HTTP://10.0.0.1:8000/v1/"
provider = "openai-compatible"

[credentials.gateway]
key_file = "gateway.secret"
base_url = "https://gateway.example.org"

[[models]]
prefix = "house-"
provider = "openai-compatible"
credential = "team-a"
window = 32768
tools = false

[[models]]
tagged = true
provider = "ollama"
base_url = "http://10.0.0.2:11434/v1"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "providers.toml"


def write(path: Path, text: str) -> Path:
    """As an operator who takes care: nobody sees half of it."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o600)
    return new.rename(path)


def operator(path: Path, environ: Mapping[str, str] | None = None) -> Operator:
    return Operator(path, {}, (environ or {}).get)


def refused(path: Path, text: str, keys: Mapping[str, str] | None = None) -> str:
    """What is said of it, without its beginning: the file."""
    write(path, text)
    with pytest.raises(ProvidersFault) as caught:
        Operator(path, keys)
    said = str(caught.value)
    assert "\n" not in said
    assert KEYMARK not in said
    beginning = f"the providers file {path}: "
    assert said.startswith(beginning)
    return said.removeprefix(beginning)


def test_all_of_it(path: Path) -> None:
    write(path, FULL)
    path.with_name("gateway.secret").write_text(key("gateway") + "\n")
    settings = operator(path, {"TEAM_A_KEY": key("team")}).now()
    team = Credential("team-a", key("team"), "http://10.0.0.1:8000/v1", names.OPENAI_COMPATIBLE)
    assert settings.credentials == {
        "openai": Credential("openai", key("openai"), "", names.OPENAI),
        "team-a": team,
        "gateway": Credential("gateway", key("gateway"), "https://gateway.example.org", ""),
    }
    assert settings.base_urls == {
        "http://10.0.0.1:8000/v1",
        "https://gateway.example.org",
        "http://10.0.0.2:11434/v1",
    }
    house = settings.table.find("house-1")
    assert house is not None
    assert (house.provider, house.credential, house.window, house.tools) == (team.provider, "team-a", 32768, False)
    tagged = settings.table.find("qwen3:8b")
    assert tagged is not None
    assert tagged.base_url == "http://10.0.0.2:11434/v1"


def test_no_key_is_ever_shown(path: Path) -> None:
    write(path, f'[credentials.openai-a]\nkey = "{key("a")}"')
    assert KEYMARK not in repr(operator(path).now())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x", "it is no TOML"),
        ("top = 1", "the top top: is not known"),
        ("credentials = 1", "credentials must be tables"),
        ("models = 1", "models must be a list"),
        ("models = [1]", "[[models]] 1 must be a table"),
        ("credentials.openai-a = 1", "[credentials.openai-a] must be a table"),
        ("[credentials.openai-a]", "[credentials.openai-a] needs one of key, key_env, key_file, and only one"),
        (f'[credentials.openai-a]\nkey = "{key("a")}"\nkey_env = "A"', "[credentials.openai-a] needs one of"),
        (f'[credentials.openai-a]\nkey = "{key("a")}"\nurl = "x"', "[credentials.openai-a] url: is not known"),
        ("[credentials.openai-a]\nkey = 1", "[credentials.openai-a] key: must be a text"),
        ('[credentials.openai-a]\nkey = ""', "[credentials.openai-a] its key must be"),
        (f'[credentials.openai-a]\nkey = "{key("a")} x"', "[credentials.openai-a] its key must be"),
        (f'[credentials.openai-a]\nkey = "{key("ä")}"', "[credentials.openai-a] its key must be"),
        (f'[credentials."a b"]\nkey = "{key("a")}"', "[credentials.a b] its name must be"),
        (
            '[credentials.openai-a]\nkey_env = "NOT_SET"',
            "[credentials.openai-a] key_env: the variable NOT_SET is not set",
        ),
        ('[credentials.openai-a]\nkey_file = "gone"', "[credentials.openai-a] key_file: "),
        (
            f'[credentials.openai-a]\nkey = "{key("a")}"\nprovider = "azure"',
            "[credentials.openai-a] provider: must be one of",
        ),
        (
            f'[credentials.openai-a]\nkey = "{key("a")}"\nbase_url = "ftp://x"',
            "[credentials.openai-a] base_url: must be an http",
        ),
        (f'[credentials.a]\nkey = "{key("a")}"', "[credentials.a] nothing says where it goes"),
        (f'[credentials.openaix]\nkey = "{key("a")}"', "[credentials.openaix] nothing says where it goes"),
        (
            f'[credentials.openai-compatible-a]\nkey = "{key("a")}"',
            "[credentials.openai-compatible-a] it needs a base_url",
        ),
        (f'[credentials.ollama]\nkey = "{key("a")}"', "[credentials.ollama] it needs a base_url: ollama has no public"),
        (
            f'[credentials.openai-known]\nkey = "{key("a")}"',
            "[credentials.openai-known] stands in the environment, too",
        ),
        ('[[models]]\nprovider = "openai"', "[[models]] 1 needs a prefix, or tagged = true"),
        ('[[models]]\nprefix = "a"', "[[models]] 1 provider: must be one of"),
        ('[[models]]\nprefix = "a"\nprovider = "openai"\nname = "b"', "[[models]] 1 name: is not known"),
        ('[[models]]\nprefix = "a"\nprovider = "openai"\ntools = 1', "[[models]] 1 tools: must be true or false"),
        ('[[models]]\nprefix = "a"\nprovider = "openai"\nwindow = -1', "[[models]] 1 window: must be a whole number"),
        ('[[models]]\nprefix = "a"\nprovider = "openai"\nwindow = true', "[[models]] 1 window: must be a whole number"),
        ('[[models]]\nprefix = "a"\nprovider = "openai-compatible"', "[[models]] 1 base_url: is required"),
        (
            '[[models]]\nprefix = "a"\nprovider = "openai"\n[[models]]\nprefix = ""\nprovider="gemini"\ncredential="x"',
            "[[models]] 2 credential: there is no credential 'x'",
        ),
        (
            '[[models]]\nprefix = "a"\nprovider = "openai"\nbase_url = "http://other"\ncredential = "openai-known"',
            "[[models]] 1 credential: openai-known is for another address or provider",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(path: Path, text: str, says: str) -> None:
    assert refused(path, text, {"openai-known": key("known")}).startswith(says)


def test_a_file_that_cannot_be_read(path: Path) -> None:
    with pytest.raises(ProvidersFault, match="cannot be read: No such file or directory"):
        Operator(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ProvidersFault, match="it is no UTF-8 text"):
        Operator(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_in_a_file_that_others_may_open_is_refused(path: Path, mode: int) -> None:
    write(path, f'[credentials.openai-a]\nkey = "{key("a")}"').chmod(mode)
    with pytest.raises(ProvidersFault, match=r"\[credentials.openai-a\] key: others may read this file; chmod 600 it"):
        Operator(path)


def test_a_file_without_keys_may_be_open_to_all(path: Path) -> None:
    write(path, '[credentials.openai-a]\nkey_env = "A"').chmod(0o644)
    assert operator(path, {"A": key("a")}).now().credentials["openai-a"].key == key("a")


def test_credentials_of_the_environment() -> None:
    assert Operator(None, {"openai-team-a": key("a")}).now().credentials == {
        "openai-team-a": Credential("openai-team-a", key("a"), provider="openai")
    }
    with pytest.raises(ProvidersFault, match="the credential '-' of the environment: its name must be"):
        Operator(None, {"-": key("a")})
    with pytest.raises(ProvidersFault, match="the credential 'a' of the environment: its key must be"):
        Operator(None, {"a": ""})


class TestWhileTheServerRuns:
    def test_a_key_is_changed(self, path: Path) -> None:
        write(path, f'[credentials.openai-a]\nkey = "{key("a", 1)}"')
        told = operator(path)
        assert told.now().credentials["openai-a"].key == key("a", 1)
        write(path, f'[credentials.openai-a]\nkey = "{key("a", 2)}"')
        assert told.now().credentials["openai-a"].key == key("a", 2)

    def test_a_key_is_changed_in_its_own_file(self, path: Path) -> None:
        write(path, '[credentials.openai-a]\nkey_file = "a.secret"')
        own = write(path.with_name("a.secret"), key("a", 1))
        told = operator(path)
        write(own, key("a", 2))
        assert told.now().credentials["openai-a"].key == key("a", 2)

    def test_a_credential_goes_and_comes(self, path: Path) -> None:
        write(path, f'[credentials.openai-a]\nkey = "{key("a")}"')
        told = operator(path)
        write(path, f'[credentials.openai-b]\nkey = "{key("b")}"')
        assert set(told.now().credentials) == {"openai-b"}

    def test_what_did_not_change_is_not_read_again(self, path: Path) -> None:
        write(path, FULL.replace('key_file = "gateway.secret"', f'key = "{key("gateway")}"'))
        told = operator(path, {"TEAM_A_KEY": key("team")})
        assert told.now() is told.now()

    def test_a_broken_version_changes_nothing_and_is_told_of_once(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        write(path, f'[credentials.openai-a]\nkey = "{key("a")}"')
        told = operator(path)
        write(path, f'[credentials.openai-a]\nkey = "{key("a", 2)}')
        for _ in range(3):
            assert told.now().credentials["openai-a"].key == key("a")
        [record] = caplog.records
        assert record.levelno == logging.ERROR
        assert "it is no TOML" in record.message
        assert KEYMARK not in caplog.text

    def test_a_file_that_is_gone_changes_nothing(self, path: Path) -> None:
        write(path, f'[credentials.openai-a]\nkey = "{key("a")}"')
        told = operator(path)
        path.unlink()
        assert told.now().credentials["openai-a"].key == key("a")
        write(path, f'[credentials.openai-a]\nkey = "{key("a", 2)}"')
        assert told.now().credentials["openai-a"].key == key("a", 2)

    def test_a_key_file_that_comes_late_is_found(self, path: Path) -> None:
        write(path, "")
        told = operator(path)
        write(path, '[credentials.openai-a]\nkey_file = "a.secret"')
        assert not told.now().credentials
        write(path.with_name("a.secret"), key("a"))
        assert told.now().credentials["openai-a"].key == key("a")
