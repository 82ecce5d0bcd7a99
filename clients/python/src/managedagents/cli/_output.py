"""Printing: JSON for programs, compact lines for people."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

import click
import yaml
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from managedagents._plain import values_of
from managedagents.cli._connection import settings
from managedagents.cli._terminal import plain
from managedagents.v1 import model_pb2, session_pb2

_OTHER_BREAKS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """YAML for people: texts of several lines as such."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        if _OTHER_BREAKS.intersection(text):
            # Else PyYAML writes them as they are, and reads them as ends of lines.
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def json_line(message: Message) -> str:
    """The message as one line of JSON, in lowerCamelCase; what is unset is left out."""
    return json.dumps(json_format.MessageToDict(message), ensure_ascii=False)


def yaml_of(message: Message) -> str:
    """The message as YAML, as people write it in a definition's file; without the end of its last line."""
    written = yaml.dump(values_of(message), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return written.removesuffix("\n")


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


def when(time: Timestamp) -> str:
    """A point in time, in the local zone."""
    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def status_name(status: session_pb2.SessionStatus.ValueType) -> str:
    """A status in small letters."""
    if status not in session_pb2.SessionStatus.values():
        return str(status)
    return session_pb2.SessionStatus.Name(status).removeprefix("SESSION_STATUS_").lower()


def tokens_words(usage: model_pb2.Usage) -> str:
    """Tokens in and out, in short."""
    return f"{usage.input_tokens} tokens in, {usage.output_tokens} out"
