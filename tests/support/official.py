"""The vendors' own libraries: what they make of an answer, in one shape. That they take what a fake sends is the proof
that it is real; they are lenient by default, so each event is also held against their published types."""

import json
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import openai
from anthropic.types import RawMessageStreamEvent
from google import genai
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from support.keys import key
from support.wires import ANTHROPIC, GEMINI, OPENAI, Wire

_RESPONSES: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_MESSAGES: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


@dataclass
class Heard:
    text: str = ""
    thought: str = ""
    refusal: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    stop: str | None = None
    """In the vendor's words. None: it did not say."""
    signatures: list[str] = field(default_factory=list)
    counted: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Tokens: read, written, of these from the cache, and for thoughts."""


async def hear(wire: Wire, body: dict[str, Any] | None = None) -> Heard:
    """Asks once. `body`: what is sent beyond the model, by the vendor's own names; else a word of greeting."""
    match wire.vendor:
        case vendor if vendor is OPENAI:
            return await _responses(wire, body or {"input": [{"role": "user", "content": "hi"}]})
        case vendor if vendor is ANTHROPIC:
            return await _messages(wire, {"messages": [{"role": "user", "content": "hi"}]} | (body or {}))
        case vendor if vendor is GEMINI:
            return await _contents(wire, body or {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
        case _:
            return await _chat(wire, body or {"messages": [{"role": "user", "content": "hi"}]})


def _openai(wire: Wire) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key(wire.vendor.name), base_url=wire.base_url, max_retries=0)


async def _responses(wire: Wire, body: dict[str, Any]) -> Heard:
    heard = Heard()
    async with _openai(wire) as client:
        stream = await client.responses.create(model=wire.vendor.model, stream=True, store=False, **body)
        async for event in stream:
            _RESPONSES.validate_python(event.to_dict(mode="json"), strict=True)
            match event.type:
                case "response.output_text.delta":
                    heard.text += event.delta
                case "response.reasoning_summary_text.delta":
                    heard.thought += event.delta
                case "response.refusal.delta":
                    heard.refusal += event.delta
                case "response.output_item.done" if event.item.type == "function_call":
                    heard.calls.append((event.item.name, json.loads(event.item.arguments)))
                case "response.output_item.done" if event.item.type == "reasoning":
                    heard.signatures.append(event.item.encrypted_content or "")
                case "response.completed" | "response.incomplete":
                    usage, details = event.response.usage, event.response.incomplete_details
                    assert usage is not None
                    heard.stop = (details and details.reason) or event.response.status
                    heard.counted = (
                        usage.input_tokens,
                        usage.output_tokens,
                        usage.input_tokens_details.cached_tokens,
                        usage.output_tokens_details.reasoning_tokens,
                    )
                case "response.failed":
                    heard.stop = event.response.error and event.response.error.code
    return heard


async def _messages(wire: Wire, body: dict[str, Any]) -> Heard:
    heard = Heard()
    client = anthropic.AsyncAnthropic(api_key=key(wire.vendor.name), base_url=wire.base_url, max_retries=0)
    inputs: dict[int, str] = {}
    async with client:
        async for event in await client.messages.create(
            **{"model": wire.vendor.model, "max_tokens": 100, **body}, stream=True
        ):
            _MESSAGES.validate_python(event.to_dict(mode="json"), strict=True)
            match event:
                case anthropic.types.RawContentBlockStartEvent(content_block=block):
                    if block.type == "tool_use":
                        heard.calls.append((block.name, None))
                    elif block.type == "redacted_thinking":
                        heard.signatures.append(block.data)
                case anthropic.types.RawContentBlockDeltaEvent(delta=delta, index=index):
                    match delta:
                        case anthropic.types.TextDelta(text=text):
                            heard.text += text
                        case anthropic.types.ThinkingDelta(thinking=thought):
                            heard.thought += thought
                        case anthropic.types.SignatureDelta(signature=signed):
                            heard.signatures.append(signed)
                        case anthropic.types.InputJSONDelta(partial_json=fragment):
                            inputs[index] = inputs.get(index, "") + fragment
                case anthropic.types.RawMessageDeltaEvent(delta=delta, usage=usage):
                    heard.stop = delta.stop_reason
                    cached = usage.cache_read_input_tokens or 0
                    assert usage.output_tokens_details is not None
                    thinking = usage.output_tokens_details.thinking_tokens
                    heard.counted = ((usage.input_tokens or 0) + cached, usage.output_tokens, cached, thinking)
                case _:
                    pass
    whole = [json.loads(text) for text in inputs.values()] if heard.stop else [None] * len(heard.calls)
    heard.calls = [(name, given) for (name, _), given in zip(heard.calls, whole, strict=True)]
    return heard


async def _contents(wire: Wire, body: dict[str, Any]) -> Heard:
    heard = Heard()
    # One attempt: this library, too, would try again by itself. Its own connections it leaves open after an error.
    retries = genai.types.HttpRetryOptions(attempts=1)
    async with httpx2.AsyncClient() as http:
        options = genai.types.HttpOptions(
            base_url=wire.base_url, api_version="v1beta", retry_options=retries, httpx_async_client=http
        )
        client = genai.Client(api_key=key(wire.vendor.name), http_options=options)
        stream = await client.aio.models.generate_content_stream(model=wire.vendor.model, **body)
        async for chunk in stream:
            _take(heard, chunk)
    return heard


def _take(heard: Heard, chunk: genai.types.GenerateContentResponse) -> None:
    if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
        heard.stop = chunk.prompt_feedback.block_reason.value
    for candidate in chunk.candidates or []:
        for part in (candidate.content and candidate.content.parts) or []:
            if part.thought_signature:
                heard.signatures.append(part.thought_signature.hex())
            if part.function_call is not None:
                heard.calls.append((part.function_call.name or "", part.function_call.args))
            elif part.thought:
                heard.thought += part.text or ""
            else:
                heard.text += part.text or ""
        if candidate.finish_reason is not None and chunk.usage_metadata is not None:
            usage = chunk.usage_metadata
            heard.stop = candidate.finish_reason.value
            thoughts = usage.thoughts_token_count or 0
            heard.counted = (
                usage.prompt_token_count or 0,
                (usage.candidates_token_count or 0) + thoughts,
                usage.cached_content_token_count or 0,
                thoughts,
            )


async def _chat(wire: Wire, body: dict[str, Any]) -> Heard:
    heard = Heard()
    calls: dict[int, list[str]] = {}
    async with _openai(wire) as client:
        options: Any = {"stream_options": {"include_usage": True}, **body}
        async for chunk in await client.chat.completions.create(model=wire.vendor.model, stream=True, **options):
            ChatCompletionChunk.model_validate(chunk.to_dict(mode="json"), strict=True)
            for choice in chunk.choices:
                extra = choice.delta.model_extra or {}
                heard.text += choice.delta.content or ""
                heard.thought += extra.get("reasoning_content") or extra.get("reasoning") or ""
                heard.refusal += choice.delta.refusal or ""
                heard.stop = choice.finish_reason or heard.stop
                for call in choice.delta.tool_calls or []:
                    assert call.function is not None
                    made = calls.setdefault(call.index, [call.function.name or "", ""])
                    made[1] += call.function.arguments or ""
            if chunk.usage is not None:
                cached = chunk.usage.prompt_tokens_details and chunk.usage.prompt_tokens_details.cached_tokens
                details = chunk.usage.completion_tokens_details
                thoughts = details and details.reasoning_tokens
                heard.counted = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens, cached or 0, thoughts or 0)
    heard.calls = [(name, json.loads(arguments) if heard.stop else None) for name, arguments in calls.values()]
    return heard


def status_of(error: Exception) -> int | None:
    """The HTTP status that a library's error tells of."""
    match error:
        case openai.APIStatusError(status_code=status) | anthropic.APIStatusError(status_code=status):
            return status
        case genai.errors.APIError(code=status):
            return status
        case _:
            return None
