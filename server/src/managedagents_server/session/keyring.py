"""The server's own keys: what encrypts the keys that callers give inline."""

import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class KeyringFault(Exception):
    """One clear line that says why the keys cannot be used, or made."""


class Keyring:
    """One key a line, as in the environment between commas: the first one encrypts, all decrypt, so that a new one can
    be put before an old one. Read once: a change needs a restart. The file is made at the first need."""

    def __init__(self, keys: Sequence[Fernet], path: Path) -> None:
        self._keys = MultiFernet(keys) if keys else None
        self._path = path

    @classmethod
    def read(cls, given: str, path: Path) -> Self:
        """What is `given` by the environment goes before the file. Raises KeyringFault."""
        return cls(_keys(given, "MANAGEDAGENTS_SECRET_KEY") if given else _read(path), path)

    @property
    def empty(self) -> bool:
        """No key was needed yet."""
        return self._keys is None

    def fill(self) -> None:
        """Makes the file, which is on the disk when this returns; or reads the one that somebody put there since the
        start. Raises KeyringFault."""
        try:
            _make(self._path)
        except OSError as error:
            raise KeyringFault(f"the key file {self._path} cannot be made: {error.strerror}") from error
        keys = _read(self._path)
        if not keys:
            raise KeyringFault(f"the key file {self._path} cannot be made: it is a link that leads nowhere")
        self._keys = MultiFernet(keys)

    def encrypt(self, plain: bytes) -> bytes:
        assert self._keys is not None
        return self._keys.encrypt(plain)

    def decrypt(self, ciphertext: bytes) -> bytes | None:
        """None: by none of the keys."""
        if self._keys is None:
            return None
        try:
            return self._keys.decrypt(ciphertext)
        except InvalidToken:
            return None


def _read(path: Path) -> list[Fernet]:
    """Empty: there is no file."""
    try:
        with path.open(encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise KeyringFault(f"the key file {path} is open to others: only its owner may read it (chmod 600)")
            return _keys(file.read(), f"the key file {path}")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeyringFault(f"the key file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise KeyringFault(f"the key file {path} is no ASCII text") from None


def _keys(text: str, where: str) -> list[Fernet]:
    keys = []
    for number, line in enumerate(map(str.strip, re.split("[,\n]", text)), 1):
        if not line or line.startswith("#"):
            continue
        try:
            keys.append(Fernet(line))
        except ValueError:
            # Without its cause, whose words may hold the line.
            raise KeyringFault(f"{where} has no key on line {number}: 32 bytes in URL-safe base64") from None
    if not keys:
        raise KeyringFault(f"{where} has no key")
    return keys


def _make(path: Path) -> None:
    """Never in the place of another file, and never half written: it gets its name when it is whole."""
    # Of a name of its own: another server may make the same file now.
    descriptor, part = tempfile.mkstemp(".part", path.name + ".", path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key() + b"\n")
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        Path(part).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
