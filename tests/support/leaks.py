"""Finds the mark of the tests' keys where none may stand.

Only what a test writes as the operator may hold a key: the providers' file, *.toml, and files with nothing but a key,
*.secret. Databases, logs, backups and whatever else a server or a client writes may not, in no form.
"""

import base64
import mmap
from collections.abc import Iterator
from pathlib import Path

from support.keys import KEYMARK

_THE_OPERATORS = frozenset({".secret", ".toml"})
_MARK = KEYMARK.encode()


def _base64_forms(text: bytes) -> Iterator[bytes]:
    """The characters that hold bits of the text alone, for each place at which it may stand in what was encoded."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + text)
        yield encoded[-(-before * 8 // 6) : (before + len(text)) * 8 // 6]


_FORMS = {
    _MARK: "as it is",
    **dict.fromkeys(_base64_forms(_MARK), "in base64"),
    _MARK.hex().encode(): "in hex",
    _MARK.hex().upper().encode(): "in hex",
    b"".join(b"%%%02x" % byte for byte in _MARK): "percent-encoded",
    b"".join(b"%%%02X" % byte for byte in _MARK): "percent-encoded",
}


def marks(data: bytes | mmap.mmap) -> list[str]:
    """Where the mark stands first, in each form."""
    found = {form: data.find(form) for form in _FORMS}
    return [f"{_FORMS[form]} at byte {place}" for form, place in found.items() if place >= 0]


def leaks(folder: Path) -> list[str]:
    """The files below it that hold the mark and may not."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.suffix not in _THE_OPERATORS and path.stat().st_size:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                found += [f"{path}: {mark}" for mark in marks(data)]
    return found
