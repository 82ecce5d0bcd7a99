"""Which model a definition names, where it is, and which key goes there."""

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from managedagents.v1 import agent_pb2, status_event_pb2
from managedagents_server.providers import Operator, Providers, names
from managedagents_server.providers.base import Endpoint, ModelFailure
from managedagents_server.providers.finding import Unusable, find
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.clock import SystemClock
from managedagents_server.words.errors import InvalidRequest, ProviderUnusable
from managedagents_server.words.limits import Limits
from support.keys import key

OPENAI, ANTHROPIC, GEMINI, OLLAMA, COMPATIBLE = (
    f"PROVIDER_{name}" for name in ("OPENAI", "ANTHROPIC", "GEMINI", "OLLAMA", "OPENAI_COMPATIBLE")
)
GATEWAY = "https://gateway.example.org/v1"
LAN = "http://10.0.0.1:8000/v1"
LOOPBACK = "http://127.0.0.1:11434/v1"

FILE = f"""
[credentials.openai]
key = "{key("openai")}"

[credentials.gemini]
key = "{key("gemini")}"
base_url = "https://gemini.example.org"

[credentials.openai-team-a]
key = "{key("team")}"

[credentials.gateway]
key = "{key("gateway")}"
base_url = "{GATEWAY}"

[credentials.lan]
key = "{key("lan")}"
base_url = "{LAN}"
provider = "openai-compatible"

[[models]]
prefix = "house-"
provider = "openai-compatible"
credential = "lan"

[[models]]
prefix = "gate-"
provider = "openai"
base_url = "{GATEWAY}"
credential = "gateway"

[[models]]
prefix = "small-"
provider = "openai-compatible"
base_url = "{LAN}"
tools = false
window = 2048
"""


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    path = tmp_path / "providers.toml"
    path.touch(0o600)
    path.write_text(FILE)
    return Operator(path)


def named(name: str) -> agent_pb2.Model:
    return agent_pb2.Model(name=name)


def served(provider: str, model: str = "m", **fields: Any) -> agent_pb2.Model:
    given = {"provider_model": {"provider": provider, "model": model, **fields}}
    return json_format.ParseDict(given, agent_pb2.Model())


def found(
    operator: Operator, model: agent_pb2.Model, *allowed: str, inline_key: str = ""
) -> tuple[str, str, str, bool]:
    """Whose it is, where, the key, and whether it may be private."""
    addresses = Addresses(map(ip_network, allowed))
    endpoint = find(model, operator.now(), addresses, inline_key).endpoint
    return endpoint.provider, endpoint.base_url, endpoint.key, endpoint.private


def refused(operator: Operator, model: agent_pb2.Model, *allowed: str) -> tuple[str, str]:
    """The field, and why."""
    with pytest.raises(Unusable) as caught:
        found(operator, model, *allowed)
    return caught.value.field, caught.value.why


class TestByNameAlone:
    def test_the_credential_is_the_one_of_the_provider(self, operator: Operator) -> None:
        assert found(operator, named("gpt-4.1")) == (names.OPENAI, "", key("openai"), False)

    def test_a_credential_brings_its_address(self, operator: Operator) -> None:
        expected = (names.GEMINI, "https://gemini.example.org", key("gemini"), True)
        assert found(operator, named("gemini-2.5-pro")) == expected

    def test_without_one_nothing_is_sent(self, operator: Operator) -> None:
        assert found(operator, named("claude-3-haiku")) == (names.ANTHROPIC, "", "", False)

    def test_the_rows_credential_comes_first(self, operator: Operator) -> None:
        assert found(operator, named("house-1")) == (names.OPENAI_COMPATIBLE, LAN, key("lan"), True)
        assert found(operator, named("gate-1")) == (names.OPENAI, GATEWAY, key("gateway"), True)

    def test_a_row_without_a_credential_gets_none_of_another_address(self, operator: Operator) -> None:
        assert found(operator, named("small-1")) == (names.OPENAI_COMPATIBLE, LAN, "", True)

    def test_a_name_that_fits_no_row(self, operator: Operator) -> None:
        field, why = refused(operator, named("mistral-large"))
        assert field == "name"
        assert "no row of the server's table of models fits 'mistral-large'" in why

    def test_ollama_is_on_the_machine_itself(self, operator: Operator) -> None:
        assert refused(operator, named("qwen3:8b"))[0] == "name"
        assert found(operator, named("qwen3:8b"), "127.0.0.1") == (names.OLLAMA, LOOPBACK, "", False)


