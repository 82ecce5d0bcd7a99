"""Finds files by their names, and lines by what is in them."""

import os
import re
import stat
from collections.abc import Iterator

from managedagents_server.tools.inside.beneath import Refused, Tree

_ENTRIES = 500
_LINE = 400
"""Characters of a line that are shown."""
_SHOWN = 48 * 1024
"""Characters of all lines together."""
_FILE = 16 * 1024 * 1024
"""Bytes of a file that is searched."""


def matcher(pattern: str) -> "re.Pattern[str]":
    """`**` is any folders, also none; `*`, `?` and `[...]` stay in one name."""
    out = ""
    steps = [step for step in pattern.split("/") if step not in ("", ".")]
    if ".." in steps:
        raise Refused("a pattern cannot lead upwards: give the folder to begin in as the path")
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        if step == "**":
            out += ".+" if last else "(?:[^/]+/)*"
        else:
            out += _name(step) + ("" if last else "/")
    return re.compile(out, re.DOTALL)


def _name(pattern: str) -> str:
    out = ""
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            out += "[^/]*"
        elif character == "?":
            out += "[^/]"
        elif character == "[" and (end := pattern.find("]", at + 1 + (pattern[at : at + 1] == "!"))) > 0:
            inner = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[")
            out += f"[^/{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
            at = end + 1
        else:
            out += re.escape(character)
    try:
        re.compile(out)
    except re.error as error:
        raise Refused(f"{pattern!r} is not a pattern: {error}") from error
    return out


def glob(tree: Tree, path: str, pattern: str, said: str) -> str:
    """`said`: what stands before each path."""
    fits = matcher(pattern)
    found: list[str] = []
    for inner, now, _, _ in tree.walk(path):
        if fits.fullmatch(inner):
            if len(found) == _ENTRIES:
                found.append(f"[there are more than {_ENTRIES}: say more in the pattern]")
                break
            found.append(said + inner + ("/" if stat.S_ISDIR(now.st_mode) else ""))
    return "\n".join(found) or f"Nothing matches {pattern!r}."


def grep(tree: Tree, path: str, pattern: str, names: str, said: str) -> str:
    """`names`: a glob of the files to look into. One without a slash is of the names alone."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise Refused(f"{pattern!r} is not a regular expression of Python: {error}") from error
    fits = matcher(names if "/" in names else f"**/{names or '*'}")
    shown: list[str] = []
    size = 0
    for inner, folder, name in _files(tree, path):
        # A single file was named itself, so every pattern for names fits.
        if inner and not fits.fullmatch(inner):
            continue
        for number, line in enumerate(_lines(folder, name), 1):
            if not wanted.search(line):
                continue
            cut = line if len(line) <= _LINE else line[:_LINE] + " [...]"
            shown.append(f"{said + inner if inner else said.rstrip('/')}:{number}: {cut}")
            size += len(shown[-1])
            if len(shown) == _ENTRIES or size > _SHOWN:
                shown.append("[there may be more: say more in the pattern, or name a path]")
                return "\n".join(shown)
    return "\n".join(shown) or f"Nothing matches {pattern!r}."


def _files(tree: Tree, path: str) -> Iterator[tuple[str, int, str]]:
    folder, name = tree.place(path)
    try:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(now.st_mode):
            yield "", folder, name
            return
    finally:
        os.close(folder)
    for inner, now, inner_folder, inner_name in tree.walk(path):
        if stat.S_ISREG(now.st_mode):
            yield inner, inner_folder, inner_name


def _lines(folder: int, name: str) -> list[str]:
    """Of a text. A binary file, and one that cannot be read, has none."""
    try:
        # What became a pipe meanwhile must not make it wait.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return []
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        data = file.read(_FILE)
    return [] if b"\0" in data[:8192] else data.decode("utf-8", "replace").splitlines()
