"""About how many tokens something is. Only a provider can count; this errs on the high side: to fold a conversation a
little early does no harm."""

from collections.abc import Iterable

from managedagents.v1 import content_pb2
from managedagents_server.session.frames import Event

BYTES_A_TOKEN = 3
"""Of UTF-8. English has about four."""

_IMAGE = 1_600
"""The most that a picture costs at Anthropic, which scales larger ones down; the others are of the same order."""

_FILE_BYTES_A_TOKEN = 16
"""A guess: what a PDF costs depends on its pages, not on its bytes."""


def tokens_of_text(text: str) -> int:
    return len(text.encode()) // BYTES_A_TOKEN + 1 if text else 0


def tokens_of_content(blocks: Iterable[content_pb2.Content]) -> int:
    return sum(_tokens_of_block(block) for block in blocks)


def _tokens_of_block(block: content_pb2.Content) -> int:
    match block.WhichOneof("block"):
        case "text":
            return tokens_of_text(block.text.text)
        case "image":
            return _IMAGE
        case _:
            file = block.file
            return len(file.data) // (BYTES_A_TOKEN if file.media_type.startswith("text/") else _FILE_BYTES_A_TOKEN) + 1


def tokens_of_answer(event: Event) -> int:
    """Of one event of a model response."""
    match event.WhichOneof("payload"):
        case "agent_message":
            return tokens_of_content(event.agent_message.content)
        case "agent_custom_tool_use":
            return tokens_of_text(event.agent_custom_tool_use.input_json)
        case "agent_tool_use":
            return tokens_of_text(event.agent_tool_use.input_json)
        case "agent_mcp_tool_use":
            return tokens_of_text(event.agent_mcp_tool_use.input_json)
        case _:
            # Thoughts of earlier answers are not told again, or not in full.
            return 0
