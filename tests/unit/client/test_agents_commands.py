"""`managedagents agents …` as a process, against a service that does what a test says."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from managedagents import parse_definition
from managedagents.v1 import agent_pb2, model_pb2, session_pb2
from managedagents.v1 import service_pb2 as pb
from support.command import Command
from support.fake_service import Context, FakeService, refuse, serving

FIRST = {"name": "a", "system": "Be kind.\nBe short.", "model": {"name": "gemini-x"}}
SECOND = {**FIRST, "system": "Be kind.\nBe brief.", "token_budget": 9}


class Agents:
    """One agent, by version."""

    def __init__(self, *definitions: Mapping[str, Any], conflict: bool = False) -> None:
        self.definitions = [parse_definition(definition) for definition in definitions]
        self.conflict = conflict
        self.service = FakeService({"GetAgent": self.get, "UpdateAgent": self.update, "ListAgents": self.list})

    async def get(self, request: pb.GetAgentRequest, context: Context) -> pb.GetAgentResponse:
        version = request.version if request.HasField("version") else len(self.definitions)
        if not 1 <= version <= len(self.definitions):
            await refuse(context, grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")
        definition = self.definitions[version - 1]
        return pb.GetAgentResponse(agent=agent_pb2.Agent(agent_id="agt_1", version=version, definition=definition))

    async def update(self, request: pb.UpdateAgentRequest, context: Context) -> pb.UpdateAgentResponse:
        if self.conflict:
            await refuse(context, grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
        return pb.UpdateAgentResponse(version=request.version + 1)

    async def list(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        usage = model_pb2.Usage(requests=3, input_tokens=1200, output_tokens=34)
        used = agent_pb2.Agent(agent_id="agt_1", version=2, definition=self.definitions[-1], usage=usage)
        used.archive_time.GetCurrentTime()
        return pb.ListAgentsResponse(
            agents=[used, agent_pb2.Agent(agent_id="agt_2", version=1, definition=self.definitions[0])]
        )


@asynccontextmanager
async def asking(service: FakeService, **environment: str) -> AsyncIterator[Command]:
    async with serving(service) as address:
        yield Command(address, **environment)


async def test_diff_compares_the_newest_version_with_the_one_before() -> None:
    async with asking(Agents({"name": "x"}, FIRST, SECOND).service) as command:
        told = await command("agents", "diff", "agt_1")
    assert told.out.splitlines() == [
        "--- agt_1 version 2",
        "+++ agt_1 version 3",
        "@@ -1,6 +1,7 @@",
        " name: a",
        " system: |-",
        "   Be kind.",
        "-  Be short.",
        "+  Be brief.",
        " model:",
        "   name: gemini-x",
        "+token_budget: 9",
    ]
    assert (told.code, told.err) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "code", "first"),
    [
        (("2",), 1, "--- agt_1 version 2"),
        (("1",), 0, None),
        (("1", "2"), 1, "--- agt_1 version 1"),
        (("2", "1"), 1, "--- agt_1 version 2"),
        (("2", "2"), 0, None),
        (("1", "3"), 0, None),
        (("7",), 2, None),
    ],
)
async def test_diff_has_the_exit_codes_of_diff(arguments: tuple[str, ...], code: int, first: str | None) -> None:
    async with asking(Agents(FIRST, SECOND, FIRST).service) as command:
        told = await command("agents", "diff", "agt_1", *arguments)
    assert told.code == code
    assert next(iter(told.out.splitlines()), None) == first
    assert ("AGENT_NOT_FOUND" in told.err) == (code == 2)


async def test_diff_of_an_agent_with_one_version_says_so() -> None:
    async with asking(Agents(FIRST).service) as command:
        told = await command("agents", "diff", "agt_1")
    assert (told.code, "has one version" in told.err) == (2, True)


async def test_diff_as_json_is_one_object() -> None:
    async with asking(Agents(FIRST, SECOND).service) as command:
        told = await command("agents", "diff", "agt_1", "--json")
    found = json.loads(told.out)
    assert (found["agentId"], found["from"], found["to"], told.code) == ("agt_1", "1", "2", 1)
    assert "+token_budget: 9\n" in found["diff"]


async def test_a_definition_that_was_got_can_be_given_back(tmp_path: Path) -> None:
    agents = Agents(FIRST, {"name": "a", "model": {"provider_model": {"provider": "openai", "api_key": ""}}})
    file = tmp_path / "a.yaml"
    async with asking(agents.service) as command:
        got = await command("agents", "get", "agt_1", "--definition")
        assert "api_key: ''" in got.out
        file.write_text(got.out)
        told = await command("agents", "update", "agt_1", str(file))
    assert (told.code, told.out) == (0, "agt_1 is at version 3\n")
    request = agents.service.asked[-1]
    assert (request.version, request.definition) == (2, agents.definitions[1])
    assert request.definition.model.provider_model.HasField("api_key"), "empty, it keeps the key"


async def test_an_update_that_lost_a_race_says_what_to_do(tmp_path: Path) -> None:
    agents = Agents(FIRST, conflict=True)
    async with asking(agents.service) as command:
        told = await command("agents", "update", "agt_1", "-", "--version", "7", stdin=json.dumps(FIRST))
    assert [request.version for request in agents.service.asked] == [7]
    assert told.code == 1
    assert told.err == (
        "error: agt_1 has a newer version than 7, and was not changed now: "
        "see `managedagents agents diff agt_1 7` and update again [VERSION_CONFLICT]\n"
    )


async def test_a_key_comes_from_the_environment_and_is_printed_nowhere() -> None:
    agents = Agents(FIRST)
    definition = json.dumps({"name": "a", "model": {"provider_model": {"provider": "openai", "model": "m"}}})
    async with asking(agents.service, KEY="KEYMARK-openai-1\n") as command:
        told = await command("agents", "update", "agt_1", "-", "--api-key-env", "KEY", stdin=definition)
        by_name = await command("agents", "update", "agt_1", "-", "--api-key-env", "KEY", stdin=json.dumps(FIRST))
        unset = await command("agents", "update", "agt_1", "-", "--api-key-env", "NO_KEY", stdin=definition)
    assert told.code == 0
    assert agents.service.asked[-1].definition.model.provider_model.api_key == "KEYMARK-openai-1"
    assert [by_name.code, unset.code] == [2, 2]
    assert "NO_KEY" in unset.err
    assert not any("KEYMARK" in said for one in (told, by_name, unset) for said in (one.out, one.err))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {
                "reason": "INVALID_REQUEST",
                "fields": {
                    "definition.tools[0].custom.input_schema_json": "is no JSON Schema",
                    "definition.model": "is required",
                },
            },
            [
                "FILE:1:1: model: is required [INVALID_REQUEST]",
                "FILE:5:7: tools[0].custom.input_schema_json: is no JSON Schema [INVALID_REQUEST]",
            ],
        ),
        (
            {"reason": "NOT_IMPLEMENTED", "field": "definition.tools[1].bash"},
            ["FILE:6:5: refused [NOT_IMPLEMENTED]"],
        ),
        ({"reason": "INVALID_REQUEST", "fields": {"request_id": "is too long"}}, ["refused [INVALID_REQUEST]"]),
        ({"reason": "PROVIDER_UNUSABLE"}, ["refused [PROVIDER_UNUSABLE]"]),
    ],
)
async def test_what_the_server_refuses_is_told_with_its_line(
    tmp_path: Path, more: dict[str, Any], said: list[str]
) -> None:
    async def create(request: pb.CreateRequest, context: Context) -> None:
        await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, **more)

    file = tmp_path / "a.yaml"
    file.write_text("name: a\ntools:\n  - custom:\n      name: b\n      inputSchema: {type: 5}\n  - bash:\n")
    async with asking(FakeService({"Create": create})) as command:
        told = await command("agents", "create", str(file))
    assert told.code == 1
    assert told.err.splitlines() == [f"error: {line}".replace("FILE", str(file)) for line in said]


async def test_list_shows_version_state_and_usage() -> None:
    async with asking(Agents(FIRST).service) as command:
        told = await command("agents", "list")
    used, new = told.out.splitlines()
    assert used.split()[:4] == ["agt_1", "v2", "a", "gemini-x"]
    assert used.endswith("archived  1200 tokens in, 34 out")
    assert "archived" not in new
    assert "tokens" not in new


async def test_check_asks_no_server(tmp_path: Path) -> None:
    command = Command("127.0.0.1:1")
    right = await command("agents", "check", "-", stdin=json.dumps(FIRST))
    assert (right.code, right.out, right.err) == (0, "stdin is a definition\n", "")
    wrong = await command("agents", "check", "-", stdin="name: a\ntools:\n- custom: {}\n")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.splitlines() == [
        "error: stdin:1:1: model: is required",
        "error: stdin:3:3: tools[0].custom.name: is required",
    ]


async def test_overrides_of_a_session_come_from_a_file(tmp_path: Path) -> None:
    async def start(request: pb.StartSessionRequest, context: Context) -> pb.StartSessionResponse:
        if request.overrides.system:
            await refuse(
                context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields={"overrides.system": "is rude"}
            )
        return pb.StartSessionResponse(session_id="ses_1")

    service = FakeService({"StartSession": start})
    async with asking(service) as command:
        told = await command("start", "agt_1", "--version", "3", "--overrides", "-", stdin="system: ''\ntools: []\n")
        rude = await command("start", "agt_1", "--overrides", "-", stdin="tools: []\nsystem: x\n")
        wrong = await command("start", "agt_1", "--overrides", "-", stdin="sistem: x\n")
    assert told.out == "ses_1\n"
    assert service.asked[0].version == 3
    assert service.asked[0].overrides.HasField("system")
    assert service.asked[0].overrides.HasField("tools")
    assert rude.err == "error: stdin:2:1: system: is rude [INVALID_REQUEST]\n"
    assert (wrong.code, wrong.err) == (2, "error: stdin:1:1: sistem: unknown field; did you mean `system`?\n")


ENVIRONMENT = """\
env:
  A: "1"
