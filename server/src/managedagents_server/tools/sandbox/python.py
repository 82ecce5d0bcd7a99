"""The Python for the tools: that of the server, without what is installed for the server."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_USR = Path("/usr")


@dataclass(frozen=True, slots=True)
class Python:
    executable: Path
    prefix: Path | None
    """Where it is installed. None: below /usr, which every sandbox has."""
    hidden: tuple[Path, ...]
    """Folders there and below /usr that are the server's."""


def server_python() -> Python:
    base = Path(sys.base_prefix)
    prefix = None if base.is_relative_to(_USR) else base
    executable = base / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not executable.exists():
        executable = Path(sys.executable).resolve()
    shown = [_USR] if prefix is None else [_USR, prefix]
    hidden = sorted(folder for folder in _of_the_server() if any(folder.is_relative_to(top) for top in shown))
    return Python(executable, prefix, tuple(hidden))


def _of_the_server() -> set[Path]:
    # Images of containers like to have an application and its data there.
    folders = {Path("/usr/src")}
    if sys.prefix != sys.base_prefix:
        folders.add(Path(sys.prefix))
    folders |= {Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    for package in ("managedagents", "managedagents_server"):
        found = find_spec(package)
        folders |= {Path(folder).parent for folder in (found and found.submodule_search_locations) or ()}
    return {folder for folder in folders if folder.is_dir() and not folder.samefile(_USR)}
