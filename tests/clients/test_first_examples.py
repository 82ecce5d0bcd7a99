"""The first example of each client's README: copied into an empty folder, it runs and prints what stands below it.

What a reader would get from a registry is made here as it would be published there, and takes the place of the
published one in the package file or the commands. Nothing else is changed but the server's address."""

import asyncio
import os
import re
import signal
import sys
import tarfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.server import running
from support.typed import BLOCK, FILE, PORT, ROOT, Page

pytestmark = [pytest.mark.languages, pytest.mark.timeout(600)]

CLIENTS = ROOT / "clients"


@dataclass(frozen=True, slots=True)
class Example:
    files: dict[str, str]
    commands: str
    printed: str


def first_example(language: str) -> Example:
    text = Page(f"clients/{language}/README.md").text
    section = text[text.index("\n## First example\n") : text.index("\n## Run\n")]
    files, commands, end = {}, [], 0
    for block in BLOCK.finditer(section):
        if named := FILE.findall(section[end : block.start()]):
            files[named[-1]] = block[2]
        elif block[1] == "sh":
            commands.append(block[2])
        end = block.end()
    (printed,) = re.findall(r"^It prints\s+`+(?:text\n)?([^`\n]+)", section, re.MULTILINE)
    return Example(files, "".join(commands), printed)


async def run(*command: str | Path, cwd: Path) -> str:
    """What it printed. In an environment that leads neither to the sources of this repository nor, for Python, to what
    the tests have installed; all that it has started is gone at the end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            # The Python, and the Node.js, that `make` brought.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            # What is built of dependencies is kept for the next time.
            "CARGO_TARGET_DIR": str(CLIENTS / "rust/target"),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert process.returncode == 0, out.decode() + err.decode()
    # Maven ends by resetting the terminal's colours, also where there is no terminal.
    return re.sub(r"\x1b\[\d*m", "", out.decode())


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def version(package: Path) -> str:
    return package.stem.removeprefix("managedagents-")


async def python(made: Path) -> tuple[str, str]:
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", made)
    await run(sys.executable, "-m", "pip", "wheel", *options, CLIENTS / "python", cwd=made)
    wheel = only(made, "*.whl")
    return "pip install managedagents", f"pip install {wheel}"


async def go(made: Path) -> tuple[str, str]:
    module = "github.com/managedagents/managedagents/clients/go"
    return f"go get {module}", f"go mod edit -replace {module}@v0.1.0={CLIENTS / 'go'}\ngo get {module}@v0.1.0"


async def typescript(made: Path) -> tuple[str, str]:
    await run("make", "setup", cwd=CLIENTS / "typescript")
    await run("npm", "pack", "--pack-destination", made, cwd=CLIENTS / "typescript")
    tarball = only(made, "managedagents-*.tgz")
    return f'"managedagents": "^{version(tarball)}"', f'"managedagents": "file:{tarball}"'


async def java(made: Path) -> tuple[str, str]:
    repository = made / "repository"
    lend(Path.home() / ".m2/repository", repository, "io", "github", "managedagents")
    there = f"-Dmaven.repo.local={repository}"
    skipped = ("-DskipTests", "-Dmaven.javadoc.skip", "-Dmaven.source.skip")
    await run("mvn", there, "--quiet", *skipped, "install", cwd=CLIENTS / "java")
    return "mvn ", f"mvn {there} "


def lend(repository: Path, to: Path, *but: str) -> None:
    """Another repository with all that is in this one, but for one folder: what is fetched for the one is there for the
    other, and what is installed into that folder stays away from it."""
    to.mkdir()
    apart, *below = but
    for entry in repository.iterdir() if repository.exists() else ():
        if entry.name != apart:
            (to / entry.name).symlink_to(entry)
    if below:
        lend(repository / apart, to / apart, *below)


async def rust(made: Path) -> tuple[str, str]:
    options = ("--quiet", "--no-verify", "--allow-dirty", "--target-dir", made)
    await run("cargo", "package", *options, cwd=CLIENTS / "rust")
    crate = only(made, "package/managedagents-*.crate")
    with tarfile.open(crate) as packed:
        packed.extractall(made, filter="data")
    return f'managedagents = "{version(crate)}"', f'managedagents = {{ path = "{made / crate.stem}" }}'


PUBLISH: dict[str, Callable[[Path], Awaitable[tuple[str, str]]]] = {
    "python": python,
    "go": go,
    "typescript": typescript,
    "java": java,
    "rust": rust,
}
"""By language: makes the package in a folder; what names the published one, and what to say instead."""


@pytest.mark.parametrize("language", sorted(path.parent.name for path in CLIENTS.glob("*/README.md")))
async def test_the_first_example_of_a_readme_runs_in_an_empty_folder(language: str, tmp_path: Path) -> None:
    example = first_example(language)
    folder, made = tmp_path / "empty", tmp_path / "made"
    folder.mkdir()
    made.mkdir()
    published, local = await PUBLISH[language](made)
    assert "".join([*example.files.values(), example.commands]).count(published) == 1
    async with running(tmp_path / "log.db") as server:

        def here(text: str) -> str:
            return text.replace(published, local).replace(f"127.0.0.1:{PORT}", server.address)

        for name, text in example.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(here(text))
        out = await run("bash", "-euc", here(example.commands), cwd=folder)
    assert out.splitlines()[-1] == example.printed
