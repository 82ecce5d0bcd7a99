"""The README: its commands are typed into a shell as they stand, and print what stands below them."""

import re
from pathlib import Path

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2
from managedagents_server.providers import operator_file
from support.shell import shell
from support.typed import Page, Reader, free_port, lay_out

pytestmark = pytest.mark.long

PAGE = Page("README.md")
README = PAGE.text


@pytest.mark.timeout(180)
async def test_the_tour_prints_what_it_says(tmp_path: Path) -> None:
    lay_out(tmp_path)
    port = free_port()
    async with shell(tmp_path, {"MANAGEDAGENTS_SERVER": f"127.0.0.1:{port}", "HOME": str(tmp_path)}) as typed_into:
        reader = Reader(typed_into, tmp_path, port)
        for step in PAGE.steps():
            await reader.follow(step)
    said = (tmp_path / "tour.log").read_text()
    assert '"message": "listening"' in said
    assert "Oslo" not in said, "what people and models say is not logged"


def test_the_models_that_it_tells_to_write_are_such() -> None:
    for block in PAGE.blocks("json"):
        assert json_format.Parse(block, agent_pb2.Model()).WhichOneof("ref")


def test_the_providers_file_that_it_tells_to_write_is_one(tmp_path: Path) -> None:
    (block,) = PAGE.blocks("toml")
    (tmp_path / "team-a.key").write_text("a-key\n")
    (tmp_path / "providers.toml").write_text(block)
    settings = operator_file.read(tmp_path / "providers.toml", {}, lambda name: None, {})
    row = settings.table.find("qwen3")
    assert row is not None
    assert settings.credentials[row.credential].fits(row.provider, "https://models.example.com/v1")


def test_the_first_screen_says_what_it_is_and_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:24])
    assert "gRPC service" in first
    assert re.findall(r"^make ([a-z]+) ", first, re.MULTILINE) == ["demo", "test"]
