"""A key that leaked is found in whatever form it stands."""

import base64
import json
import tempfile
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest

from support.keys import key
from support.leaks import leaks, marks

KEY = key("leaked").encode()


@pytest.mark.parametrize(
    "form",
    [
        bytes,
        base64.b64encode,
        base64.urlsafe_b64encode,
        lambda text: base64.b64encode(b"Bearer:" + text),
        lambda text: base64.b64encode(b"Bearer: " + text),
        lambda text: text.hex().encode(),
        lambda text: text.hex(" ").upper().replace(" ", "").encode(),
        lambda text: urllib.parse.quote_from_bytes(text).encode(),
        lambda text: "".join(f"%{byte:02X}" for byte in text).encode(),
        lambda text: json.dumps({"error": f'no "{text.decode()}"'}).encode(),
    ],
)
def test_a_key_is_found_in_every_form(form: Callable[[bytes], bytes]) -> None:
    assert marks(b"before " + form(KEY) + b" after")


def test_what_only_looks_like_one_is_none() -> None:
    assert marks(b"keymark KEY MARK " + base64.b64encode(b"KEYMARS-1")) == []


def test_only_files_of_the_operator_may_hold_a_key() -> None:
    with tempfile.TemporaryDirectory() as folder:
        deep = Path(folder, "some", "where")
        deep.mkdir(parents=True)
        for name in ("providers.toml", "key.secret", "log.db-wal", "log.stderr", "backup"):
            deep.joinpath(name).write_bytes(bytes(5) + KEY)
        deep.joinpath("empty").touch()
        assert leaks(Path(folder)) == [
            f"{deep}/{name}: as it is at byte 5" for name in ("backup", "log.db-wal", "log.stderr")
        ]
