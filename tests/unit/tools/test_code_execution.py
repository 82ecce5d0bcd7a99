"""The tool `code_execution` runs Python and shows what it drew."""

import struct
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from managedagents_server.tools.base import Outcome, Place
from managedagents_server.tools.code_execution import CodeExecution
from managedagents_server.tools.sandbox import Mode, Sandbox
from support.sandboxes import QUICK, asked, place_in, sh, usable, words

pytestmark = pytest.mark.long


def png(side: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = zlib.compress((b"\0" + b"\x80" * side) * side, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.fixture(params=list(Mode))
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await usable(request.param)


@pytest.fixture
def tool(sandbox: Sandbox) -> CodeExecution:
    return CodeExecution(sandbox)


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    async with place_in(sandbox) as made:
        yield made


def images(outcome: Outcome) -> list[tuple[str, bytes]]:
    return [(block.image.media_type, block.image.data) for block in outcome.content if block.HasField("image")]


async def test_what_is_printed_comes_back_in_order(tool: CodeExecution, place: Place) -> None:
    code = "import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c', __name__, sys.argv, repr(sys.stdin.read()))"
    outcome = await asked(tool, place, code=code)
    assert words(outcome) == "a\nb\nc __main__ [''] ''"
    assert not outcome.is_error


async def test_an_exception_shows_the_code_and_nothing_of_ours(tool: CodeExecution, place: Place) -> None:
    outcome = await asked(tool, place, code="def f():\n    return 1 / 0\n\nf()")
    assert outcome.is_error
    said = words(outcome).splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert said[1] == '  File "<code>", line 4, in <module>'
    assert "    return 1 / 0" in said
    assert said[-2:] == ["ZeroDivisionError: division by zero", "[exit status 1]"]
    assert "managedagents" not in words(outcome)


async def test_code_that_is_none_is_said(tool: CodeExecution, place: Place) -> None:
    outcome = await asked(tool, place, code="def f(:\n  pass")
    assert outcome.is_error
    assert "SyntaxError" in words(outcome)
    assert "line 1" in words(outcome)


async def test_code_may_be_long_and_have_any_characters(tool: CodeExecution, place: Place) -> None:
    code = f"x = '{'ä' * 200_000}'\nprint(len(x), '\ud83d')"
    assert words(await asked(tool, place, code=code)) == "200000 ?"


async def test_modules_of_the_workspace_and_its_processes_work(tool: CodeExecution, place: Place) -> None:
    await asked(tool, place, code="open('mine.py', 'w').write('def twice(x): return 2 * x')")
    code = (
        "import mine, multiprocessing as m\n"
        "if __name__ == '__main__':\n    with m.Pool(2) as pool: print(pool.map(mine.twice, [1, 2]))"
    )
    assert words(await asked(tool, place, code=code)) == "[2, 4]"
    assert not (place.workspace / "__pycache__").exists()


async def test_images_that_were_drawn_are_shown_and_other_files_named(
    sandbox: Sandbox, tool: CodeExecution, place: Place
) -> None:
    await sh(sandbox, place, "echo old > old.txt")
    code = f"""
import os
os.makedirs("out/.hidden")
for at in ("out/a.png", "out/.hidden/b.png"): open(at, "wb").write({png()!r})
open("c.jpg", "wb").write(b"\\xff\\xd8\\xff\\xe0")
open("not.png", "w").write("text")
os.mkfifo("pipe.png")
os.symlink("/etc/passwd", "link.png")
"""
    outcome = await asked(tool, place, code=code)
    assert sorted(images(outcome)) == [("image/jpeg", b"\xff\xd8\xff\xe0"), ("image/png", png())]
    named = words(outcome)
    for name in ("out/a.png (69 bytes, shown)", "c.jpg (4 bytes, shown)", "not.png (4 bytes)"):
        assert name.replace("69", str(len(png()))) in named
    for name in ("old.txt", "hidden", "pipe", "link"):
        assert name not in named
    assert not images(await asked(tool, place, code="1"))


async def test_images_are_bounded_in_number_and_size(tool: CodeExecution, place: Place) -> None:
    code = f"for i in range(60): open(f'{{i}}.png', 'wb').write({png()!r})"
    outcome = await asked(tool, place, code=code)
    assert len(images(outcome)) == 5
    assert ", and 10 more]" in words(outcome)
    assert (await asked(tool, place, code="import glob, os\nfor name in glob.glob('*.png'): os.remove(name)")).content
    code = f"for i in range(4): open(f'{{i}}.png', 'wb').write({png()!r} + bytes(700_000))"
    assert len(images(await asked(tool, place, code=code))) == 1


async def test_code_that_takes_too_long_is_ended_and_its_files_are_told(tool: CodeExecution, place: Place) -> None:
    outcome = await asked(tool, place, code="open('x', 'w').close()\nprint('begun')\nwhile True: pass", timeout=0.5)
    assert outcome.timed_out
    assert outcome.is_error
    assert words(outcome).splitlines()[0] == "begun"
    assert "longer than 0.5 s" in words(outcome)
    assert "[files written: x (0 bytes)]" in words(outcome)


async def test_code_has_the_bounds_of_the_place(tool: CodeExecution, place: Place) -> None:
    place = replace(place, bounds=replace(QUICK, memory_bytes=128 << 20))
    outcome = await asked(tool, place, code="bytearray(300 << 20)")
    assert "MemoryError" in words(outcome)


async def test_code_begins_in_the_working_directory(sandbox: Sandbox, tool: CodeExecution, place: Place) -> None:
    outcome = await asked(tool, replace(place, working_dir="a/b"), code="import os; print(os.getcwd())")
    assert words(outcome) == f"{sandbox.folder(place)}/a/b"


def test_a_program_does_not_run_twice(tool: CodeExecution) -> None:
    assert not tool.repeatable({"code": "1"})
