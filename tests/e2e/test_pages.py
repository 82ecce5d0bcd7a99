"""What holds of every page: it points at what is there, and names what there is."""

import re
import subprocess
import sys
from functools import cache
from itertools import chain

import pytest

from support.typed import ROOT, Page

PAGES = [
    *(Page(name) for name in ("README.md", "CONTRIBUTING.md")),
    *(Page(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md"))),
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)


@cache
def anchors(path: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", Page(path).text, re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_everything_it_points_at_is_there(page: Page) -> None:
    folder = (ROOT / page.path).parent
    for target in re.findall(r"\]\(([^)]+)\)", page.text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (folder / name).resolve() if name else ROOT / page.path
        assert file.exists(), target
        assert not anchor or anchor in anchors(str(file.relative_to(ROOT))), target


@each_page
def test_every_target_of_make_that_it_names_is_one(page: Page) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^)make ((?:[a-z-]+ ?)+)", page.text, re.MULTILINE)
    assert set(chain(*(names.split() for names in named))) <= targets


@each_page
def test_its_blocks_are_of_kinds_that_are_tried(page: Page) -> None:
    kinds = {"console", "python", "sh", "json", "toml", "yaml", "markdown", "go", "ts", "java", "rust", ""}
    assert page.kinds() <= kinds
    assert all(block.startswith("$ ") for block in page.blocks("console"))


@cache
def helps() -> str:
    server, client = ["-m", "managedagents_server"], ["-c", "from managedagents.cli import main; main()"]
    of_client = ("agents check", "answer", "confirm", "log", "outcome", "start")
    asked = [
        *(server, [*server, "backup"], [*server, "restore"]),
        *(client, *([*client, *name.split()] for name in of_client)),
        ["-m", "bench"],
    ]
    run = (
        subprocess.run([sys.executable, *of, "--help"], capture_output=True, text=True, check=True, cwd=ROOT / "tests")
        for of in asked
    )
    return "".join(done.stdout for done in run)


@pytest.mark.long
@each_page
def test_every_flag_and_limit_it_names_is_one(page: Page) -> None:
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.text.replace("python -m pytest", "")))
    assert flags <= set(re.findall(r"--[a-z][a-z-]+", helps()))
    assert set(re.findall(r"--limit ([a-z_]+)", page.text)) <= set(re.findall(r"^  ([a-z_]+)=", helps(), re.MULTILINE))
