"""Content blocks as chat completions can take them. Imports the library: only for modules that do, too."""

from collections.abc import Iterable

from pydantic_ai.messages import BinaryContent

from managedagents.v1 import content_pb2
from managedagents_server.providers import statuses

Block = str | BinaryContent

_TEXT_TYPES = frozenset(
    {"application/json", "application/toml", "application/xml", "application/x-yaml", "application/yaml"}
)
_BINARY_TYPES = frozenset({"application/pdf", "audio/mpeg", "audio/wav"})
_TEXT_SUFFIXES = ("+json", "+xml", "+yaml")


def blocks(content: Iterable[content_pb2.Content]) -> list[Block]:
    """Raises a ModelFailure for a file that chat completions have no place for."""
    built: list[Block] = []
    for block in content:
        match block.WhichOneof("block"):
            case "text":
                built.append(block.text.text)
            case "image":
                built.append(BinaryContent(block.image.data, media_type=_essence(block.image.media_type)))
            case "file":
                built.extend(_file(block.file))
    return built


def _file(file: content_pb2.FileContent) -> list[Block]:
    media_type = _essence(file.media_type)
    heading = f"[File {file.name}, {media_type}]" if file.name else f"[File, {media_type}]"
    if media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(_TEXT_SUFFIXES):
        try:
            return [f"{heading}\n{file.data.decode()}"]
        except UnicodeDecodeError as error:
            raise statuses.CONTENT_REJECTED.failure(f"a file of type {media_type} is not UTF-8: {error}") from error
    if media_type.startswith("image/") or media_type in _BINARY_TYPES:
        return [heading, BinaryContent(file.data, media_type=media_type)]
    raise statuses.CONTENT_REJECTED.failure(f"this provider takes no file of type {media_type}")


def _essence(media_type: str) -> str:
    """Without parameters: `text/plain` of `text/plain; charset=utf-8`."""
    return media_type.partition(";")[0].strip().lower()
