"""What can be known of a model reference without asking anybody: it is refused at Create, not in a turn."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from google.protobuf import duration_pb2

from managedagents.v1 import agent_pb2, model_pb2, scripted_pb2
from managedagents_server.words.errors import InvalidRequest, NotImplementedYet, Violation


def check(definition: agent_pb2.AgentDefinition, path: str) -> None:
    """Raises InvalidRequest or NotImplementedYet. `path`: of the definition, from the request down."""
    field = f"{path}.model"
    match definition.model.WhichOneof("ref"):
        case "scripted":
            _refuse(_script(definition.model.scripted, f"{field}.scripted"))
        case "provider_model":
            reference = definition.model.provider_model
            _built(reference, f"{field}.provider_model")
            _refuse(_reference(reference, f"{field}.provider_model"))
            _refuse(_settings(definition.model_settings, f"{path}.model_settings"))
        case "name":
            # A name alone means a provider's public address; only servers with an address of their own are built.
            raise NotImplementedYet.of(f"{field}.name")
        case _:
            raise InvalidRequest.of(Violation(field, "is required"))


def _refuse(violations: Iterator[Violation]) -> None:
    if found := list(violations):
        raise InvalidRequest.of(*found)


def _built(reference: agent_pb2.ProviderModel, path: str) -> None:
    provider = reference.provider
    if provider not in agent_pb2.Provider.values() or provider == agent_pb2.PROVIDER_UNSPECIFIED:
        raise InvalidRequest.of(Violation(f"{path}.provider", "is required and must be one that this server knows"))
    if provider != agent_pb2.PROVIDER_OPENAI_COMPATIBLE:
        raise NotImplementedYet.of(f"{path}.provider")
    if reference.speed not in agent_pb2.ModelSpeed.values():
        raise InvalidRequest.of(Violation(f"{path}.speed", "is none that this server knows"))
    if reference.speed == agent_pb2.MODEL_SPEED_FAST:
        raise NotImplementedYet.of(f"{path}.speed")
    if reference.WhichOneof("secret") == "credential":
        raise NotImplementedYet.of(f"{path}.credential")


def _reference(reference: agent_pb2.ProviderModel, path: str) -> Iterator[Violation]:
    if not reference.model:
        yield Violation(f"{path}.model", "is required")
    if not reference.base_url:
        yield Violation(f"{path}.base_url", "is required for this provider")
    elif (wrong := _wrong_address(reference.base_url)) is not None:
        yield Violation(f"{path}.base_url", wrong)
    if not all("!" <= character <= "~" for character in reference.api_key):
        yield Violation(f"{path}.api_key", "must be printable ASCII without spaces: it travels in a header")


def _wrong_address(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "is no address"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return "must be an http or https address"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user or a password: a key has its own field"
    if parts.query or parts.fragment:
        return "must end with its path: a query or a fragment would get lost"
    return None


def _settings(settings: agent_pb2.ModelSettings, path: str) -> Iterator[Violation]:
    if settings.thinking_effort not in agent_pb2.ThinkingEffort.values():
        yield Violation(f"{path}.thinking_effort", "is none that this server knows")
    if settings.response_schema_json and not isinstance(_json(settings.response_schema_json), dict):
        yield Violation(f"{path}.response_schema_json", "must be a JSON object")


def _script(script: scripted_pb2.ScriptedModel, path: str) -> Iterator[Violation]:
    if not script.responses:
        yield Violation(f"{path}.responses", "at least one is required")
    for number, response in enumerate(script.responses):
        yield from _response(response, f"{path}.responses[{number}]")


def _response(response: scripted_pb2.ScriptedResponse, path: str) -> Iterator[Violation]:
    for number, call in enumerate(response.tool_calls):
        if not call.name:
            yield Violation(f"{path}.tool_calls[{number}].name", "is required")
        if call.input_json and _json(call.input_json) is None:
            yield Violation(f"{path}.tool_calls[{number}].input_json", "must be JSON")
    if response.stop_reason not in model_pb2.ModelStopReason.values():
        yield Violation(f"{path}.stop_reason", "is none that this server knows")
    if response.HasField("delay") and not _is_wait(response.delay):
        yield Violation(f"{path}.delay", "must be 0 to 1 day")
    if response.HasField("error"):
        yield from _error(response.error, f"{path}.error")


def _error(error: scripted_pb2.ScriptedError, path: str) -> Iterator[Violation]:
    if error.code != 0 and not 400 <= error.code <= 599:
        yield Violation(f"{path}.code", "must be 0 or an HTTP status from 400 to 599")
    if error.times < 0:
        yield Violation(f"{path}.times", "must not be negative")
    if error.HasField("retry_after") and not _is_wait(error.retry_after):
        yield Violation(f"{path}.retry_after", "must be 0 to 1 day")


def _is_wait(duration: duration_pb2.Duration) -> bool:
    return 0 <= duration.seconds <= 86_400 and 0 <= duration.nanos < 1_000_000_000


def _json(text: str) -> object:
    """None for what is no JSON, and for null."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
