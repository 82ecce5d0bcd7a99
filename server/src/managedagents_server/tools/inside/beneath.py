"""Paths that stay below a folder. Where there is no sandbox around it this is all that holds them, so each step is
taken from an open folder to the next, and links are read and followed here: nobody can put one in the way meanwhile."""

import os
import stat
from collections.abc import Iterator, Mapping

_LINKS = 40
"""In one path, as in the kernel."""
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
DEEP = 128
"""Folders in folders that a walk looks into."""


class Refused(Exception):
    """In words for the model."""


class Tree:
    """A folder, and what may be reached in it."""

    def __init__(self, folder: str, names: tuple[str, ...], writable: bool) -> None:
        """`names`: how absolute paths into it may begin; the first one is said."""
        self.folder = folder
        self.names = names
        self.writable = writable

    def within(self, path: str) -> str | None:
        """The rest of an absolute path that leads into it."""
        for name in self.names:
            if path == name or path.startswith(name + "/"):
                return path[len(name) :]
        return None

    def handle(self, path: str, *, make_folders: bool = False) -> int:
        """What is there, links followed, open as a mere handle."""
        folder, name = self.place(path, make_folders=make_folders)
        try:
            return os.open(name, _HANDLE, dir_fd=folder)
        finally:
            os.close(folder)

    def place(self, path: str, *, make_folders: bool = False) -> tuple[int, str]:
        """An open folder and the name in it that the path comes to, which is no link and may not be there."""
        steps = _steps(path)[::-1]
        links = 0
        way = [os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            while steps:
                step = steps.pop()
                if step == "..":
                    if len(way) == 1:
                        raise Refused(f"this leads out of {self.names[0]}")
                    os.close(way.pop())
                    continue
                target = _link(step, way[-1])
                if target is not None:
                    links += 1
                    if links > _LINKS:
                        raise Refused("there are too many symbolic links")
                    if target.startswith("/"):
                        inner = self.within(target)
                        if inner is None:
                            raise Refused(f"this leads out of {self.names[0]} by a symbolic link to {target!r}")
                        target = inner
                        while len(way) > 1:
                            os.close(way.pop())
                    steps += _steps(target)[::-1]
                elif not steps:
                    return os.dup(way[-1]), step
                else:
                    way.append(_entered(step, way[-1], make_folders))
            return os.dup(way[-1]), "."
        finally:
            for folder in way:
                os.close(folder)

    def entries(self, path: str) -> Iterator[tuple[os.stat_result, int, str]]:
        """What is in a folder, by name: what it is, and the open folder with the name in it."""
        folder = _reopened(self.handle(path))
        try:
            for name in reversed(_listed(folder)):
                try:
                    now = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except OSError:
                    continue
                yield now, folder, name
        finally:
            os.close(folder)

    def walk(self, path: str) -> Iterator[tuple[str, os.stat_result, int, str]]:
        """All that is below a folder, by name: the path from there, what it is, and an open folder with the name in it.
        Links are told, not followed."""
        top = _reopened(self.handle(path))
        levels = [(top, "", _listed(top))]
        try:
            while levels:
                folder, before, entries = levels[-1]
                if not entries:
                    levels.pop()
                    os.close(folder)
                    continue
                name = entries.pop()
                try:
                    now = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except OSError:
                    continue
                yield before + name, now, folder, name
                if stat.S_ISDIR(now.st_mode) and len(levels) < DEEP:
                    try:
                        below = os.open(
                            name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
                        )
                    except OSError:
                        continue
                    levels.append((below, f"{before}{name}/", _listed(below)))
        finally:
            for folder, _, _ in levels:
                os.close(folder)


class Trees:
    """The workspace and the skills."""

    def __init__(self, workspace: str, working_dir: str, skills: Mapping[str, str]) -> None:
        self.workspace = Tree(workspace, tuple(dict.fromkeys(("/workspace", workspace))), writable=True)
        self._working_dir = "/" + "/".join(_steps(working_dir))
        self._skills = [
            Tree(folder, tuple(dict.fromkeys((f"/skills/{name}", folder))), writable=False)
            for name, folder in skills.items()
        ]

    def find(self, path: str) -> tuple[Tree, str]:
        """Which one a path leads into, and the path from its top."""
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            raise Refused("there is half a character in it") from None
        if "\0" in path:
            raise Refused("there is a NUL in it")
        if not path.startswith("/"):
            return self.workspace, f"{self._working_dir}/{path}"
        for tree in (self.workspace, *self._skills):
            inner = tree.within(path)
            if inner is not None:
                return tree, inner
        # Models think of the workspace as of the whole machine now and then.
        return self.workspace, path


def reading(tree: Tree, path: str) -> int:
    """A plain file, open to be read."""
    handle = tree.handle(path)
    kind = os.fstat(handle).st_mode
    if stat.S_ISREG(kind):
        return _reopened(handle)
    os.close(handle)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError
    raise Refused("this is not a file that can be read")


def _reopened(handle: int) -> int:
    """The same, to be read. By this name no link is followed, and it is what was looked at."""
    try:
        return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(handle)


def _steps(path: str) -> list[str]:
    return [step for step in path.split("/") if step not in ("", ".")]


def _link(name: str, folder: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError:
        # It is none, or is not there, which the next step finds out.
        return None


def _entered(name: str, folder: int, make: bool) -> int:
    flags = _HANDLE | os.O_DIRECTORY
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        if not make:
            raise
    os.mkdir(name, dir_fd=folder)
    return os.open(name, flags, dir_fd=folder)


def _listed(folder: int) -> list[str]:
    """The last one first."""
    with os.scandir(folder) as entries:
        return sorted((entry.name for entry in entries), reverse=True)
