"""The commands of the tool `filesystem`. Reads one request from stdin and writes one answer to stdout, both JSON.

Imports little: what it imports is half of the time that a command takes."""

import binascii
import json
import os
import stat
import sys

from managedagents_server.tools.inside.beneath import Refused, Tree, Trees, reading
from managedagents_server.tools.inside.search import glob, grep

_TEXT = 64 * 1024
"""Bytes of a file that are shown at once."""
_EDITED = 16 * 1024 * 1024
"""Bytes of a file that can be edited."""
_ENTRIES = 1000
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def main() -> None:
    request = json.load(sys.stdin.buffer)
    trees = Trees(request["workspace"], request["working_dir"], request["skills"])
    given = request["given"]
    path = given.get("path", "")
    try:
        tree, inner = trees.find(path)
        answer = _COMMANDS[given["command"]](tree, inner, given | {"image_bytes": request["image_bytes"]})
    except Refused as refused:
        answer = {"error": f"{path}: {refused}" if path else str(refused)}
    except OSError as error:
        answer = {"error": f"{path or '.'}: {_SAID.get(type(error), error.strerror or type(error).__name__)}"}
    json.dump(answer, sys.stdout)


_SAID: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such file or folder",
    IsADirectoryError: "this is a folder; use list",
    NotADirectoryError: "this is not a folder, or leads through something that is none",
    PermissionError: "this may not be done here",
}


def _read(tree: Tree, path: str, given: dict[str, str]) -> dict[str, str]:
    with os.fdopen(reading(tree, path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        beginning = file.read(8192)
        kind = image_type(beginning)
        if kind:
            if size > int(given["image_bytes"]):
                raise Refused(f"the image has {size} bytes; more than {given['image_bytes']} cannot be shown")
            return {"image": binascii.b2a_base64(beginning + file.read(), newline=False).decode(), "media_type": kind}
        if b"\0" in beginning:
            return {"text": f"This is a binary file of {size} bytes, beginning with {beginning[:32].hex(' ')}."}
        file.seek(0)
        first, last = int(given.get("first_line", 1)), int(given.get("last_line", sys.maxsize))
        shown = bytearray()
        number = 1
        while line := file.readline(_TEXT + 1):
            if number > last:
                break
            if number >= first:
                shown += line
            if len(shown) > _TEXT:
                del shown[_TEXT:]
                note = f"\n[cut here, in line {number}, after {_TEXT} bytes: give first_line and last_line for more]"
                return {"text": shown.decode("utf-8", "replace") + note}
            # A very long line comes in pieces.
            number += line.endswith(b"\n")
    if not shown:
        return {"text": "The file is empty." if size == 0 else "The file has no such lines."}
    return {"text": shown.decode("utf-8", "replace")}


def image_type(beginning: bytes) -> str:
    if beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if beginning.startswith(magic)), "")


def _write(tree: Tree, path: str, given: dict[str, str]) -> dict[str, str]:
    data = given["content"].encode("utf-8", "replace")
    _replace(tree, path, data, make_folders=True)
    return {"text": f"Wrote {len(data)} bytes."}


def _edit(tree: Tree, path: str, given: dict[str, str]) -> dict[str, str]:
    with os.fdopen(reading(tree, path), "rb") as file:
        data = file.read(_EDITED + 1)
    if len(data) > _EDITED:
        raise Refused(f"the file is larger than {_EDITED} bytes, which is too much to edit")
    old, new = given["old"].encode("utf-8", "replace"), given["new"].encode("utf-8", "replace")
    count = data.count(old)
    if count == 0:
        raise Refused(
            "`old` is not in the file. It must be there exactly, blanks and line ends included: read it first"
        )
    if count > 1:
        raise Refused(f"`old` is in the file {count} times. Give more of what is around it, so that it is there once")
    at = data.index(old)
    line = data.count(b"\n", 0, at) + 1
    _replace(tree, path, data[:at] + new + data[at + len(old) :])
    return {"text": f"Replaced it in line {line}."}


def _replace(tree: Tree, path: str, data: bytes, *, make_folders: bool = False) -> None:
    """As a new file in its place, so that one who is killed in the middle leaves the old one."""
    if not tree.writable:
        raise Refused(f"{tree.names[0]} can only be read")
    folder, name = tree.place(path, make_folders=make_folders)
    try:
        mode = 0o644
        try:
            now = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            if stat.S_ISDIR(now.st_mode):
                raise IsADirectoryError
            if not stat.S_ISREG(now.st_mode):
                raise Refused("this is there, and is not a file")
            mode = stat.S_IMODE(now.st_mode)
        new = f".{os.urandom(8).hex()}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(new, flags, 0o600, dir_fd=folder), "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
            os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            _forget(new, folder)
            raise
    finally:
        os.close(folder)


def _forget(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def _list(tree: Tree, path: str, _given: dict[str, str]) -> dict[str, str]:
    lines = []
    total = 0
    for now, folder, name in tree.entries(path):
        total += 1
        if total > _ENTRIES:
            continue
        if stat.S_ISDIR(now.st_mode):
            lines.append(f"{name}/")
        elif stat.S_ISLNK(now.st_mode):
            lines.append(f"{name} -> {os.readlink(name, dir_fd=folder)}")
        else:
            lines.append(f"{name}  {now.st_size}")
    if total > _ENTRIES:
        lines.append(f"[and {total - _ENTRIES} more]")
    return {"text": "\n".join(lines) or "The folder is empty."}


def _glob(tree: Tree, path: str, given: dict[str, str]) -> dict[str, str]:
    return {"text": glob(tree, path, given["pattern"], _before(given))}


def _grep(tree: Tree, path: str, given: dict[str, str]) -> dict[str, str]:
    return {"text": grep(tree, path, given["pattern"], given.get("glob", ""), _before(given))}


def _before(given: dict[str, str]) -> str:
    """So that what is found can be given as a path as it stands."""
    path = given.get("path", "").rstrip("/")
    return f"{path}/" if path not in ("", ".") else ""


_COMMANDS = {"read": _read, "write": _write, "edit": _edit, "list": _list, "glob": _glob, "grep": _grep}
