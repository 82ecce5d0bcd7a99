"""Servers that speak OpenAI's chat completions. Imports the provider library: seconds, so only on first use."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Literal

import httpx2
import openai
from pydantic_ai import messages as library
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider
from pydantic_ai.tools import ToolDefinition

from managedagents.v1 import agent_pb2
from managedagents_server.providers import answers, failures, history, statuses
from managedagents_server.providers.base import Answer, Delta, ModelRequest
from managedagents_server.providers.names import OPENAI_COMPATIBLE
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits

_NO_KEY = "no-key"
"""Sent where no key was given: the library insists on one, and would take OPENAI_API_KEY."""

_HEADERS = frozenset(
    {"accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host", "user-agent"}
)
"""What is sent and no more: the library adds headers from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS,
and what it knows of this machine."""

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


def http_client() -> httpx2.AsyncClient:
    """The one client. How long a model may be silent is watched over its tokens, not here.

    Each request has a connection of its own. Some servers hang up after a streamed answer, and the next request, which
    in a turn with tools follows at once, then runs into the hang-up: llama.cpp's server lost 2 of 100 so. It cannot be
    told from a server that died over the request, so it would be a logged failure and a backoff of seconds.
    """
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=5.0),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        trust_env=False,
        event_hooks={"request": [_keep_only_known_headers]},
    )


async def _keep_only_known_headers(request: httpx2.Request) -> None:
    for name in list(request.headers):
        if name.lower() not in _HEADERS:
            del request.headers[name]


class OpenAICompatibleModel:
    """One model of one server."""

    def __init__(
        self, reference: agent_pb2.ProviderModel, http: httpx2.AsyncClient, clock: Clock, limits: Limits
    ) -> None:
        self._key = reference.api_key
        self._clock = clock
        self._silence = limits.model_timeout
        key = self._key or _NO_KEY
        client = openai.AsyncOpenAI(
            api_key=key,
            # Said once more: a header of this name in OPENAI_CUSTOM_HEADERS would win over the key.
            default_headers={"Authorization": f"Bearer {key}"},
            base_url=reference.base_url,
            http_client=http,
            timeout=http.timeout,
            # Our own retries are the ones that are logged.
            max_retries=0,
        )
        provider = OpenAICompatibleProvider(OPENAI_COMPATIBLE, openai_client=client, profile=_PROFILE)
        self._model = OpenAIChatModel(reference.model, provider=provider)

    @property
    def provider(self) -> str:
        return OPENAI_COMPATIBLE

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        started = self._clock.monotonic()
        messages = history.messages(request.system, request.conversation, OPENAI_COMPATIBLE)
        deltas = answers.Deltas()
        try:
            async with asyncio.timeout(self._silence) as silence, AsyncExitStack() as stack:
                stream = await self._open(stack, messages, request)
                events = aiter(stream)
                while (event := await self._next(events)) is not None:
                    silence.reschedule(asyncio.get_running_loop().time() + self._silence)
                    for delta in deltas.of(event):
                        on_delta(delta)
                return answers.answer(stream.get(), self._clock.monotonic() - started)
        except TimeoutError:
            raise statuses.TIMEOUT.failure(f"the model was silent for {self._silence:g} s") from None

    async def _open(
        self, stack: AsyncExitStack, messages: list[library.ModelMessage], request: ModelRequest
    ) -> StreamedResponse:
        try:
            return await stack.enter_async_context(
                model_request_stream(
                    self._model,
                    messages,
                    model_settings=_settings(request.settings),
                    model_request_parameters=_parameters(request),
                    instrument=False,
                )
            )
        except failures.RAISED as error:
            # Without its cause, whose words may hold the key.
            raise failures.of(error, answering=False, secret=self._key) from None

    async def _next(
        self, events: AsyncIterator[library.ModelResponseStreamEvent]
    ) -> library.ModelResponseStreamEvent | None:
        """None: the stream has ended."""
        try:
            return await anext(events, None)
        except failures.RAISED as error:
            raise failures.of(error, answering=True, secret=self._key) from None


def _settings(settings: agent_pb2.ModelSettings) -> OpenAIChatModelSettings:
    chosen = OpenAIChatModelSettings()
    if settings.HasField("max_tokens"):
        chosen["max_tokens"] = settings.max_tokens
    if settings.HasField("temperature"):
        chosen["temperature"] = settings.temperature
    if settings.HasField("seed"):
        chosen["seed"] = settings.seed
    if settings.stop_sequences:
        chosen["stop_sequences"] = list(settings.stop_sequences)
    if effort := _EFFORTS.get(settings.thinking_effort):
        chosen["openai_reasoning_effort"] = effort
    return chosen


def _parameters(request: ModelRequest) -> ModelRequestParameters:
    tools = [
        ToolDefinition(
            name=tool.name,
            description=tool.description,
            parameters_json_schema=json.loads(tool.input_schema_json),
            strict=False,
        )
        for tool in request.tools
    ]
    schema = request.settings.response_schema_json
    if not schema:
        return ModelRequestParameters(function_tools=tools)
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="native",
        output_object=OutputObjectDefinition(json_schema=json.loads(schema), name="answer", strict=False),
    )
