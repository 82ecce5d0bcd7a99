"""A session's folder on disk: made, measured and removed by the server, although what is in it was made by programs
that the session chose. So nothing here follows a symbolic link, goes by a path that somebody may exchange meanwhile, or
trusts that a folder may be entered or ends somewhere."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from managedagents_server.tools.sandbox.errors import SandboxError

DEEP = 128
"""Folders in folders that are looked into. Each costs a file descriptor while it is."""
UNMEASURED = 1 << 62
"""The size of what is deeper than that, or of a folder that its owner closed to us: no bound allows it."""

_ENTRY = 4096
"""Bytes that a file costs at least, so that millions of empty ones are not free."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """Something in a workspace. `folder` is open only until the next one is asked for."""

    folder: int
    path: str
    stat: os.stat_result | None
    """None: a folder that could not be looked into."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def make(workspace: Path, working_dir: str, uid: int | None) -> None:
    """Makes both where they are not there, and gives them to `uid`. Also mends what a session did to its own top."""
    parts = _parts(working_dir)
    try:
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        here = os.open(workspace, _HANDLE)
    except OSError as error:
        raise SandboxError(f"the workspace cannot be made: {error.strerror}") from error
    try:
        _own(here, uid, 0o700)
        for part in parts:
            above, here = here, _entered(here, part, uid)
            os.close(above)
    except OSError as error:
        raise SandboxError(f"the working directory {working_dir!r} cannot be entered: {error.strerror}") from error
    finally:
        os.close(here)


def _parts(working_dir: str) -> list[str]:
    parts = [part for part in working_dir.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in working_dir:
        raise SandboxError(f"the working directory {working_dir!r} leads out of the workspace")
    return parts


def _entered(folder: int, name: str, uid: int | None) -> int:
    try:
        return os.open(name, _HANDLE, dir_fd=folder)
    except FileNotFoundError:
        os.mkdir(name, 0o755, dir_fd=folder)
    made = os.open(name, _HANDLE, dir_fd=folder)
    _own(made, uid, 0o755)
    return made


def _own(handle: int, uid: int | None, mode: int) -> None:
    # A handle opened by path alone cannot be changed itself; by this name it can, and no link is followed.
    name = f"/proc/self/fd/{handle}"
    now = os.fstat(handle)
    if uid is not None and (now.st_uid, now.st_gid) != (uid, uid):
        os.chown(name, uid, uid)
    if stat.S_IMODE(now.st_mode) != mode:
        os.chmod(name, mode)  # noqa: PTH101 - a path object would resolve the name


def walk(workspace: Path) -> Iterator[Found]:
    """Everything in it, folders before what they hold. What vanishes meanwhile is left out."""
    try:
        # A session may have closed it to all, itself included.
        top = _writable(str(workspace), None)
    except (FileNotFoundError, NotADirectoryError):
        return
    levels = [(top, "", _listed(top))]
    try:
        while levels:
            folder, path, entries = levels[-1]
            if not entries:
                levels.pop()
                os.close(folder)
                continue
            name = entries.pop()
            try:
                now = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield Found(folder, path + name, now)
            if stat.S_ISDIR(now.st_mode):
                try:
                    below = _opened(name, folder) if len(levels) < DEEP else None
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if below is None:
                    yield Found(folder, path + name, None)
                else:
                    levels.append((below, f"{path}{name}/", _listed(below)))
    finally:
        for folder, _, _ in levels:
            os.close(folder)


def _listed(folder: int) -> list[str]:
    # The names alone would do for os.listdir, which wants a path or a handle that stays where it is.
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _opened(name: str, folder: int) -> int | None:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        return None


def measure(workspace: Path) -> int:
    """Bytes that it takes up on the disk. Holes in files are free, and a file of two names counts once. Raises
    SandboxError when the server itself lacks what it takes to look."""
    try:
        return _measured(workspace)
    except OSError as error:
        raise SandboxError(f"the workspace cannot be measured: {error.strerror}") from error


def _measured(workspace: Path) -> int:
    total = 0
    twice: set[tuple[int, int]] = set()
    for found in walk(workspace):
        now = found.stat
        if now is None:
            return UNMEASURED
        if now.st_nlink > 1 and not stat.S_ISDIR(now.st_mode):
            if (now.st_dev, now.st_ino) in twice:
                continue
            twice.add((now.st_dev, now.st_ino))
        total += max(_ENTRY, now.st_blocks * 512)
    return total


def remove(workspace: Path) -> None:
    """However deep it is: what lies in a folder is brought up to the top before the folder goes, so that two are open
    at most. Nothing of the session may run any more."""
    try:
        top = _writable(str(workspace), None)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        # Without isolation, a session may have put something else in its place.
        workspace.unlink()
        return
    try:
        while names := _listed(top):
            for name in names:
                if _is_folder(name, top):
                    _emptied(name, top)
                    os.rmdir(name, dir_fd=top)
                else:
                    os.unlink(name, dir_fd=top)
    finally:
        os.close(top)
    workspace.rmdir()


def _emptied(name: str, top: int) -> None:
    folder = _writable(name, top)
    try:
        for inner in _listed(folder):
            if _is_folder(inner, folder):
                # To move a folder, its owner must be allowed to write in it.
                os.close(_writable(inner, folder))
                os.rename(inner, secrets.token_hex(16), src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)


def _is_folder(name: str, folder: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


def _writable(name: str, folder: int | None) -> int:
    handle = os.open(name, _HANDLE, dir_fd=folder)
    try:
        _own(handle, None, 0o700)
        return os.open(".", _FOLDER, dir_fd=handle)
    finally:
        os.close(handle)


def output_file(workspace: Path, uid: int | None) -> tuple[int, str]:
    """A new file for the output of a call, open for writing, and its path in the workspace."""
    name = f"{secrets.token_hex(4)}.txt"
    top = os.open(workspace, _HANDLE)
    try:
        with suppress(FileExistsError):
            os.mkdir(".outputs", 0o755, dir_fd=top)
        folder = os.open(".outputs", _HANDLE, dir_fd=top)
        try:
            _own(folder, uid, 0o755)
            file = os.open(
                name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
            )
        finally:
            os.close(folder)
    finally:
        os.close(top)
    if uid is not None:
        os.fchown(file, uid, uid)
    return file, f".outputs/{name}"
