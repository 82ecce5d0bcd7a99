"""What asking a real model is, whoever serves it. Imports the provider library: seconds, so only on first use."""

import asyncio
import dataclasses
import itertools
import json
import re
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

from pydantic_ai import messages as library
from pydantic_ai.direct import model_request_stream
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings, merge_model_settings
from pydantic_ai.tools import ToolDefinition

from managedagents.v1 import agent_pb2
from managedagents_server.providers import answers, failures, history, http, statuses
from managedagents_server.providers.attachments import Takes
from managedagents_server.providers.base import Answer, Delta, Endpoint, ModelFailure, ModelRequest
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits

# What they do not understand they quote, and with it perhaps a key that a provider tells back.
warnings.filterwarnings("ignore", module=r"pydantic(_ai)?\.")

NO_KEY = "no-key"
"""Sent where no key was given: the libraries insist on one, and would take one from the environment."""

_AT_A_TIME = 64
"""Events of one answer, some milliseconds, before the other sessions have their turn: what is there is read in one go.
"""


_EFFORTS: dict[agent_pb2.ThinkingEffort.ValueType, Literal[False, "low", "medium", "high"]] = {
    agent_pb2.THINKING_EFFORT_NONE: False,
    agent_pb2.THINKING_EFFORT_LOW: "low",
    agent_pb2.THINKING_EFFORT_MEDIUM: "medium",
    agent_pb2.THINKING_EFFORT_HIGH: "high",
}


@dataclass(frozen=True, slots=True)
class Wire:
    """How one vendor is spoken to."""

    model: Model
    settings: Callable[[agent_pb2.ModelSettings], ModelSettings]
    """Raises a ModelFailure for what this model is known not to take."""
    takes: Takes
    headers: frozenset[str]
    """Those of this vendor that go out beside the usual ones."""
    unread: re.Pattern[bytes] | None = None
    """Events of a stream that the library does nothing with."""
    strict: bool | None = False
    """Whether a response schema is held strictly. None: the library's own choice."""


def sampling(asked: agent_pb2.ModelSettings) -> ModelSettings:
    """The settings that have one meaning everywhere."""
    chosen = ModelSettings()
    if asked.HasField("max_tokens"):
        chosen["max_tokens"] = asked.max_tokens
    if asked.HasField("temperature"):
        chosen["temperature"] = asked.temperature
    if asked.HasField("seed"):
        chosen["seed"] = asked.seed
    if asked.stop_sequences:
        chosen["stop_sequences"] = list(asked.stop_sequences)
    return chosen


def thinking(asked: agent_pb2.ModelSettings, profile: ModelProfile) -> ModelSettings:
    """In the library's words, which it turns into those of each generation of models. A model that cannot do without
    thinks as little as it can. Raises a ModelFailure where a model does not think."""
    effort = _EFFORTS.get(asked.thinking_effort)
    if effort is None:
        return ModelSettings()
    if effort is not False and not profile.get("supports_thinking", False):
        raise statuses.REFUSED.failure("this model does not think; leave thinking_effort out")
    return ModelSettings(thinking=effort)


def merged(*chosen: ModelSettings) -> ModelSettings:
    whole = ModelSettings()
    for some in chosen:
        whole = merge_model_settings(whole, some) or whole
    return whole


class VendorModel:
    """One model of one endpoint."""

    def __init__(self, endpoint: Endpoint, wire: Wire, clock: Clock, limits: Limits) -> None:
        self._endpoint = endpoint
        self._wire = wire
        self._clock = clock
        self._limits = limits

    @property
    def provider(self) -> str:
        return self._endpoint.provider

    async def ask(self, request: ModelRequest, on_delta: Callable[[Delta], None]) -> Answer:
        started = self._clock.monotonic()
        request = self._within_reach(request)
        settings = self._wire.settings(request.settings)
        messages = history.messages(request.system, request.conversation, self._endpoint, self._wire.takes)
        deltas = answers.Deltas(self._limits.response_bytes)
        limit, waited_for = self._limits.model_first_token, "the first token"
        try:
            async with asyncio.timeout(limit) as silence, AsyncExitStack() as stack:
                call = await stack.enter_async_context(http.call(self._wire.headers, self._wire.unread))
                stream = await self._open(call, stack, messages, settings, self._parameters(request))
                events = aiter(stream)
                for number in itertools.count(1):
                    told = await self._next(events, deltas)
                    if told is None:
                        break
                    limit, waited_for = self._limits.model_stall, "more of the answer"
                    silence.reschedule(asyncio.get_running_loop().time() + limit)
                    for delta in told:
                        on_delta(delta)
                    if number % _AT_A_TIME == 0:
                        await asyncio.sleep(0)
                return self._answer(stream, self._clock.monotonic() - started)
        except TimeoutError:
            raise statuses.TIMEOUT.failure(f"the model was silent for {limit:g} s; waited for {waited_for}") from None

    def _within_reach(self, request: ModelRequest) -> ModelRequest:
        """A grader's request without its schema, where the model is not known to follow one: its words ask for JSON,
        too."""
        if request.grading is None or self._wire.model.profile.get("supports_json_schema_output", False):
            return request
        settings = agent_pb2.ModelSettings()
        settings.CopyFrom(request.settings)
        settings.ClearField("response_schema_json")
        return dataclasses.replace(request, settings=settings)

    async def _open(
        self,
        call: http.Call,
        stack: AsyncExitStack,
        messages: list[library.ModelMessage],
        settings: ModelSettings,
        parameters: ModelRequestParameters,
    ) -> StreamedResponse:
        try:
            return await stack.enter_async_context(
                model_request_stream(
                    self._wire.model,
                    messages,
                    # Our own retries are the ones that are logged.
                    model_settings=merged(settings, ModelSettings(max_retries=0)),
                    model_request_parameters=parameters,
                    instrument=False,
                )
            )
        except failures.RAISED as error:
            # Without its cause, whose words may hold the key.
            raise self._failure(error, responded=call.responded, answering=False) from None

    async def _next(
        self, events: AsyncIterator[library.ModelResponseStreamEvent], deltas: answers.Deltas
    ) -> list[Delta] | None:
        """What the next event tells. None: the stream has ended."""
        try:
            event = await anext(events, None)
            return None if event is None else list(deltas.of(event))
        except failures.RAISED as error:
            raise self._failure(error, responded=True, answering=True) from None

    def _answer(self, stream: StreamedResponse, seconds: float) -> Answer:
        try:
            return answers.answer(stream.get(), self._endpoint.model, seconds)
        except failures.RAISED as error:
            # The libraries build what they got without looking at its types.
            raise self._failure(error, responded=True, answering=True) from None

    def _failure(self, error: Exception, *, responded: bool, answering: bool) -> ModelFailure:
        return failures.of(error, responded=responded, answering=answering, secret=self._endpoint.key)

    def _parameters(self, request: ModelRequest) -> ModelRequestParameters:
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
            output_object=OutputObjectDefinition(
                json_schema=json.loads(schema), name="answer", strict=self._wire.strict
            ),
        )
