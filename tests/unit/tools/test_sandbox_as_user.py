"""What holds for a server that runs as root holds for one that an ordinary user runs: the same tests, as one."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from managedagents_server.tools.sandbox.owner import reachable

NOBODY = 65534
HERE = Path(__file__)
# Not by the `user` of subprocess: it forks, and the threads of gRPC in this process do not survive that.
BECOME = (
    "import os, sys; n = int(sys.argv[1]); os.setgroups([]); os.setgid(n); os.setuid(n); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
TESTS = ("test_sandbox*.py", "test_bash.py", "test_filesystem.py", "test_code_execution.py")


def python() -> str:
    """One that anybody may run, and that can load what is installed for this one."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{version}"):
        if Path(path).exists() and reachable(Path(path).resolve(), NOBODY):
            return path
    pytest.skip("there is no Python of this version that an ordinary user may run")


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.skipif(os.geteuid() != 0, reason="this is already done by an ordinary user")
async def test_an_ordinary_user_gets_the_same() -> None:
    root = HERE.parents[3]
    if not all(reachable(Path(folder), NOBODY) for folder in (root / "tests", pytest.__file__)):
        pytest.skip("an ordinary user may not read what is tested")
    folder = Path(tempfile.mkdtemp(prefix="nobody-"))
    os.chown(folder, NOBODY, NOBODY)
    env = {
        "PATH": "/usr/bin:/bin",
        "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if reachable(Path(path or "."), NOBODY)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    tests = sorted({str(path) for pattern in TESTS for path in HERE.parent.glob(pattern)} - {str(HERE)})
    options = ("-p", "no:cacheprovider", f"--basetemp={folder}/pytest", "-n0")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BECOME, str(NOBODY), python(), "-m", "pytest", *options, *tests, env=env, cwd=root,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    shutil.rmtree(folder)
    assert process.returncode == 0, output.decode()
