"""What a call left in the workspace. Read by the server itself, so never by a path: what is there was put there by
whoever the model listens to."""

import asyncio
import os
import stat
from pathlib import Path

from managedagents.v1 import content_pb2
from managedagents_server.tools.inside.files import image_type
from managedagents_server.tools.sandbox.output import clean
from managedagents_server.tools.sandbox.workspace import Found, walk

_NAMED = 50
_IMAGES = 5
_IMAGE_BYTES = 1024 * 1024 + 256 * 1024
"""Of all together: they have to fit into an event, beside the text."""
_NOBODYS = {"__pycache__", "node_modules", "site-packages"}
"""Folders of what programs made for themselves, like all whose names begin with a dot."""


async def written(workspace: Path, since: int) -> tuple[list[content_pb2.Content], str]:
    """The images, and words about all files that were written. `since`: nanoseconds of the clock on the wall."""
    return await asyncio.to_thread(_written, workspace, since)


def _written(workspace: Path, since: int) -> tuple[list[content_pb2.Content], str]:
    images: list[content_pb2.Content] = []
    names: list[str] = []
    count, room = 0, _IMAGE_BYTES
    for found in walk(workspace):
        # The time of the change of a file's data can be set to anything, that of the change of the file itself cannot.
        if found.stat is None or not stat.S_ISREG(found.stat.st_mode) or found.stat.st_ctime_ns <= since:
            continue
        if any(part in _NOBODYS or part.startswith(".") for part in found.path.split("/")):
            continue
        count += 1
        image = _image(found, room) if len(images) < _IMAGES else None
        if image is not None:
            room -= len(image.data)
            images.append(content_pb2.Content(image=image))
        if len(names) < _NAMED:
            names.append(f"{clean(found.path)} ({found.stat.st_size} bytes{', shown' if image else ''})")
    if not names:
        return [], ""
    more = f", and {count - len(names)} more" if count > len(names) else ""
    return images, f"[files written: {', '.join(names)}{more}]"


def _image(found: Found, room: int) -> content_pb2.ImageContent | None:
    if found.stat is None or found.stat.st_size > room:
        return None
    try:
        # What became a pipe meanwhile must not make the server wait.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(found.name, flags, dir_fd=found.folder)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        beginning = file.read(16)
        kind = image_type(beginning)
        data = beginning + file.read(room - len(beginning) + 1) if kind else b""
    return content_pb2.ImageContent(data=data, media_type=kind) if 0 < len(data) <= room else None
