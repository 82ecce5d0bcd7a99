"""Every scenario, through the Python client: its lines are what stands beside it, byte for byte."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from conformance.lines import Json
from conformance.runner import run
from conformance.servers import flags, has_its_own, server_of
from support.keys import KEYMARK
from support.server import Server

HERE = Path(__file__).parent
SCENARIOS = sorted((HERE / "scenarios").glob("*.json"))

Servers = Callable[[Json], Awaitable[Server]]


def read(path: Path) -> Json:
    return json.loads(path.read_text("utf-8"))


def named(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.stem)


def expected(path: Path) -> str:
    return path.with_suffix(".expected").read_text("utf-8")


def text(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """One server for all scenarios that start theirs in the same way."""
    started: dict[tuple[str, ...], Server] = {}

    async def server(scenario: Json) -> Server:
        way = flags(scenario)
        if way not in started:
            started[way] = server_of(scenario, tmp_path_factory.mktemp("conformance") / "log.db")
            await started[way].start()
        return started[way]

    yield server
    for running in started.values():
        await running.kill()


@named([path for path in SCENARIOS if not has_its_own(read(path))])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_session_does_what_its_scenario_says(path: Path, servers: Servers) -> None:
    scenario = read(path)
    assert text(await run(scenario, await servers(scenario))) == expected(path)


@pytest.mark.long
@named([path for path in SCENARIOS if has_its_own(read(path))])
async def test_a_server_that_is_handled_roughly_does_as_its_scenario_says(path: Path, tmp_path: Path) -> None:
    scenario = read(path)
    server = server_of(scenario, tmp_path / "log.db")
    await server.start()
    try:
        assert text(await run(scenario, server)) == expected(path)
    finally:
        await server.kill()


@named(SCENARIOS)
def test_a_scenario_follows_the_schema_and_bears_the_name_of_its_file(path: Path) -> None:
    schema = read(HERE / "scenario.schema.json")
    Draft202012Validator.check_schema(schema)
    scenario = read(path)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(scenario)] == []
    assert scenario["name"] == path.stem


@named(SCENARIOS)
def test_what_is_expected_was_waited_for_and_is_the_same_in_every_run(path: Path) -> None:
    lines = expected(path).splitlines()
    assert not {"cut", "timeout"} & set(lines)
    assert not [
        line for line in lines if re.search(r"(agt|ses|log)_[0-9a-z]{20,}|use_[0-9]+_", line) and "refused" not in line
    ]


@named([path for path in SCENARIOS if KEYMARK in path.read_text("utf-8")])
def test_a_key_that_goes_in_never_comes_out(path: Path) -> None:
    assert KEYMARK not in expected(path)


def test_every_verb_that_the_schema_knows_is_used_by_a_scenario() -> None:
    verbs = set(read(HERE / "scenario.schema.json")["$defs"]["step"]["properties"])
    assert verbs == {verb for path in SCENARIOS for step in read(path)["steps"] for verb in step}
