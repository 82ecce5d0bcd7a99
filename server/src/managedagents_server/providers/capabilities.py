"""What a provider is known not to do, so that it is refused before a model is asked. Needs no vendor's library.

Mostly what holds for all models of a provider stands here. What else depends on the model its adapter refuses when it
is asked, or the provider itself.
"""

import re
from collections.abc import Iterator

from managedagents.v1 import agent_pb2
from managedagents_server.providers import names
from managedagents_server.providers.base import Endpoint

_SPEEDS = frozenset({names.OPENAI, names.ANTHROPIC})
_SEEDLESS = {names.OPENAI: "OpenAI's Responses interface", names.ANTHROPIC: "Anthropic"}
_MOST_STOPS = {names.OPENAI: 0, names.GEMINI: 5}
_HOTTEST = {names.ANTHROPIC: 1.0}
_LEAST_TOKENS = {names.OPENAI: 16}
_NO_GEMINI_NAME = re.compile(r"[0-9-]")
GEMINI_MODEL = re.compile(r"(?!.*\.\.)[\w.:@/-]+", re.ASCII)
"""Its name becomes a part of the path: nothing that would lead to another one."""
_INT32 = range(-(2**31), 2**31)


def faults(endpoint: Endpoint, definition: agent_pb2.AgentDefinition) -> Iterator[tuple[str, str]]:
    """What `endpoint` cannot do: the path in the definition that asks for it, and why."""
    provider, settings = endpoint.provider, definition.model_settings
    if endpoint.speed != agent_pb2.MODEL_SPEED_UNSPECIFIED and provider not in _SPEEDS:
        yield "model.provider_model.speed", "this provider has no service classes; leave it out"
    if settings.HasField("seed"):
        if provider in _SEEDLESS:
            yield "model_settings.seed", f"{_SEEDLESS[provider]} knows no seed; leave it out"
        elif provider == names.GEMINI and settings.seed not in _INT32:
            yield "model_settings.seed", "Gemini takes a seed of 32 bits"
    least = _LEAST_TOKENS.get(provider, 1)
    if settings.HasField("max_tokens") and settings.max_tokens < least:
        yield "model_settings.max_tokens", f"this provider takes at least {least}"
    most = _MOST_STOPS.get(provider)
    if most is not None and len(settings.stop_sequences) > most:
        yield (
            "model_settings.stop_sequences",
            f"this provider takes at most {most}" if most else "this provider knows none; leave them out",
        )
    hottest = _HOTTEST.get(provider)
    if hottest is not None and settings.temperature > hottest:
        yield "model_settings.temperature", f"this provider takes at most {hottest:g}"
    if settings.response_schema_json and definition.tools and _is_older_gemini(endpoint):
        yield "model_settings.response_schema_json", "before Gemini 3 a model with tools follows no response schema"
    if provider == names.GEMINI and not GEMINI_MODEL.fullmatch(endpoint.model):
        field = "model.name" if definition.model.HasField("name") else "model.provider_model.model"
        yield field, "Gemini's models have names of the characters A-Z a-z 0-9 . _ : @ / and -"
    if provider == names.GEMINI:
        for index, tool in enumerate(definition.tools):
            if _NO_GEMINI_NAME.match(tool.custom.name):
                yield f"tools[{index}].custom.name", "Gemini takes names that begin with a letter or _ only"


def _is_older_gemini(endpoint: Endpoint) -> bool:
    return endpoint.provider == names.GEMINI and endpoint.model.startswith(("gemini-1", "gemini-2"))
