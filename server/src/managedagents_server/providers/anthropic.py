"""Anthropic's Messages. Imports the vendor's library: only on first use."""

import anthropic
import httpx2
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.profiles.anthropic import ANTHROPIC_THINKING_BUDGET_MAP, AnthropicModelProfile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.settings import ModelSettings

from managedagents.v1 import agent_pb2
from managedagents_server.providers import names, statuses
from managedagents_server.providers.attachments import Takes
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.places import PUBLIC
from managedagents_server.providers.vendor import NO_KEY, Wire, merged, sampling, thinking

_HEADERS = frozenset({"anthropic-beta", "anthropic-version", "x-api-key"})
_VERSION_WITH_TEMPERATURE = "2023-06-01"
"""The next one, which the library sends, takes a temperature for no model."""
_TAKES = Takes(
    images=frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"}), files=frozenset({"application/pdf"})
)


def wire(endpoint: Endpoint, http: httpx2.AsyncClient) -> Wire:
    key = endpoint.key or NO_KEY
    client = anthropic.AsyncAnthropic(
        api_key=key,
        # Said once more: a header of this name in ANTHROPIC_CUSTOM_HEADERS would win over the key.
        default_headers={"X-Api-Key": key},
        base_url=endpoint.base_url or PUBLIC[names.ANTHROPIC],
        http_client=http,
        timeout=http.timeout,
        max_retries=0,
    )
    model = AnthropicModel(endpoint.model, provider=AnthropicProvider(anthropic_client=client))

    def settings(asked: agent_pb2.ModelSettings) -> ModelSettings:
        return _settings(asked, endpoint.speed, model.profile)

    return Wire(model, settings, _TAKES, _HEADERS, strict=None)


def _settings(
    asked: agent_pb2.ModelSettings, speed: agent_pb2.ModelSpeed.ValueType, profile: AnthropicModelProfile
) -> ModelSettings:
    """Without max_tokens, which Anthropic insists on, the library sends the model's own maximum, or 16,384 where it
    does not know the model."""
    if asked.HasField("temperature") and profile.get("anthropic_disallows_sampling_settings", False):
        raise statuses.REFUSED.failure("this model takes no temperature; leave it out")
    if asked.response_schema_json and not profile.get("supports_json_schema_output", False):
        raise statuses.REFUSED.failure("this model follows no response schema; leave it out")
    chosen = AnthropicModelSettings(
        # What was read before is read from the cache; each of these marks the end of a part.
        anthropic_cache_instructions=True,
        anthropic_cache_messages=True,
        anthropic_cache_tool_definitions=True,
    )
    if asked.HasField("temperature"):
        chosen["extra_headers"] = {"anthropic-version": _VERSION_WITH_TEMPERATURE}
    if speed == agent_pb2.MODEL_SPEED_STANDARD:
        chosen["anthropic_service_tier"] = "standard_only"
    elif speed == agent_pb2.MODEL_SPEED_FAST:
        if not profile.get("anthropic_supports_fast_speed", False):
            raise statuses.REFUSED.failure("this model has no fast mode; leave speed out")
        chosen["anthropic_speed"] = "fast"
    whole = merged(sampling(asked), thinking(asked, profile), chosen)
    _check_budget(whole, profile)
    return whole


def _check_budget(chosen: ModelSettings, profile: AnthropicModelProfile) -> None:
    """Older models think within a budget, which is a part of max_tokens."""
    effort = chosen.get("thinking")
    if not effort or profile.get("anthropic_supports_adaptive_thinking", False):
        return
    budget = ANTHROPIC_THINKING_BUDGET_MAP[effort]
    if chosen.get("max_tokens", budget + 1) <= budget:
        raise statuses.REFUSED.failure(
            f"at this thinking_effort the model may think for {budget} tokens; set max_tokens above that"
        )
