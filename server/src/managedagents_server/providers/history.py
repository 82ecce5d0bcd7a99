"""A conversation as the provider library wants it. Imports the library: only for modules that do, too.

The same conversation always gives the same messages, and a longer one begins with those of the shorter: providers find
in their caches what they have read before.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from pydantic_ai import messages as library

from managedagents_server.providers import attachments, names
from managedagents_server.providers.answers import ASKED
from managedagents_server.providers.attachments import Takes
from managedagents_server.providers.base import Answered, Endpoint, Item, Result, Results, Said
from managedagents_server.words.mcp_names import shown_name

_FIELDS = frozenset({names.OPENAI_COMPATIBLE, names.OLLAMA})
"""Providers that give thoughts unsigned, in a field of their own."""
_SIGNING = frozenset({names.ANTHROPIC, names.OPENAI})
"""Providers that sign thoughts. Gemini signs what stands beside them."""


_NOTHING = "(no content)"
"""Told of a result that is empty, which Anthropic refuses."""


def messages(system: str, conversation: Sequence[Item], endpoint: Endpoint, takes: Takes) -> list[library.ModelMessage]:
    """The verbatim answers of the endpoint's own model go back as they came. Everybody else's are told from their
    events: signatures are good for the model alone that made them, and of its provider's others some reject them."""
    built: list[library.ModelMessage] = []
    if system:
        built.append(library.ModelRequest(parts=[library.SystemPromptPart(system)]))
    call_ids: list[str] = []
    thinking_field: str | None = None
    for item in conversation:
        match item:
            case Said(content):
                built.append(library.ModelRequest(parts=[_prompt(attachments.blocks(content, takes))]))
            case Answered():
                response = _response(item, endpoint)
                thinking_field = _thinking_field(response) or thinking_field
                response = _with_thinking(response, thinking_field, endpoint.provider)
                call_ids = [part.tool_call_id for part in response.parts if isinstance(part, library.ToolCallPart)]
                built.append(response)
            case Results(results):
                built.append(library.ModelRequest(parts=list(_returns(results, call_ids, takes))))
    return library.repair_messages(built)


def _prompt(blocks: Sequence[attachments.Block]) -> library.UserPromptPart:
    match blocks:
        case [str(text)]:
            return library.UserPromptPart(text)
        case _:
            return library.UserPromptPart(list(blocks))


def _response(answered: Answered, endpoint: Endpoint) -> library.ModelResponse:
    verbatim = answered.verbatim
    if verbatim is not None and verbatim.provider == endpoint.provider:
        try:
            restored = library.ModelMessagesTypeAdapter.validate_json(verbatim.blob)
        except ValueError:
            # Written by a version of the library that this one cannot read: the events tell the same, but for what
            # only the provider understands.
            restored = []
        for response in restored:
            if isinstance(response, library.ModelResponse) and _is_of(response, endpoint.model):
                # Whose it is was decided just now. The library would decide it anew by the address, and take the ids
                # out of an answer whose provider has moved to another one.
                taken = dataclasses.replace(
                    response, parts=_taken_back(response.parts, endpoint.provider), provider_url=None
                )
                if taken.parts:
                    return taken
    return library.ModelResponse(parts=list(_told(answered)))


def _is_of(response: library.ModelResponse, model: str) -> bool:
    """An answer of an older log does not say which model was asked; its provider signs nothing."""
    asked: object = (response.metadata or {}).get(ASKED, model)
    return asked == model


def _taken_back(parts: Sequence[library.ModelResponsePart], provider: str) -> list[library.ModelResponsePart]:
    """What the provider takes back of its own answer."""
    taken = list(parts)
    if provider in _SIGNING:
        taken = _signed(taken)
    if provider == names.OPENAI:
        # A thought without what it led to is refused: what followed was cut off, or a refusal.
        while taken and isinstance(taken[-1], library.ThinkingPart):
            taken.pop()
    if provider == names.ANTHROPIC:
        # Its models write such texts, its interface refuses them.
        taken = [part for part in taken if not isinstance(part, library.TextPart) or part.content.strip()]
    return taken


def _signed(parts: Sequence[library.ModelResponsePart]) -> list[library.ModelResponsePart]:
    """Without thoughts that were cut off before their signature: the library would send them as text."""
    signed = {part.id for part in parts if isinstance(part, library.ThinkingPart) and part.signature and part.id}
    return [part for part in parts if not isinstance(part, library.ThinkingPart) or part.signature or part.id in signed]


def _told(answered: Answered) -> Iterator[library.ModelResponsePart]:
    """From the events: our own ids, and no thoughts, which are worth something only to the model that had them."""
    for event in answered.events:
        match event.WhichOneof("payload"):
            case "agent_message":
                for block in event.agent_message.content:
                    if block.text.text.strip():
                        yield library.TextPart(block.text.text)
            case "agent_tool_use":
                yield _call(
                    event.agent_tool_use.name, event.agent_tool_use.input_json, event.agent_tool_use.tool_use_id
                )
            case "agent_mcp_tool_use":
                mcp = event.agent_mcp_tool_use
                yield _call(shown_name(mcp.server_name, mcp.name), mcp.input_json, mcp.tool_use_id)
            case "agent_custom_tool_use":
                custom = event.agent_custom_tool_use
                yield _call(custom.name, custom.input_json, custom.custom_tool_use_id)


def _call(name: str, input_json: str, use_id: str) -> library.ToolCallPart:
    return library.ToolCallPart(name, input_json, tool_call_id=use_id)


def _thinking_field(response: library.ModelResponse) -> str | None:
    """The field of a chat completion in which the thoughts came. None: there were none, or they stood in the text."""
    for part in response.parts:
        if isinstance(part, library.ThinkingPart) and part.id and part.id != "content":
            return part.id
    return None


def _with_thinking(response: library.ModelResponse, field: str | None, provider: str) -> library.ModelResponse:
    """After a first answer with thoughts, each answer with calls gets the field, empty where there was no thought.

    Some providers insist on it. The library adds it by itself, but only after the last user message, and so changes
    what was sent before; what has the field already it leaves alone.
    """
    if provider not in _FIELDS or field is None or _thinking_field(response) or not response.tool_calls:
        return response
    thought = library.ThinkingPart("", id=field, provider_name=provider)
    return library.ModelResponse(
        parts=[thought, *response.parts],
        provider_name=response.provider_name,
        model_name=response.model_name,
        provider_response_id=response.provider_response_id,
    )


def _returns(results: Sequence[Result], call_ids: Sequence[str], takes: Takes) -> Iterator[library.ModelRequestPart]:
    """A result is matched to its call by position: the provider's ids may repeat or be missing."""
    attached: list[attachments.Block] = []
    for number, result in enumerate(results):
        blocks = attachments.blocks(result.content, takes)
        texts = [block for block in blocks if isinstance(block, str)]
        if len(texts) < len(blocks):
            texts.append(f"[What was attached to this result of {result.name} follows in the next message.]")
            attached.extend(block for block in blocks if not isinstance(block, str))
        yield library.ToolReturnPart(
            result.name,
            "\n".join(texts) or _NOTHING,
            tool_call_id=call_ids[number] if number < len(call_ids) else result.tool_use_id,
            outcome="failed" if result.is_error else "success",
        )
    if attached:
        yield _prompt(["[Attached to the results of the tools:]", *attached])
