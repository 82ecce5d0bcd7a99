"""A conversation as the provider library wants it. Imports the library: only for modules that do, too.

The same conversation always gives the same messages, and a longer one begins with those of the shorter: providers find
in their caches what they have read before.
"""

from collections.abc import Iterator, Sequence

from pydantic_ai import messages as library

from managedagents_server.providers import attachments
from managedagents_server.providers.base import Answered, Item, Result, Results, Said


def messages(system: str, conversation: Sequence[Item], provider: str) -> list[library.ModelMessage]:
    """`provider`: whose verbatim answers go back as they came. Everybody else's are told from their events."""
    built: list[library.ModelMessage] = []
    if system:
        built.append(library.ModelRequest(parts=[library.SystemPromptPart(system)]))
    call_ids: list[str] = []
    thinking_field: str | None = None
    for item in conversation:
        match item:
            case Said(content):
                built.append(library.ModelRequest(parts=[_prompt(attachments.blocks(content))]))
            case Answered():
                response = _response(item, provider)
                thinking_field = _thinking_field(response) or thinking_field
                response = _with_thinking(response, thinking_field, provider)
                call_ids = [part.tool_call_id for part in response.parts if isinstance(part, library.ToolCallPart)]
                built.append(response)
            case Results(results):
                built.append(library.ModelRequest(parts=list(_returns(results, call_ids))))
    return library.repair_messages(built)


def _prompt(blocks: Sequence[attachments.Block]) -> library.UserPromptPart:
    match blocks:
        case [str(text)]:
            return library.UserPromptPart(text)
        case _:
            return library.UserPromptPart(list(blocks))


def _response(answered: Answered, provider: str) -> library.ModelResponse:
    verbatim = answered.verbatim
    if verbatim is not None and verbatim.provider == provider:
        try:
            restored = library.ModelMessagesTypeAdapter.validate_json(verbatim.blob)
        except ValueError:
            # Written by a version of the library that this one cannot read: the events tell the same, but for what
            # only the provider understands.
            restored = []
        for response in restored:
            if isinstance(response, library.ModelResponse):
                return response
    return library.ModelResponse(parts=list(_told(answered)))


def _told(answered: Answered) -> Iterator[library.ModelResponsePart]:
    """From the events: our own ids, and no thoughts, which are worth something only to the model that had them."""
    for event in answered.events:
        match event.WhichOneof("payload"):
            case "agent_message":
                for block in event.agent_message.content:
                    if block.text.text:
                        yield library.TextPart(block.text.text)
            case "agent_tool_use":
                yield _call(
                    event.agent_tool_use.name, event.agent_tool_use.input_json, event.agent_tool_use.tool_use_id
                )
            case "agent_mcp_tool_use":
                mcp = event.agent_mcp_tool_use
                yield _call(mcp.name, mcp.input_json, mcp.tool_use_id)
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
    if field is None or _thinking_field(response) or not response.tool_calls:
        return response
    thought = library.ThinkingPart("", id=field, provider_name=provider)
    return library.ModelResponse(
        parts=[thought, *response.parts],
        provider_name=response.provider_name,
        model_name=response.model_name,
        provider_response_id=response.provider_response_id,
    )


def _returns(results: Sequence[Result], call_ids: Sequence[str]) -> Iterator[library.ModelRequestPart]:
    """A result is matched to its call by position: the provider's ids may repeat or be missing."""
    attached: list[attachments.Block] = []
    for number, result in enumerate(results):
        blocks = attachments.blocks(result.content)
        texts = [block for block in blocks if isinstance(block, str)]
        if len(texts) < len(blocks):
            texts.append(f"[What was attached to this result of {result.name} follows in the next message.]")
            attached.extend(block for block in blocks if not isinstance(block, str))
        yield library.ToolReturnPart(
            result.name,
            "\n".join(texts),
            tool_call_id=call_ids[number] if number < len(call_ids) else result.tool_use_id,
            outcome="failed" if result.is_error else "success",
        )
    if attached:
        yield _prompt(["[Attached to the results of the tools:]", *attached])
