"""Servers that speak OpenAI's chat completions. Imports the vendor's library: only on first use."""

from typing import Literal

import httpx2
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.settings import ModelSettings

from managedagents.v1 import agent_pb2
from managedagents_server.providers import attachments
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.names import OPENAI_COMPATIBLE
from managedagents_server.providers.openai_client import HEADERS, client
from managedagents_server.providers.vendor import Wire, merged, sampling

TAKES = attachments.Takes(images=None, files=frozenset({"application/pdf", "audio/mpeg", "audio/wav"}))

_PROFILE = OpenAIModelProfile(
    # Every such server knows max_tokens; the newer max_completion_tokens many of them silently ignore.
    openai_chat_supports_max_completion_tokens=False,
    # Schemas are sent as they were written.
    json_schema_transformer=None,
)

_EFFORTS: dict[agent_pb2.ThinkingEffort.ValueType, Literal["none", "low", "medium", "high"]] = {
    agent_pb2.THINKING_EFFORT_NONE: "none",
    agent_pb2.THINKING_EFFORT_LOW: "low",
    agent_pb2.THINKING_EFFORT_MEDIUM: "medium",
    agent_pb2.THINKING_EFFORT_HIGH: "high",
}


def wire(endpoint: Endpoint, http: httpx2.AsyncClient) -> Wire:
    provider = OpenAICompatibleProvider(
        OPENAI_COMPATIBLE, openai_client=client(endpoint.base_url, endpoint.key, http), profile=_PROFILE
    )
    return Wire(OpenAIChatModel(endpoint.model, provider=provider), settings, TAKES, HEADERS)


def settings(asked: agent_pb2.ModelSettings) -> ModelSettings:
    chosen = OpenAIChatModelSettings()
    if effort := _EFFORTS.get(asked.thinking_effort):
        chosen["openai_reasoning_effort"] = effort
    return merged(sampling(asked), chosen)
