"""The pages of docs/: their commands are typed into a shell as they stand, and print what stands below them."""

import asyncio
import re
from pathlib import Path

import pytest
from google.protobuf import json_format

from managedagents import Client
from managedagents.v1 import agent_pb2, service_pb2
from managedagents_server.log import backup
from support.server import running
from support.shell import shell
from support.typed import ROOT, Page, Reader, Step, free_port, lay_out

DOCS = {path.stem: Page(f"docs/{path.name}") for path in sorted((ROOT / "docs").glob("*.md"))}
TYPED = [name for name, page in DOCS.items() if page.blocks("console")]
METHODS = [method.name for method in service_pb2.DESCRIPTOR.services_by_name["ManagedAgentRuntime"].methods]


def steps(page: Page) -> list[Step]:
    """With the server of the quickstart before them, where the page starts none itself."""
    found = page.steps()
    starts_itself = any(step.command.startswith("managedagents-server --listen ") for step in found)
    return found if starts_itself else [*DOCS["quickstart"].steps()[:2], *found]


@pytest.mark.long
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", TYPED)
async def test_a_page_prints_what_it_says(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path)
    port = free_port()
    async with shell(tmp_path, {"MANAGEDAGENTS_SERVER": f"127.0.0.1:{port}", "HOME": str(tmp_path)}) as typed_into:
        reader = Reader(typed_into, tmp_path, port)
        for step in steps(DOCS[name]):
            await reader.follow(step)


def test_every_program_and_file_is_saved_and_so_tried() -> None:
    for name in TYPED:
        page = DOCS[name]
        saved = [step.command for step in page.steps() if step.file]
        shown = [*page.blocks("python"), *page.blocks("yaml"), *page.blocks("toml"), *page.blocks("markdown")]
        assert sorted(saved) == sorted(shown), name


def test_every_file_that_is_saved_is_used() -> None:
    for name in TYPED:
        found = DOCS[name].steps()
        commands = " ".join(step.command for step in found if not step.file)
        assert [step.file for step in found if step.file and step.file.split("/")[0] not in commands] == [], name


def test_the_index_lists_every_page() -> None:
    listed = re.findall(r"^\| \[[^]]+\]\(([a-z-]+)\.md\)", DOCS["README"].text, re.MULTILINE)
    assert sorted(listed) == sorted(DOCS.keys() - {"README"})


def test_grpcurl_makes_every_call_of_the_service() -> None:
    page = DOCS["grpcurl"]
    made = [step.command.split()[1] for step in page.steps() if step.command.startswith("rpc ")]
    assert set(made) == set(METHODS)
    assert [method for method in METHODS if f"**{method}**" not in page.text] == []
    assert f"the {len(METHODS)} calls" in page.text


def test_the_definition_of_mcp_servers_is_one() -> None:
    (block,) = DOCS["tools"].blocks("json")
    assert len(json_format.Parse(block, agent_pb2.AgentDefinition()).mcp_servers) == 3


def test_each_row_of_recovery_names_a_test_that_there_is() -> None:
    rows = [line for line in DOCS["recovery"].text.splitlines() if line.startswith("| ") and "shown by" not in line]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`([a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", row.split(" | ")[-1])
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(), test


@pytest.mark.long
async def test_a_short_turn_takes_about_as_much_of_the_disk_as_is_said(tmp_path: Path) -> None:
    (said,) = re.findall(r"take about (\d+) bytes", DOCS["operating"].text)
    answer = {"text": "It is 19 degrees in Oslo, with a light wind."}
    sizes = []

    async def talk(client: Client, agent_id: str) -> None:
        session = (await client.start_session(agent_id)).session_id
        for _ in range(20):
            await client.run(session, "How is the weather in Oslo today?")

    async with (
        running(tmp_path / "log.db", "--synchronous", "normal") as server,
        Client.connect(server.address) as client,
    ):
        agent = await client.create({"name": "weather", "model": {"scripted": {"responses": [answer]}}})
        for number in range(2):
            await asyncio.gather(*(talk(client, agent.agent_id) for _ in range(20)))
            backup(server.db, tmp_path / f"{number}.db")
            sizes.append((tmp_path / f"{number}.db").stat().st_size)
    assert 0.8 < (sizes[1] - sizes[0]) / 400 / int(said) < 1.25
