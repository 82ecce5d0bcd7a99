"""Ollama, which speaks chat completions too. Imports the vendor's library: only on first use."""

import httpx2
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.profiles import merge_profile
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.ollama import OllamaProvider

from managedagents_server.providers import chat
from managedagents_server.providers.attachments import Takes
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.openai_client import HEADERS, client
from managedagents_server.providers.vendor import Wire

_TAKES = Takes(images=None, files=frozenset())
_PROFILE = OpenAIModelProfile(
    # What Ollama knows is max_tokens; the newer name it ignores.
    openai_chat_supports_max_completion_tokens=False,
    # Schemas are sent as they were written.
    json_schema_transformer=None,
    may_tokenize_special_tokens_in_content=False,
)


def wire(endpoint: Endpoint, http: httpx2.AsyncClient) -> Wire:
    provider = OllamaProvider(openai_client=client(endpoint.base_url, endpoint.key, http))
    profile = merge_profile(provider.model_profile(endpoint.model), _PROFILE)
    return Wire(OllamaModel(endpoint.model, provider=provider, profile=profile), chat.settings, _TAKES, HEADERS)
