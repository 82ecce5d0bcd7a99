"""What a session asks of a tool, and what it gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from managedagents.v1 import content_pb2


@dataclass(frozen=True, slots=True)
class Bounds:
    """On what one call may use. Seconds and bytes."""

    wall_time: float = 120.0
    cpu_time: float = 60.0
    memory_bytes: int = 1024 * 1024 * 1024
    processes: int = 64
    file_bytes: int = 256 * 1024 * 1024
    disk_bytes: int = 1024 * 1024 * 1024
    """Of the whole workspace."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tools of one session work: nothing of it is another session's."""

    workspace: Path
    """A folder of the session's own. Tools make it when they first need it."""
    owner: int
    """A number of the session's own, from 1: tells its processes from those of others."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Nothing else of an environment is inherited."""
    working_dir: str = ""
    """Inside the workspace. Empty: its top."""
    network: bool = False
    bounds: Bounds = Bounds()
    skills: Mapping[str, Path] = field(default_factory=dict)
    """Folders that tools may read, by name."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to. Every failure of a tool is one, and tells the model what is wrong: none is an exception."""

    content: Sequence[content_pb2.Content]
    is_error: bool = False
    timed_out: bool = False
    """It ran longer than it may."""
    structured_content_json: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the model is told of a tool."""

    name: str
    description: str
    input_schema_json: str
    """A JSON Schema (2020-12) of an object. Inputs are checked against it before anything runs."""


class Tool(Protocol):
    """A tool at the server. Shared by sessions; holds nothing of any of them."""

    @property
    def declaration(self) -> Declaration: ...

    def repeatable(self, given: Mapping[str, Any]) -> bool:
        """A call with this (valid) input may run again when nobody knows whether it ran: it reads, or it does the same
        however often it runs."""
        ...

    async def run(self, given: Mapping[str, Any], place: Place) -> Outcome:
        """Runs once. `given` is valid. Cancelling the task ends everything that the call began, before it returns."""
        ...


def text(words: str) -> content_pb2.Content:
    return content_pb2.Content(text=content_pb2.TextContent(text=words))


def failed(words: str) -> Outcome:
    return Outcome([text(words)], is_error=True)
