"""Which model an agent may name, and how it may be asked."""

from urllib.parse import urlsplit

from managedagents.v1 import agent_pb2, model_pb2, scripted_pb2
from managedagents_server.rpc.validate.json_text import json_fault
from managedagents_server.rpc.validate.problems import DAY, Problems

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


def check_model(problems: Problems, path: str, model: agent_pb2.Model) -> None:
    match model.WhichOneof("ref"):
        case None:
            problems.wrong(path, "is required")
        case "name":
            problems.unbuilt(f"{path}.name")
        case "provider_model":
            _check_provider_model(problems, f"{path}.provider_model", model.provider_model)
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
    if settings.thinking_effort:
        problems.unbuilt(f"{path}.thinking_effort")
    if settings.response_schema_json:
        problems.unbuilt(f"{path}.response_schema_json")


def _check_provider_model(problems: Problems, path: str, model: agent_pb2.ProviderModel) -> None:
    problems.required(f"{path}.model", model.model)
    if model.provider == agent_pb2.PROVIDER_UNSPECIFIED:
        problems.wrong(f"{path}.provider", "is required")
    elif model.provider != agent_pb2.PROVIDER_OPENAI_COMPATIBLE:
        problems.unbuilt(f"{path}.provider")
    elif not model.base_url:
        problems.wrong(f"{path}.base_url", "is required")
    if model.base_url and not _is_address(model.base_url):
        problems.wrong(f"{path}.base_url", "must be an http or https address: a host, then perhaps a port and a path")
    secret = model.WhichOneof("secret")
    if secret is not None:
        problems.unbuilt(f"{path}.{secret}")
    if model.speed:
        problems.unbuilt(f"{path}.speed")


def _is_address(text: str) -> bool:
    """Whether it is an address below which paths can be put: without a query, and without a password, which could be
    read in the definition."""
    if not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    extra = parts.query or parts.fragment or parts.username is not None or parts.password is not None
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0 and not extra


def _check_scripted(problems: Problems, path: str, model: scripted_pb2.ScriptedModel) -> None:
    problems.required(f"{path}.responses", model.responses)
    for index, response in enumerate(model.responses):
        if problems.full:
            return
        _check_response(problems, f"{path}.responses[{index}]", response)
    if model.grader:
        problems.unbuilt(f"{path}.grader")


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
