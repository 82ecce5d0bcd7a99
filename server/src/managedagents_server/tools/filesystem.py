"""Files of the workspace, and those of the skills. The work is done inside of the sandbox: what a path leads to is
decided where there is nothing else to lead to."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from managedagents.v1 import content_pb2
from managedagents_server.tools import inside
from managedagents_server.tools.base import Declaration, Outcome, Place, failed, text
from managedagents_server.tools.sandbox import Sandbox, SandboxError, Whole, full
from managedagents_server.tools.sandbox.output import clean, legible

IMAGE = 1024 * 1024 + 512 * 1024
"""Bytes. An image has to fit into an event."""
_ANSWER = 4 * 1024 * 1024
"""Bytes. The image, in letters, is the greatest part."""

_REPEATABLE = {"read", "list", "glob", "grep", "write"}
_GROWING = {"write", "edit"}


_NEEDED = {
    "read": ("path",),
    "write": ("path", "content"),
    "edit": ("path", "old", "new"),
    "list": (),
    "glob": ("pattern",),
    "grep": ("pattern",),
}
"""By command. Not in the schema: some providers take none whose parts depend on each other."""

_PROPERTIES: dict[str, dict[str, Any]] = {
    "command": {
        "enum": list(_NEEDED),
        "description": (
            "read: show a file (path; first_line, last_line). write: make or replace a file, and the folders it is in "
            "(path, content). edit: replace a piece of a file (path, old, new). list: show a folder (path). glob: find "
            "files by name (pattern; path). grep: find lines (pattern; path, glob)."
        ),
    },
    "path": {
        "type": "string",
        "description": (
            "Relative to the working directory, or absolute: /workspace/... or /skills/NAME/..., which can only be "
            "read. glob and grep look below it; they and list take the working directory by default."
        ),
    },
    "first_line": {"type": "integer", "minimum": 1, "description": "read: begin with this line, from 1."},
    "last_line": {"type": "integer", "minimum": 1, "description": "read: end with this line."},
    "content": {"type": "string", "description": "write: the whole content of the file."},
    "old": {
        "type": "string",
        "minLength": 1,
        "description": "edit: what to replace. Must be in the file exactly once, blanks and line ends included.",
    },
    "new": {"type": "string", "description": "edit: what to put in its place."},
    "pattern": {
        "type": "string",
        "minLength": 1,
        "description": "glob: such as **/*.py (** is any folders). grep: a regular expression of Python, for one line.",
    },
    "glob": {"type": "string", "description": "grep: only in files like this, such as *.py or src/**/*.c."},
}

_SCHEMA = {"type": "object", "properties": _PROPERTIES, "required": ["command"], "additionalProperties": False}

_DESCRIPTION = """\
Reads, writes, edits, lists and searches the files of the workspace, and reads those of the skills. Images (PNG, JPEG, \
GIF, WebP) are shown when they are read. Nothing outside can be reached. Long answers are cut, and say so."""


class Filesystem:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._program = inside.program("beneath", "search", "files")
        self._declaration = Declaration("filesystem", _DESCRIPTION, json.dumps(_SCHEMA))

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def repeatable(self, given: Mapping[str, Any]) -> bool:
        """Not `edit`: what it put there may hold what it looks for."""
        return given["command"] in _REPEATABLE

    async def run(self, given: Mapping[str, Any], place: Place) -> Outcome:
        sandbox = self._sandbox
        command = given["command"]
        if lacking := [name for name in _NEEDED[command] if name not in given]:
            return failed(f"{command} needs {' and '.join(lacking)}.")
        request = {
            "given": dict(given),
            "image_bytes": IMAGE,
            "skills": sandbox.skills(place),
            "working_dir": place.working_dir,
            "workspace": sandbox.folder(place),
        }
        answer = Whole(_ANSWER)
        argv = (sandbox.python(place), "-I", "-S", "-c", self._program)
        try:
            if command in _GROWING and await sandbox.measure(place) > place.bounds.disk_bytes:
                return failed(f"Nothing can be written: {full(place.bounds)}, with bash.")
            ended = await sandbox.run(place, argv, answer, stdin=json.dumps(request).encode())
        except SandboxError as error:
            return failed(f"The files cannot be reached: {error}.")
        if ended.exit_code != 0:
            why = ended.stopped or f"the program for it failed: {legible(bytes(answer.data[-2000:]))}"
            return Outcome([text(f"It was not done: {why}.")], is_error=True, timed_out=ended.timed_out)
        return _outcome(json.loads(answer.data), f"[Beware: {ended.too_full}.]" if ended.too_full else "")


def _outcome(answer: Mapping[str, str], note: str) -> Outcome:
    notes = [text(note)] if note else []
    if "error" in answer:
        return failed(clean(answer["error"]))
    if "image" in answer:
        image = content_pb2.ImageContent(data=base64.b64decode(answer["image"]), media_type=answer["media_type"])
        return Outcome([content_pb2.Content(image=image), *notes])
    return Outcome([text(clean(answer["text"])), *notes])
