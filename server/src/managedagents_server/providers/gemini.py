"""Google's Gemini. Imports the vendor's library: only on first use."""

import httpx2
from google.genai import Client
from google.genai.types import HttpOptions
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.profiles.google import GoogleModelProfile
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.settings import ModelSettings

from managedagents.v1 import agent_pb2
from managedagents_server.providers import names, statuses
from managedagents_server.providers.attachments import Takes
from managedagents_server.providers.base import Endpoint
from managedagents_server.providers.capabilities import GEMINI_MODEL
from managedagents_server.providers.gemini_pieces import read_faster
from managedagents_server.providers.places import PUBLIC
from managedagents_server.providers.vendor import NO_KEY, Wire, merged, sampling, thinking

_VERSION = "v1beta"
"""The library's own default, v1, lacks what stands in the requests."""
_HEADERS = frozenset({"x-goog-api-key"})
_TAKES = Takes(
    images=frozenset({"image/heic", "image/heif", "image/jpeg", "image/png", "image/webp"}),
    files=frozenset(
        {
            "application/pdf",
            "audio/aac",
            "audio/aiff",
            "audio/flac",
            "audio/mpeg",
            "audio/ogg",
            "audio/wav",
            "video/3gpp",
            "video/mp4",
            "video/mpeg",
            "video/quicktime",
            "video/webm",
            "video/wmv",
            "video/x-flv",
        }
    ),
)

read_faster()


def wire(endpoint: Endpoint, http: httpx2.AsyncClient) -> Wire:
    if not GEMINI_MODEL.fullmatch(endpoint.model):
        raise statuses.NOT_FOUND.failure(f"{endpoint.model} is no name of a model of Gemini's; update the agent")
    client = Client(
        vertexai=False,
        api_key=endpoint.key or NO_KEY,
        http_options=HttpOptions(
            base_url=endpoint.base_url or PUBLIC[names.GEMINI], api_version=_VERSION, httpx_async_client=http
        ),
    )
    model = GoogleModel(endpoint.model, provider=GoogleProvider(client=client))

    def settings(asked: agent_pb2.ModelSettings) -> ModelSettings:
        return _settings(asked, model.profile)

    return Wire(model, settings, _TAKES, _HEADERS)


def _settings(asked: agent_pb2.ModelSettings, profile: GoogleModelProfile) -> ModelSettings:
    return merged(sampling(asked), thinking(asked, profile))
