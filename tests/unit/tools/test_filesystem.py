"""The tool `filesystem` reads and writes in the workspace, and nowhere else: with a sandbox around it and without."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from managedagents_server.tools.base import Outcome, Place
from managedagents_server.tools.filesystem import Filesystem
from managedagents_server.tools.inside.search import matcher
from managedagents_server.tools.sandbox import Mode, Sandbox
from support.sandboxes import QUICK, asked, place_in, sh, until, usable, words

pytestmark = pytest.mark.long

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture(params=list(Mode))
async def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return await usable(request.param)


@pytest.fixture
def files(sandbox: Sandbox) -> Filesystem:
    return Filesystem(sandbox)


@pytest.fixture
async def place(sandbox: Sandbox) -> AsyncIterator[Place]:
    async with place_in(sandbox) as made:
        yield made


async def done(files: Filesystem, place: Place, command: str, **given: object) -> str:
    outcome = await asked(files, place, command=command, **given)
    assert not outcome.is_error, words(outcome)
    return words(outcome)


async def refused(files: Filesystem, place: Place, command: str, **given: object) -> str:
    outcome: Outcome = await asked(files, place, command=command, **given)
    assert outcome.is_error
    return words(outcome)


async def test_what_is_written_can_be_read_edited_and_found(files: Filesystem, place: Place) -> None:
    assert await done(files, place, "write", path="src/a.py", content="one\nzwei\nthree\n") == "Wrote 15 bytes."
    assert await done(files, place, "edit", path="src/a.py", old="zwei", new="two") == "Replaced it in line 2."
    assert await done(files, place, "read", path="src/a.py") == "one\ntwo\nthree\n"
    assert await done(files, place, "read", path="src/a.py", first_line=2, last_line=2) == "two\n"
    assert await done(files, place, "list") == "src/"
    assert await done(files, place, "list", path="src") == "a.py  14"
    assert await done(files, place, "glob", pattern="**/*.py") == "src/a.py"
    assert await done(files, place, "grep", pattern="t[wh]") == "src/a.py:2: two\nsrc/a.py:3: three"
    assert await done(files, place, "grep", pattern="two", path="src", glob="*.py") == "src/a.py:2: two"
    assert await done(files, place, "grep", pattern="two", path="src/a.py") == "src/a.py:2: two"
    assert await done(files, place, "grep", pattern="two", glob="*.c") == "Nothing matches 'two'."


async def test_writing_replaces_and_keeps_who_may_run_it(sandbox: Sandbox, files: Filesystem, place: Place) -> None:
    await sh(sandbox, place, "echo '#!/bin/sh' > run; chmod 755 run")
    await done(files, place, "write", path="run", content="#!/bin/sh\necho ran")
    assert (await sh(sandbox, place, "./run; ls -A")).output == "ran\nrun\n"


async def test_paths_are_taken_from_the_working_directory_and_absolute_ones_from_the_top(
    sandbox: Sandbox, files: Filesystem, place: Place
) -> None:
    place = replace(place, working_dir="in/here")
    for path in ("x", "/workspace/in/here/x", f"{sandbox.folder(place)}/in/here/x", "/in/here/x", "../here/./x"):
        await done(files, place, "write", path=path, content=path)
        assert (place.workspace / "in/here/x").read_text() == path
    assert await done(files, place, "list") == f"x  {len('../here/./x')}"


@pytest.mark.parametrize(
    "path",
    ["../secret", "a/../../secret", "/workspace/../secret", "link/secret", "up/secret", "chain/secret", "file", "loop"],
)
async def test_no_way_leads_out(sandbox: Sandbox, files: Filesystem, place: Place, path: str) -> None:
    secret = place.workspace.parent / "secret"
    secret.write_text("do-not-tell")
    secret.chmod(0o666)
    links = f"ln -s {secret.parent} link; ln -s ../.. up; ln -s link chain; ln -s {secret} file; ln -s loop loop"
    await sh(sandbox, place, f"mkdir a; {links}")
    given = {"path": path, "content": "taken", "old": "do", "new": "taken", "pattern": "tell"}
    commands = ("read", "write", "edit", "list", "glob", "grep")
    for said in await asyncio.gather(*(refused(files, place, command, **given) for command in commands)):
        assert "leads out of /workspace" in said or "too many symbolic links" in said
        assert "do-not-tell" not in said
    assert secret.read_text() == "do-not-tell"
    secret.unlink()


async def test_links_within_the_workspace_are_followed(sandbox: Sandbox, files: Filesystem, place: Place) -> None:
    await sh(
        sandbox,
        place,
        "mkdir -p a/b; echo x > a/b/file; ln -s a/b short; ln -s ../b/file a/b/again; ln -s ~/a/b/file full",
    )
    for path in ("short/file", "a/b/again", "full", "short/../b/file"):
        assert await done(files, place, "read", path=path) == "x\n"
    await done(files, place, "write", path="full", content="y")
    assert (place.workspace / "a/b/file").read_text() == "y"
    assert (place.workspace / "full").is_symlink()
    assert "full -> " in await done(files, place, "list")


async def test_a_link_that_changes_all_the_time_leads_nowhere_else(
    sandbox: Sandbox, files: Filesystem, place: Place, tmp_path: Path
) -> None:
    outside = place.workspace.parent / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    (outside / "file").write_text("do-not-tell")
    (outside / "file").chmod(0o666)
    swap = (
        f"mkdir inside; echo mine > inside/file; ln -s {outside} evil; touch up; "
        "while :; do mv -T inside way; mv -T way inside; mv -T evil way; mv -T way evil; done"
    )
    swapping = asyncio.create_task(sh(sandbox, place, swap))
    await until((place.workspace / "up").exists)
    for _ in range(5):
        for command in ("read", "grep", "write"):
            outcome = await asked(files, place, command=command, path="way/file", pattern=".*", content="mine")
            assert "do-not-tell" not in words(outcome)
    swapping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await swapping
    assert (outside / "file").read_text() == "do-not-tell"
    (outside / "file").unlink()
    outside.rmdir()


async def test_an_edit_that_is_not_clear_is_refused_with_the_count(files: Filesystem, place: Place) -> None:
    await done(files, place, "write", path="x", content="a b a")
    assert "2 times" in await refused(files, place, "edit", path="x", old="a", new="c")
    assert "is not in the file" in await refused(files, place, "edit", path="x", old="A", new="c")
    assert await done(files, place, "read", path="x") == "a b a"


@pytest.mark.parametrize(
    ("command", "given", "said"),
    [
        ("read", {"path": "none"}, "none: there is no such file or folder"),
        ("read", {"path": "folder"}, "folder: this is a folder; use list"),
        ("read", {"path": "file/x"}, "file/x: this is not a folder"),
        ("list", {"path": "file"}, "file: this is not a folder"),
        ("write", {"path": "folder", "content": ""}, "folder: this is a folder"),
        ("write", {"path": "pipe", "content": ""}, "not a file"),
        ("read", {"path": "pipe"}, "pipe: this is not a file that can be read"),
        ("read", {"path": "a\0b"}, "a␀b: there is a NUL in it"),
        ("read", {"path": "a\ud83d"}, "half a character"),
        ("read", {"path": "x" * 5000}, "File name too long"),
        ("grep", {"pattern": "("}, "not a regular expression"),
        ("glob", {"pattern": "../*"}, "cannot lead upwards"),
        ("read", {}, "read needs path."),
        ("edit", {"path": "file"}, "edit needs old and new."),
    ],
)
async def test_what_cannot_be_done_is_said(
    sandbox: Sandbox, files: Filesystem, place: Place, command: str, given: dict[str, object], said: str
) -> None:
    await sh(sandbox, place, "mkdir folder; echo x > file; mkfifo pipe")
    assert said in await refused(files, place, command, **given)


async def test_images_are_shown_and_other_binary_files_described(
    sandbox: Sandbox, files: Filesystem, place: Place
) -> None:
    await sh(sandbox, place, "true")
    (place.workspace / "a.dat").write_bytes(PNG)
    (place.workspace / "b.dat").write_bytes(b"\x7fELF\0\1")
    (place.workspace / "big").write_bytes(PNG + bytes(2 << 20))
    outcome = await asked(files, place, command="read", path="a.dat")
    assert [(block.image.media_type, block.image.data) for block in outcome.content] == [("image/png", PNG)]
    assert (
        await done(files, place, "read", path="b.dat")
        == "This is a binary file of 6 bytes, beginning with 7f 45 4c 46 00 01."
    )
    assert "cannot be shown" in await refused(files, place, "read", path="big")


async def test_long_answers_are_cut_and_say_so(sandbox: Sandbox, files: Filesystem, place: Place) -> None:
    await sh(
        sandbox,
        place,
        "seq 50000 > long; head -c 300000 /dev/zero | tr '\\0' x > line; mkdir many; cd many; seq 3000 | xargs touch",
    )
    said = await done(files, place, "read", path="long")
    assert said.startswith("1\n2\n")
    assert "give first_line and last_line" in said
    assert len(said) < 66_000
    assert len(await done(files, place, "read", path="line")) < 66_000
    assert await done(files, place, "read", path="long", first_line=49_999) == "49999\n50000\n"
    assert await done(files, place, "read", path="long", first_line=60_000) == "The file has no such lines."
    assert (await done(files, place, "list", path="many")).endswith("[and 2000 more]")
    assert "[there are more than 500" in await done(files, place, "glob", pattern="many/*")
    assert "[there may be more" in await done(files, place, "grep", pattern="1")
    assert len(await done(files, place, "grep", pattern="x+", path="line")) < 500


async def test_names_and_content_that_are_no_text_are_told_legibly(
    sandbox: Sandbox, files: Filesystem, place: Place
) -> None:
    await sh(sandbox, place, "printf 'a\\xffb\\n' > $'odd\\xffname\\n'")
    assert await done(files, place, "list") == "odd?name\n  4"
    assert await done(files, place, "grep", pattern="a") == "odd?name\n:1: a�b"


async def test_skills_can_be_read_by_their_name(sandbox: Sandbox, files: Filesystem, place: Place) -> None:
    skill = place.workspace.parent / "some-skill"
    skill.mkdir(mode=0o755)
    (skill / "SKILL.md").write_text("how\n")
    (skill / "out").symlink_to("/etc/passwd")
    place = replace(place, skills={"pdf": skill})
    assert await done(files, place, "read", path="/skills/pdf/SKILL.md") == "how\n"
    assert await done(files, place, "grep", pattern="h", path="/skills/pdf") == "/skills/pdf/SKILL.md:1: how"
    assert "can only be read" in await refused(files, place, "write", path="/skills/pdf/SKILL.md", content="x")
    assert "leads out of /skills/pdf" in await refused(files, place, "read", path="/skills/pdf/out")
    assert "leads out of /skills/pdf" in await refused(files, place, "read", path="/skills/pdf/../x")
    assert (skill / "SKILL.md").read_text() == "how\n"


async def test_in_a_full_workspace_nothing_can_be_written_but_all_read(
    sandbox: Sandbox, files: Filesystem, place: Place
) -> None:
    await sh(sandbox, place, "head -c 2M /dev/zero > big; echo x > small")
    place = replace(place, bounds=replace(QUICK, disk_bytes=1 << 20))
    assert "the workspace holds more than 1 MiB" in await refused(files, place, "write", path="y", content="")
    assert "Beware" in await done(files, place, "read", path="small")


async def test_a_pattern_that_takes_forever_is_ended(files: Filesystem, place: Place) -> None:
    await done(files, place, "write", path="x", content="a" * 40)
    place = replace(place, bounds=replace(QUICK, wall_time=0.5))
    outcome = await asked(files, place, command="grep", pattern="(a+)+b")
    assert outcome.timed_out
    assert "longer than 0.5 s" in words(outcome)


@pytest.mark.parametrize(
    ("pattern", "fits", "does_not"),
    [
        ("*.py", ["a.py"], ["a/b.py", "a.pyc"]),
        ("**/*.py", ["a.py", "a/b/c.py"], ["a.pyc"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a/bz"]),
        ("[!a]?.[ch]", ["bb.c", "-x.h"], ["ab.c", "b.c", "/b.c"]),
        ("/a[", ["a["], ["a"]),
        ("[]].(x)", ["].(x)"], ["a.(x)"]),
    ],
)
def test_patterns_fit_what_they_should(pattern: str, fits: list[str], does_not: list[str]) -> None:
    compiled = matcher(pattern)
    assert all(compiled.fullmatch(path) for path in fits)
    assert not any(compiled.fullmatch(path) for path in does_not)


async def test_all_but_edits_may_run_again(files: Filesystem) -> None:
    assert [
        name for name in ("read", "list", "glob", "grep", "write", "edit") if files.repeatable({"command": name})
    ] == [
        "read",
        "list",
        "glob",
        "grep",
        "write",
    ]
    schema = json.loads(files.declaration.input_schema_json)
    check = jsonschema.Draft202012Validator(schema)
    assert check.is_valid({"command": "read", "path": "x", "first_line": 1})
    for wrong in (
        {},
        {"command": "rm"},
        {"command": "read", "path": "x", "first_line": 0},
        {"command": "list", "all": True},
    ):
        assert not check.is_valid(wrong)
