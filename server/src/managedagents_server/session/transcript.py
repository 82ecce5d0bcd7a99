"""A part of a conversation as one text, for the model that is to summarise or to judge it: without its tools and
attachments, so that any model can read it, also one that none of it was written for."""

from collections.abc import Iterable, Iterator, Sequence

from managedagents.v1 import content_pb2
from managedagents_server.providers.base import Answered, Item, Results, Said
from managedagents_server.session.conversation import Turn
from managedagents_server.session.frames import Event
from managedagents_server.words.mcp_names import shown_name

SYSTEM = (
    "You keep the notes of a long conversation between a user and an assistant. You are given a part of it, and the "
    "notes on what was before. You write the notes that will stand in the place of both. Keep what still holds of the "
    "notes so far, and every name, number, date, identifier, decision, preference and open question, and what the "
    "tools found out, each in a short sentence. Leave out greetings and repetition. Write nothing but the notes."
)

_TASK = "Write the notes now."

_CUT = "\n[… left out …]\n"


def prompt(summary: str, turns: Sequence[Turn], most_bytes: int) -> str:
    """About `most_bytes` long at the most."""
    summary = cut(summary, most_bytes * 3 // 4)
    talk = told(turns, most_bytes - len(summary.encode()))
    # The notes come last: what stands near the end is least likely to be lost.
    notes = f"The notes so far:\n{summary}\n\n" if summary else ""
    return f"The conversation:\n\n{talk}\n\n{notes}{_TASK}"


def told(turns: Sequence[Turn], most_bytes: int) -> str:
    """Where they are longer together, the turns that have more than their share lose their middle."""
    texts = [_told(turn) for turn in turns]
    if sum(len(text.encode()) for text in texts) > most_bytes:
        share = max(200, most_bytes // len(texts))
        texts = [cut(text, share) for text in texts]
    return "\n\n".join(texts)


def cut(text: str, most_bytes: int) -> str:
    """Without its middle, where it is longer."""
    encoded = text.encode()
    if len(encoded) <= most_bytes:
        return text
    half = most_bytes // 2
    return encoded[:half].decode(errors="ignore") + _CUT + encoded[-half:].decode(errors="ignore")


def _told(turn: Turn) -> str:
    return "\n".join(line for item in turn.items for line in _lines(item))


def _lines(item: Item) -> Iterator[str]:
    match item:
        case Said(content):
            yield f"User: {words(content)}"
        case Answered(answer):
            for event in answer:
                yield from _answer(event)
        case Results(results):
            for result in results:
                yield f"{'Error' if result.is_error else 'Result'} of {result.name}: {words(result.content)}"


def _answer(event: Event) -> Iterator[str]:
    match event.WhichOneof("payload"):
        case "agent_message":
            yield f"Assistant: {words(event.agent_message.content)}"
        case "agent_custom_tool_use":
            yield _call(event.agent_custom_tool_use.name, event.agent_custom_tool_use.input_json)
        case "agent_tool_use":
            yield _call(event.agent_tool_use.name, event.agent_tool_use.input_json)
        case "agent_mcp_tool_use":
            mcp = event.agent_mcp_tool_use
            yield _call(shown_name(mcp.server_name, mcp.name), mcp.input_json)
        case _:
            # Thoughts: what came of them stands in the answer.
            return


def _call(name: str, input_json: str) -> str:
    return f"The assistant called {name} with {input_json}"


def words(blocks: Iterable[content_pb2.Content]) -> str:
    return " ".join(_block(block) for block in blocks)


def _block(block: content_pb2.Content) -> str:
    match block.WhichOneof("block"):
        case "text":
            return block.text.text
        case "image":
            return f"[a picture, {block.image.media_type}]"
        case _:
            return f"[a file, {block.file.name or 'without a name'}, {block.file.media_type}]"
