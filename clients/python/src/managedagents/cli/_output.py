"""Printing: JSON for programs, compact lines for people."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

import click
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from managedagents.cli._connection import settings
from managedagents.v1 import session_pb2

# The marks that turn the direction of the writing around, and so can make a text look like another one.
_TURNS_AROUND = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def json_line(message: Message) -> str:
    """The message as one line of JSON, in lowerCamelCase; what is unset is left out."""
    return json.dumps(json_format.MessageToDict(message), ensure_ascii=False)


def tell(message: Message, words: str) -> None:
    """Print the message, or the words for people."""
    click.echo(json_line(message) if settings().json else words)


def tell_done(words: str, **values: Any) -> None:
    """Print what was done, where the answer holds no message of its own."""
    click.echo(json.dumps(values) if settings().json else words)


def table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns of equal width."""
    rows = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def plain(text: str) -> str:
    """On a terminal: the text without the characters by which a model, or whoever else wrote it, could drive it."""
    if not sys.stdout.isatty():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _drives(c) else c for c in text)


def _drives(character: str) -> bool:
    is_control = unicodedata.category(character) == "Cc" and character not in "\n\t"
    return is_control or unicodedata.bidirectional(character) in _TURNS_AROUND


def when(time: Timestamp) -> str:
    """A point in time, in the local zone."""
    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def status_name(status: session_pb2.SessionStatus.ValueType) -> str:
    """A status in small letters."""
    if status not in session_pb2.SessionStatus.values():
        return str(status)
    return session_pb2.SessionStatus.Name(status).removeprefix("SESSION_STATUS_").lower()
