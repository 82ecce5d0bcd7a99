"""The pages that are made from the protos, the limits and the READMEs of the clients are what those give."""

import importlib
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from managedagents.v1 import error_pb2, event_pb2, status_event_pb2
from managedagents_server.tools.mcp.bounds import McpBounds
from managedagents_server.words.limits import Limits

DOCS = Path(__file__).parents[2] / "docs"
GENERATED = ("clients.md", "events.md", "errors.md", "limits.md")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, DOCS / "reference.py", folder], check=True)
    return folder


def test_making_them_again_changes_nothing(fresh: Path) -> None:
    assert sorted(path.name for path in fresh.iterdir()) == sorted(GENERATED)
    assert [name for name in GENERATED if (fresh / name).read_text() != (DOCS / name).read_text()] == []


def test_every_kind_of_event_has_a_section(fresh: Path) -> None:
    headings = [line for line in (fresh / "events.md").read_text().splitlines() if line.startswith("### ")]
    kinds = [field.name.replace("_", ".", 1) for field in event_pb2.SessionEvent.DESCRIPTOR.oneofs[0].fields]
    assert [f"### {kind}" for kind in kinds] == headings[: len(kinds)]


def test_every_reason_and_code_has_a_row(fresh: Path) -> None:
    page = (fresh / "errors.md").read_text()
    reasons = [name.removeprefix("ERROR_REASON_") for name in error_pb2.ErrorReason.keys()[1:]]
    codes = status_event_pb2.ErrorCode.keys()[1:]
    assert [name for name in [*reasons, *codes] if page.count(f"| `{name}` |") != 1] == []


def test_every_limit_has_a_row(fresh: Path) -> None:
    page = (fresh / "limits.md").read_text()
    assert [limit.name for limit in (*fields(Limits), *fields(McpBounds)) if f"| `{limit.name}` |" not in page] == []


def test_every_client_has_its_example(fresh: Path) -> None:
    page = (fresh / "clients.md").read_text()
    clients = [path.parent.name for path in (DOCS.parent / "clients").glob("*/README.md")]
    assert clients
    assert [name for name in clients if f"](../clients/{name}/README.md)" not in page] == []


def test_the_readme_shows_the_lines_that_each_other_client_shows_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    examples = importlib.import_module("examples")
    clients = {path.parent.name for path in (DOCS.parent / "clients").glob("*/README.md")} - {"python"}
    readme = (DOCS.parent / "README.md").read_text()
    assert [name for name in sorted(clients) if examples.lines(name) not in readme] == []
