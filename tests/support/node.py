"""Node.js, and what a test needs of npm, from a lock: nothing is installed outside .cache."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What `make node` brought, or else the machine's own.
_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def installed(source: Path, folder: Path) -> str:
    """The node program; the packages that are locked in `source` are in `folder`."""
    node, npm = shutil.which("node", path=_PATH), shutil.which("npm", path=_PATH)
    if node is None or npm is None:
        raise RuntimeError("this needs Node.js 20.15 or newer, with npm: run `make node`")
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "installed.json"
    locked = (source / "package-lock.json").read_text()
    if not done.exists() or done.read_text() != locked:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(source / name, folder / name)
        _run(npm, "ci", "--no-progress", cwd=folder)
        done.write_text(locked)
    # What is found may be a wrapper, and killing that would leave node itself alive.
    return _run(node, "--print", "process.execPath", cwd=folder).splitlines()[-1]


def _run(*command: str, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": _PATH}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}")
    return done.stdout
