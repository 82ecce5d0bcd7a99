"""Which model an agent may name, and how it may be asked."""

import re

from managedagents.v1 import agent_pb2, model_pb2, scripted_pb2
from managedagents_server.rpc.validate.json_text import json_fault, schema_fault
from managedagents_server.rpc.validate.problems import DAY, Problems
from managedagents_server.words.urls import is_base_url

_NAME_CHARACTERS = 256
_KEY_BYTES = 8192
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STOP_SEQUENCES = 16
_INT32_MOST = 2**31 - 1

# A session's usage is a sum over up to millions of answers, and must not outgrow 64 bits.
_TOKENS_MOST = 10**12
_SCRIPTED_TIME_MOST = DAY

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "requests",
)


def check_model(problems: Problems, path: str, model: agent_pb2.Model, *, may_keep_key: bool = False) -> None:
    """`may_keep_key`: an inline key may be empty, which keeps the one that is there."""
    match model.WhichOneof("ref"):
        case None:
            problems.wrong(path, "is required")
        case "name":
            _check_name(problems, f"{path}.name", model.name)
        case "provider_model":
            _check_provider_model(problems, f"{path}.provider_model", model.provider_model, may_keep_key)
        case "scripted":
            _check_scripted(problems, f"{path}.scripted", model.scripted)


def check_settings(problems: Problems, path: str, settings: agent_pb2.ModelSettings) -> None:
    if settings.HasField("max_tokens"):
        problems.between(f"{path}.max_tokens", settings.max_tokens, 1, _INT32_MOST)
    if settings.HasField("temperature"):
        problems.between(f"{path}.temperature", settings.temperature, 0, 2)
    if len(settings.stop_sequences) > _STOP_SEQUENCES:
        problems.wrong(f"{path}.stop_sequences", f"must be at most {_STOP_SEQUENCES}")
    else:
        for index, text in enumerate(settings.stop_sequences):
            problems.required(f"{path}.stop_sequences[{index}]", text)
    fault = schema_fault(settings.response_schema_json) if settings.response_schema_json else None
    if fault is not None:
        problems.wrong(f"{path}.response_schema_json", fault)


def _check_name(problems: Problems, path: str, name: str) -> None:
    problems.required(path, name)
    if len(name) > _NAME_CHARACTERS or not name.isprintable():
        problems.wrong(path, f"must be at most {_NAME_CHARACTERS} characters that can be printed")


def _check_provider_model(problems: Problems, path: str, model: agent_pb2.ProviderModel, may_keep_key: bool) -> None:
    _check_name(problems, f"{path}.model", model.model)
    if model.provider == agent_pb2.PROVIDER_UNSPECIFIED:
        problems.wrong(f"{path}.provider", "is required")
    elif (
        model.provider == agent_pb2.PROVIDER_OPENAI_COMPATIBLE
        and not model.base_url
        and not model.HasField("credential")
    ):
        # A credential may have an address of its own.
        problems.wrong(f"{path}.base_url", "is required")
    if model.base_url and not is_base_url(model.base_url):
        problems.wrong(f"{path}.base_url", "must be an http or https address: a host, then perhaps a port and a path")
    match model.WhichOneof("secret"):
        case "credential":
            if not _CREDENTIAL.fullmatch(model.credential):
                problems.wrong(f"{path}.credential", "must be 1 to 64 of the characters A-Z a-z 0-9 . _ and -")
        case "api_key":
            _check_key(problems, f"{path}.api_key", model.api_key, may_keep_key)


def _check_key(problems: Problems, path: str, key: str, may_be_empty: bool) -> None:
    # A key travels as a header.
    is_visible = key.isascii() and key.isprintable() and " " not in key
    if not is_visible or len(key) > _KEY_BYTES or not (key or may_be_empty):
        problems.wrong(path, f"must be 1 to {_KEY_BYTES} visible ASCII characters")


def _check_scripted(problems: Problems, path: str, model: scripted_pb2.ScriptedModel) -> None:
    problems.required(f"{path}.responses", model.responses)
    for index, response in enumerate(model.responses):
        if problems.full:
            return
        _check_response(problems, f"{path}.responses[{index}]", response)
    for index, verdict in enumerate(model.grader):
        if problems.full:
            return
        problems.duration(f"{path}.grader[{index}].delay", verdict.delay, 0, _SCRIPTED_TIME_MOST)
        if verdict.HasField("error"):
            _check_error(problems, f"{path}.grader[{index}].error", verdict.error)


def _check_response(problems: Problems, path: str, response: scripted_pb2.ScriptedResponse) -> None:
    for index, call in enumerate(response.tool_calls):
        problems.required(f"{path}.tool_calls[{index}].name", call.name)
        fault = json_fault(call.input_json) if call.input_json else None
        if fault is not None:
            problems.wrong(f"{path}.tool_calls[{index}].input_json", fault)
    if response.HasField("usage"):
        _check_usage(problems, f"{path}.usage", response.usage)
    problems.duration(f"{path}.delay", response.delay, 0, _SCRIPTED_TIME_MOST)
    if response.HasField("error"):
        _check_error(problems, f"{path}.error", response.error)


def _check_usage(problems: Problems, path: str, usage: model_pb2.Usage) -> None:
    for name in _COUNTS:
        problems.between(f"{path}.{name}", getattr(usage, name), 0, _TOKENS_MOST)
    problems.duration(f"{path}.model_time", usage.model_time, 0, _SCRIPTED_TIME_MOST)


def _check_error(problems: Problems, path: str, error: scripted_pb2.ScriptedError) -> None:
    if error.code:
        problems.between(f"{path}.code", error.code, 400, 599)
    problems.duration(f"{path}.retry_after", error.retry_after, 0, _SCRIPTED_TIME_MOST)
    problems.between(f"{path}.times", error.times, 0, _INT32_MOST)
