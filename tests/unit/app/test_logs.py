"""How log lines look."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Literal

import pytest

from managedagents_server.app import logs
from managedagents_server.words import context


@contextmanager
def logging_as(level: str, form: Literal["json", "text"] | None) -> Iterator[None]:
    """The root logger as the server sets it up, and after the block as it was."""
    root, ours = logging.getLogger(), logging.getLogger("managedagents_server")
    handlers, root_level, our_level = root.handlers[:], root.level, ours.level
    root.handlers.clear()
    try:
        logs.set_up(level, form)
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(root_level)
        ours.setLevel(our_level)
        logging.captureWarnings(False)


def test_json_has_the_fields_and_what_the_line_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    def log() -> None:
        context.session_id.set("ses_1")
        logging.getLogger("managedagents_server.x").info("%s done", "well", extra={"ms": 1.5})

    with logging_as("INFO", "json"):
        copy_context().run(log)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": "managedagents_server.x",
        "message": "well done",
        "ms": 1.5,
        "session_id": "ses_1",
    }


def test_text_has_the_fields_behind_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_as("INFO", "text"):
        logging.getLogger("managedagents_server.x").info("done", extra={"ms": 1.5})
    assert capsys.readouterr().err.endswith(" INFO done ms=1.5\n")


def test_json_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_as("INFO", None):
        logging.getLogger("managedagents_server.x").info("done")
    assert json.loads(capsys.readouterr().err)["message"] == "done"


def test_the_level_is_for_us_and_others_are_heard_from_warning_on(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_as("DEBUG", "text"):
        logging.getLogger("managedagents_server.x").debug("ours")
        logging.getLogger("httpx2").info("theirs")
        logging.getLogger("httpx2").warning("a warning of theirs")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(maxsplit=3)[3] for line in lines] == ["ours", "a warning of theirs"]
