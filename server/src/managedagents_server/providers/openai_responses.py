"""OpenAI's own Responses. Imports the vendor's library: only on first use."""

import re
from typing import Literal

import httpx2
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.profiles import merge_profile
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from managedagents.v1 import agent_pb2
from managedagents_server.providers import names, statuses
from managedagents_server.providers.attachments import Takes
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.openai_client import HEADERS, client
from managedagents_server.providers.places import PUBLIC
from managedagents_server.providers.vendor import Wire, merged, sampling, thinking

_TAKES = Takes(
    images=frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"}), files=frozenset({"application/pdf"})
)

_UNREAD = re.compile(rb"event: response\.content_part\.(?:added|done)\ndata: [^\n]*\n\n")

_TIERS: dict[agent_pb2.ModelSpeed.ValueType, Literal["default", "priority"]] = {
    agent_pb2.MODEL_SPEED_STANDARD: "default",
    agent_pb2.MODEL_SPEED_FAST: "priority",
}

_PROFILE = OpenAIModelProfile(
    # Schemas are sent as they were written.
    json_schema_transformer=None,
)
_THINKING = re.compile(r"(gpt-([5-9]|[1-9]\d)|o\d)(?!-chat)")
"""Names of models that think. The library knows those of its day, and takes every other for one that does not."""
_THINKS = OpenAIModelProfile(
    supports_thinking=True,
    thinking_enabled_by_default=True,
    openai_supports_encrypted_reasoning_content=True,
    openai_supports_reasoning=True,
)


def wire(endpoint: Endpoint, http: httpx2.AsyncClient) -> Wire:
    provider = OpenAIProvider(openai_client=client(endpoint.base_url or PUBLIC[names.OPENAI], endpoint.key, http))
    known = merge_profile(provider.model_profile(endpoint.model), _PROFILE)
    is_new = _THINKING.match(endpoint.model) is not None and not known.get("supports_thinking", False)
    profile = merge_profile(known, _THINKS) if is_new else known
    model = OpenAIResponsesModel(endpoint.model, provider=provider, profile=profile)

    def settings(asked: agent_pb2.ModelSettings) -> ModelSettings:
        return _settings(asked, endpoint.speed, model.profile)

    return Wire(model, settings, _TAKES, HEADERS, unread=_UNREAD)


def _settings(
    asked: agent_pb2.ModelSettings, speed: agent_pb2.ModelSpeed.ValueType, profile: OpenAIModelProfile
) -> ModelSettings:
    if asked.HasField("temperature") and _thinks(asked.thinking_effort, profile):
        raise statuses.REFUSED.failure("this model takes no temperature while it thinks; leave it out")
    chosen = OpenAIResponsesModelSettings(
        # The log is the only place where a conversation is kept; the library asks for the thoughts encrypted instead.
        openai_store=False,
        # It would put the id of the answer before into each request.
        openai_prompt_cache_diagnostics=False,
    )
    if tier := _TIERS.get(speed):
        chosen["openai_service_tier"] = tier
    return merged(sampling(asked), thinking(asked, profile), chosen)


def _thinks(effort: agent_pb2.ThinkingEffort.ValueType, profile: OpenAIModelProfile) -> bool:
    if not profile.get("openai_supports_reasoning", False):
        return False
    match effort:
        case agent_pb2.THINKING_EFFORT_NONE:
            return not profile.get("openai_supports_reasoning_effort_none", False)
        case agent_pb2.THINKING_EFFORT_UNSPECIFIED:
            return profile.get("thinking_enabled_by_default", False)
        case _:
            return True
