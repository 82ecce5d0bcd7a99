"""The command line of bubblewrap.

Its options go in through a file descriptor: arguments are seen by everybody on the machine, and they hold the session's
environment. For the same reason, and because a variable like LD_PRELOAD works on bubblewrap, too, that environment is
never the one bubblewrap itself is started with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox.python import Python

WORKSPACE = "/workspace"
SKILLS = "/skills"

_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_PLAIN = ("alternatives", "ld.so.cache")
"""Of /etc: without it half of Debian's commands are links to nowhere."""
_NETWORK = ("ca-certificates", "hosts", "nsswitch.conf", "pki", "resolv.conf", "ssl/certs", "ssl/openssl.cnf")
_UID = "1000"
_PASSWD = f"agent:x:{_UID}:{_UID}::{WORKSPACE}:/bin/bash\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
_GROUP = f"agent:x:{_UID}:\nnogroup:x:65534:\n"
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the folders of the sandbox are found."""

    workspace: Path
    prefix: Path | None
    skills: Mapping[str, Path]


def texts(place: Place) -> dict[str, str]:
    """Files that a sandbox has, with what is in them."""
    made = {"/etc/passwd": _PASSWD, "/etc/group": _GROUP}
    return made if place.network else made | {"/etc/hosts": _HOSTS}


def options(
    place: Place, sources: Sources, python: Python, env: Mapping[str, str], made: Mapping[str, int], status: int
) -> Iterator[str]:
    """`made`: a file descriptor for each of `texts`. `status`: one to which bubblewrap writes."""
    yield from ("--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session")
    if place.network:
        yield "--share-net"
    yield from ("--cap-drop", "ALL", "--uid", _UID, "--gid", _UID, "--hostname", "sandbox")
    yield from ("--json-status-fd", str(status))
    # First: without it the rest of the machine would lie below what comes now.
    yield from ("--tmpfs", "/", "--ro-bind", "/usr", "/usr")
    for name in _LINKS:
        link = Path("/", name)
        if link.is_symlink():
            yield from ("--symlink", str(link.readlink()), str(link))
        elif link.is_dir():
            yield from ("--ro-bind", str(link), str(link))
    for name in (*_PLAIN, *(_NETWORK if place.network else ())):
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for path, content in made.items():
        yield from ("--ro-bind-data", str(content), path)
    yield from ("--proc", "/proc", "--dev", "/dev")
    # What is written here is memory. Without a size each could hold half of the machine's.
    yield from _memory("/dev/shm", place.bounds.memory_bytes // 8)
    yield from ("--remount-ro", "/dev")
    yield from _memory("/tmp", place.bounds.memory_bytes // 4)
    if sources.prefix is not None and python.prefix is not None:
        yield from ("--ro-bind", str(sources.prefix), str(python.prefix))
    for folder in python.hidden:
        yield from ("--size", "4096", "--tmpfs", str(folder), "--remount-ro", str(folder))
    for name, source in sources.skills.items():
        yield from ("--ro-bind", str(source), f"{SKILLS}/{name}")
    yield from ("--bind", str(sources.workspace), WORKSPACE, "--chdir", f"{WORKSPACE}/{place.working_dir}")
    yield "--clearenv"
    for name, value in env.items():
        yield from ("--setenv", name, value)
    yield from ("--remount-ro", "/")


def _memory(path: str, size: int) -> Sequence[str]:
    return ("--perms", "1777", "--size", str(max(size, 4096)), "--tmpfs", path)
