"""However much a command writes, and whatever: the model gets something to read, and the server keeps its memory."""

import resource
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from managedagents_server.tools.base import Place
from managedagents_server.tools.sandbox import Cut, Mode, Sandbox, Whole
from managedagents_server.tools.sandbox.output import KEPT, clean, legible
from support.sandboxes import QUICK, place_in, sh, usable

pytestmark = pytest.mark.long


@pytest.fixture(params=list(Mode))
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await usable(request.param)


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    async with place_in(sandbox) as made:
        yield made


async def test_of_long_output_the_middle_is_left_out_and_all_kept_in_a_file(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, "seq 100000")
    assert said.output.startswith("1\n2\n3\n")
    assert said.output.endswith("99999\n100000\n")
    assert len(said.output) < 2 * KEPT + 300
    note = next(line for line in said.output.splitlines() if line.startswith("[..."))
    path = note.split("in the file ")[1].split()[0]
    assert (await sh(sandbox, place, f"seq 100000 | cmp - {path} && rm {path} && echo same")).output == "same\n"


async def test_endless_output_is_ended_and_costs_no_memory(sandbox: Sandbox, place: Place) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    place = replace(place, bounds=replace(QUICK, file_bytes=32 << 20))
    said = await sh(sandbox, place, "yes")
    assert "its output is larger than 32 MiB" in said.ended.stopped
    assert len(said.output) < 2 * KEPT + 300
    (kept,) = (place.workspace / ".outputs").iterdir()
    assert kept.stat().st_size == (32 << 20) + 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


async def test_binary_output_is_legible(sandbox: Sandbox, place: Place) -> None:
    said = await sh(sandbox, place, "printf 'a\\0b\\xff\\xfe\\xf0\\x9f\\033[31m\\ttab\\n'; head -c 200000 /dev/urandom")
    assert said.output.startswith("a␀b���␛[31m\ttab\n")
    assert "\0" not in said.output
    said.output.encode()


def test_what_is_no_text_becomes_some() -> None:
    assert legible(b"\x80 \xc3\xa4 \xed\xa0\x80 \x7f") == "� ä ��� ␡"
    assert clean("\udcff name \x01") == "? name ␁"


@pytest.mark.parametrize("piece", [1, 1000, KEPT, 2 * KEPT, 2 * KEPT + 1, 5 * KEPT])
async def test_it_makes_no_difference_in_which_pieces_output_comes(piece: int) -> None:
    data = b"".join(b"%09d\n" % number for number in range(10000))
    kept = Cut(lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")), len(data))
    for at in range(0, len(data), piece):
        assert not await kept.take(data[at : at + piece])
    head, rest = kept.text().split("\n[... ")
    note, tail = rest.split(" ...]\n")
    assert (head.encode(), tail.encode()) == (data[:KEPT], data[-KEPT:])
    assert note.startswith(f"{len(data) - 2 * KEPT} bytes of the output are left out here; it could not be kept")
    assert note.endswith("No space left on device")
    assert await kept.take(b"x")


async def test_an_answer_that_is_too_long_is_refused() -> None:
    whole = Whole(4)
    assert not await whole.take(b"1234")
    assert "larger than 4 bytes" in await whole.take(b"5")
    assert len(whole.data) == 5