class TestCredentials:
    def test_one_that_is_named(self, operator: Operator) -> None:
        assert found(operator, served(OPENAI, credential="openai-team-a"))[1:3] == ("", key("team"))
        field, why = refused(operator, served(ANTHROPIC, credential="openai-team-a"))
        assert (field, why) == ("provider_model.credential", "the credential openai-team-a is for openai alone")

    def test_its_address_is_the_definitions_where_that_says_none(self, operator: Operator) -> None:
        assert found(operator, served(COMPATIBLE, credential="lan")) == (names.OPENAI_COMPATIBLE, LAN, key("lan"), True)

    @pytest.mark.parametrize("base_url", [GATEWAY, GATEWAY + "/", "HTTPS://Gateway.example.org:443/v1"])
    def test_one_address_has_many_spellings(self, operator: Operator, base_url: str) -> None:
        asked = served(OPENAI, credential="gateway", base_url=base_url)
        assert found(operator, asked) == (names.OPENAI, GATEWAY, key("gateway"), True)

    @pytest.mark.parametrize(
        "base_url",
        [
            *("https://evil.example.org/v1", "http://gateway.example.org/v1", "https://gateway.example.org:8443/v1"),
            *("https://gateway.example.org", "https://gateway.example.org/v1/../v2", "https://gateway.example.org/V1"),
            "https://gateway.example.org.evil.org/v1",
        ],
    )
    def test_it_goes_to_no_other_address(self, operator: Operator, base_url: str) -> None:
        field, why = refused(operator, served(OPENAI, credential="gateway", base_url=base_url))
        assert (field, why) == ("provider_model.credential", "the credential gateway is for another address")

    def test_without_an_address_of_its_own_it_goes_to_the_public_one_only(self, operator: Operator) -> None:
        public = served(OPENAI, credential="openai-team-a", base_url="https://api.openai.com/v1/")
        assert found(operator, public) == (names.OPENAI, "", key("team"), False)
        field, _ = refused(operator, served(OPENAI, credential="openai-team-a", base_url="https://evil.example.org/v1"))
        assert field == "provider_model.credential"
        field, _ = refused(
            operator, served(COMPATIBLE, credential="openai-team-a", base_url="https://api.openai.com/v1")
        )
        assert field == "provider_model.credential"

    def test_it_goes_to_no_other_provider(self, operator: Operator) -> None:
        asked = served(ANTHROPIC, credential="openai")
        assert refused(operator, asked) == ("provider_model.credential", "the credential openai is for openai alone")

    def test_without_any_address(self, operator: Operator) -> None:
        asked = served(COMPATIBLE, credential="openai-team-a")
        assert refused(operator, asked) == (
            "provider_model.credential",
            "the credential openai-team-a is for openai alone",
        )

    def test_one_that_is_not_there(self, operator: Operator) -> None:
        field, why = refused(operator, served(OPENAI, credential="team-x"))
        assert field == "provider_model.credential"
        assert why.startswith("the credential team-x is not configured on this server (any more)")

    @pytest.mark.parametrize("base_url", ["https://evil.example.org/v1", LAN, GATEWAY])
    def test_one_that_nobody_names_goes_to_no_other_address(self, operator: Operator, base_url: str) -> None:
        assert found(operator, served(OPENAI, base_url=base_url), "10.0.0.0/8")[2] == ""

    def test_an_inline_key_keeps_all_others_away(self, operator: Operator) -> None:
        asked = served(OPENAI, api_key="given")
        assert found(operator, asked, inline_key=key("inline")) == (names.OPENAI, "", key("inline"), False)
        assert found(operator, asked)[2] == ""


class TestAddresses:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost", "10.0.0.2."]
    )
    def test_a_private_one_is_refused(self, operator: Operator, host: str) -> None:
        field, why = refused(operator, served(COMPATIBLE, base_url=f"http://{host}:8080/v1"))
        assert field == "provider_model.base_url"
        assert "--allow-address" in why

    def test_one_that_is_allowed(self, operator: Operator) -> None:
        asked = served(COMPATIBLE, base_url="http://127.0.0.1:8080/v1")
        assert found(operator, asked, "127.0.0.0/8") == (names.OPENAI_COMPATIBLE, "http://127.0.0.1:8080/v1", "", False)

    def test_one_that_the_operator_wrote_himself(self, operator: Operator) -> None:
        assert found(operator, served(COMPATIBLE, base_url=LAN)) == (names.OPENAI_COMPATIBLE, LAN, "", True)