network: true
limits:
  wall_time: 10s
  processes: 3
"""


async def test_the_environment_of_a_session_comes_from_a_file(tmp_path: Path) -> None:
    async def start(request: pb.StartSessionRequest, context: Context) -> pb.StartSessionResponse:
        if request.environment.working_dir:
            fields = {"environment.working_dir": "is elsewhere", "environment.env[A B]": "is no name"}
            await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", fields=fields)
        return pb.StartSessionResponse(session_id="ses_1")

    file = tmp_path / "environment.yaml"
    file.write_text(ENVIRONMENT)
    rude = 'env:\n  A B: "1"\nworking_dir: ..\n'
    service = FakeService({"StartSession": start})
    async with asking(service) as command:
        told = await command("start", "agt_1", "--environment", str(file))
        refused = await command("start", "agt_1", "--environment", "-", stdin=rude)
        wrong = await command("start", "agt_1", "--environment", "-", stdin="limits:\n  wall_time: long\n  memory: 1\n")
    assert told.out == "ses_1\n"
    given = service.asked[0].environment
    assert (dict(given.env), given.network) == ({"A": "1"}, True)
    assert (given.limits.wall_time.seconds, given.limits.processes) == (10, 3)
    assert not service.asked[0].HasField("overrides")
    assert refused.err.splitlines() == [
        "error: stdin:2:3: env[A B]: is no name [INVALID_REQUEST]",
        "error: stdin:3:1: working_dir: is elsewhere [INVALID_REQUEST]",
    ]
    assert wrong.code == 2
    assert [line.split(": ")[1:3] for line in wrong.err.splitlines()] == [
        ["stdin:2:3", "limits.wall_time"],
        ["stdin:3:3", "limits.memory"],
    ]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("CUSTOM_TOOL_RESULT", 'waits for an answer: bash {"command": "ls"}  (use_3_a)'),
        ("TOOL_RESULT", 'waits for an answer: bash {"command": "ls"}  (use_3_a)'),
        ("TOOL_CONFIRMATION", 'waits for a confirmation: bash {"command": "ls"}  (use_3_a)'),
    ],
)
async def test_status_says_for_each_use_what_it_waits_for(kind: str, line: str) -> None:
    action = session_pb2.PendingAction(
        tool_use_id="use_3_a",
        name="bash",
        input_json='{"command": "ls"}',
        kind=session_pb2.PendingActionKind.Value(f"PENDING_ACTION_KIND_{kind}"),
    )

    async def status(request: pb.StatusRequest, context: Context) -> pb.StatusResponse:
        return pb.StatusResponse(status=session_pb2.SESSION_STATUS_RUNNING, head_seq=3, pending_actions=[action])

    async with asking(FakeService({"Status": status})) as command:
        told = await command("status", "ses_1")
    assert told.out.splitlines() == ["running at seq 3", line]


async def test_a_message_beside_allow_is_wrong_usage() -> None:
    async with asking(FakeService({})) as command:
        told = await command("confirm", "ses_1", "use_1", "--allow", "--message", "go")
    assert (told.code, "Only a --deny has a --message." in told.err) == (2, True)
