"""The server's own keys: made once, kept from others, and changed without losing what they encrypted."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from managedagents_server.session.keyring import Keyring, KeyringFault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db.secret"


def new_key() -> str:
    return Fernet.generate_key().decode()


def write(path: Path, *lines: str, mode: int = 0o600) -> None:
    path.write_text("\n".join(lines))
    path.chmod(mode)


def test_no_file_is_made_before_it_is_needed(path: Path) -> None:
    keyring = Keyring.read("", path)
    assert keyring.empty
    assert keyring.decrypt(b"anything") is None
    assert not path.exists()


def test_the_file_is_made_for_its_owner_alone_and_read_again_at_the_next_start(path: Path) -> None:
    keyring = Keyring.read("", path)
    keyring.fill()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [other.name for other in path.parent.iterdir()] == [path.name]
    ciphertext = keyring.encrypt(b"plain")
    assert b"plain" not in ciphertext
    again = Keyring.read("", path)
    assert not again.empty
    assert again.decrypt(ciphertext) == b"plain"


def test_a_file_that_came_meanwhile_is_used_and_not_replaced(path: Path) -> None:
    keyring = Keyring.read("", path)
    write(path, new_key())
    before = path.read_text()
    keyring.fill()
    assert path.read_text() == before
    assert Keyring.read(before, path).decrypt(keyring.encrypt(b"plain")) == b"plain"


def test_servers_that_make_the_same_file_at_once_get_the_same_key(path: Path) -> None:
    keyrings = [Keyring.read("", path) for _ in range(8)]
    with ThreadPoolExecutor(len(keyrings)) as pool:
        list(pool.map(Keyring.fill, keyrings))
    ciphertext = keyrings[0].encrypt(b"plain")
    assert [keyring.decrypt(ciphertext) for keyring in keyrings] == [b"plain"] * 8
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_link_that_leads_nowhere_is_told(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere" / "key")
    keyring = Keyring.read("", path)
    with pytest.raises(KeyringFault, match="is a link that leads nowhere"):
        keyring.fill()
    assert keyring.empty


def test_what_a_death_left_half_made_is_no_hindrance(path: Path) -> None:
    path.with_name(path.name + ".part").write_text("half of a")
    keyring = Keyring.read("", path)
    keyring.fill()
    assert Keyring.read("", path).decrypt(keyring.encrypt(b"plain")) == b"plain"


def test_a_folder_that_cannot_be_written_is_told(path: Path) -> None:
    keyring = Keyring.read("", path.parent / "nowhere" / "key")
    with pytest.raises(KeyringFault, match="cannot be made: No such file or directory"):
        keyring.fill()


@pytest.mark.parametrize("separator", ["\n", ",", " , ", "\n\n# older\n"])
def test_a_new_key_before_the_old_one_encrypts_and_both_decrypt(path: Path, separator: str) -> None:
    old, new = new_key(), new_key()
    before = Keyring.read(old, path).encrypt(b"plain")
    both = Keyring.read(f"{new}{separator}{old}", path)
    after = both.encrypt(b"plain")
    assert both.decrypt(before) == both.decrypt(after) == b"plain"
    assert Keyring.read(new, path).decrypt(after) == b"plain"
    assert Keyring.read(new, path).decrypt(before) is None
    assert Keyring.read(old, path).decrypt(after) is None


def test_the_environment_goes_before_the_file(path: Path) -> None:
    write(path, "broken", mode=0o644)
    keyring = Keyring.read(new_key(), path)
    assert keyring.decrypt(keyring.encrypt(b"plain")) == b"plain"


@pytest.mark.parametrize(
    ("lines", "mode", "says"),
    [
        pytest.param([new_key()], 0o640, "is open to others: only its owner may read it", id="group"),
        pytest.param([new_key()], 0o604, "is open to others: only its owner may read it", id="others"),
        pytest.param([new_key()], 0o620, "is open to others: only its owner may read it", id="written by others"),
        pytest.param([], 0o600, "has no key$", id="empty"),
        pytest.param(["# key"], 0o600, "has no key$", id="a comment alone"),
        pytest.param(["KEYMARK"], 0o600, "has no key on line 1: 32 bytes in URL-safe base64", id="nonsense"),
        pytest.param([new_key(), "KEYMARK" * 6], 0o600, "has no key on line 2", id="the second one"),
        pytest.param([new_key()[:-8] + "===="], 0o600, "has no key on line 1", id="too short"),
        pytest.param(["é" * 44], 0o600, "is no ASCII text", id="no ASCII"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line_that_holds_none_of_it(
    path: Path, lines: list[str], mode: int, says: str
) -> None:
    write(path, *lines, mode=mode)
    with pytest.raises(KeyringFault, match=says) as caught:
        Keyring.read("", path)
    words = str(caught.value)
    assert str(path) in words
    assert "\n" not in words
    assert not any(line in words for line in lines if line != "# key")
    assert caught.value.__cause__ is None


def test_a_folder_in_the_place_of_the_file_is_told(path: Path) -> None:
    path.mkdir()
    with pytest.raises(KeyringFault, match="cannot be read: Is a directory"):
        Keyring.read("", path)


def test_an_environment_that_cannot_be_used_is_refused_without_showing_it(path: Path) -> None:
    with pytest.raises(KeyringFault) as caught:
        Keyring.read("KEYMARK-server-1", path)
    assert "MANAGEDAGENTS_SECRET_KEY has no key on line 1" in str(caught.value)
    assert "KEYMARK-server-1" not in str(caught.value)