def agent(model: agent_pb2.Model, *tools: str) -> agent_pb2.AgentDefinition:
    definition = agent_pb2.AgentDefinition(model=model)
    for name in tools:
        definition.tools.add().custom.name = name
    return definition


class TestTheDoor:
    """What Providers makes of it."""

    @pytest.fixture
    def providers(self, operator: Operator) -> Providers:
        return Providers(SystemClock(), Limits(), operator)

    def test_a_definition_is_refused(self, providers: Providers) -> None:
        with pytest.raises(ProviderUnusable) as caught:
            providers.check(agent(named("x")), "overrides")
        assert caught.value.metadata == {"field": "overrides.model.name"}
        assert caught.value.message.startswith("overrides.model.name: no row")

    def test_a_model_that_calls_no_tools(self, providers: Providers) -> None:
        for model in (named("small-1"), served(COMPATIBLE, "small-1", base_url=LAN)):
            providers.check(agent(model))
            with pytest.raises(ProviderUnusable, match="small-1 calls no tools"):
                providers.check(agent(model, "look"))

    def test_what_a_provider_does_not_do(self, providers: Providers) -> None:
        asked = served(COMPATIBLE, base_url=LAN, speed="MODEL_SPEED_FAST")
        with pytest.raises(InvalidRequest) as caught:
            providers.check(agent(asked))
        assert [violation.field for violation in caught.value.violations] == ["definition.model.provider_model.speed"]

    def test_an_override_that_does_not_go_with_the_agent_is_told_where_the_request_has_it(
        self, providers: Providers
    ) -> None:
        asked = agent(served("PROVIDER_GEMINI", "gemini-3-pro-preview"), "2look")
        asked.model_settings.seed = 2**40
        with pytest.raises(InvalidRequest) as caught:
            providers.check(asked, "overrides")
        assert {violation.field for violation in caught.value.violations} == {"overrides.model"}

    def test_a_scripted_model_passes_always(self, providers: Providers) -> None:
        scripted = json_format.ParseDict({"scripted": {"responses": [{"text": "a"}]}}, agent_pb2.Model())
        providers.check(agent(scripted, "look"))
        assert (providers.address(scripted), providers.window(scripted)) == ("", 0)
        assert providers.model(scripted, None).provider == names.SCRIPTED

    def test_in_a_turn_a_credential_that_has_gone_is_a_failure(self, providers: Providers) -> None:
        with pytest.raises(ModelFailure) as caught:
            providers.model(served(OPENAI, credential="gone"), None)
        assert caught.value.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
        assert not caught.value.transient
        assert "update the agent" in caught.value.message

    def test_in_a_turn_a_missing_key_is_a_failure(self, providers: Providers) -> None:
        with pytest.raises(ModelFailure) as caught:
            providers.model(named("claude-3-haiku"), None)
        assert caught.value.code == status_event_pb2.ERROR_CODE_MODEL_AUTHENTICATION
        assert "there is no key for anthropic" in caught.value.message

    def test_one_endpoint_is_one_model(self, providers: Providers) -> None:
        first = providers.model(served(COMPATIBLE, credential="lan"), None)
        assert providers.model(served(COMPATIBLE, base_url=LAN, credential="lan"), None) is first
        other = providers.model(served(COMPATIBLE, base_url=LAN, api_key="x"), key("other"))
        assert other is not first

    def test_turns_are_bounded_by_address(self, providers: Providers) -> None:
        one, same = served(COMPATIBLE, "a", credential="lan"), served(COMPATIBLE, "b", base_url=LAN, api_key="k")
        assert providers.address(one) == providers.address(same) == Endpoint(names.OPENAI_COMPATIBLE, "", LAN).address
        assert providers.address(named("nobody-knows")) == ""

    def test_windows(self, providers: Providers) -> None:
        assert providers.window(named("small-1")) == 2048
        assert providers.window(served(COMPATIBLE, "small-1", base_url=LAN)) == 2048
        assert providers.window(named("gpt-4o")) == 128_000
        assert providers.window(named("nobody-knows")) == 0
