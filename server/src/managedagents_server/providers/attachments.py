"""Content blocks as a vendor can take them. Imports the library: only for modules that do, too."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_ai.messages import BinaryContent

from managedagents.v1 import content_pb2
from managedagents_server.providers import statuses

Block = str | BinaryContent

_TEXT_TYPES = frozenset(
    {"application/json", "application/toml", "application/xml", "application/x-yaml", "application/yaml"}
)
_TEXT_SUFFIXES = ("+json", "+xml", "+yaml")
_OTHER_NAMES = {
    "application/x-pdf": "application/pdf",
    "audio/mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "image/jpg": "image/jpeg",
}


@dataclass(frozen=True, slots=True)
class Takes:
    """The media types that a vendor takes as bytes. Text is told as text, everywhere."""

    images: frozenset[str] | None
    """None: whichever; the server says what it cannot read."""
    files: frozenset[str]
    """Beside the images."""


def blocks(content: Iterable[content_pb2.Content], takes: Takes) -> list[Block]:
    """Raises a ModelFailure for a picture or a file that the vendor has no place for."""
    built: list[Block] = []
    for block in content:
        match block.WhichOneof("block"):
            case "text":
                built.append(block.text.text)
            case "image":
                built.append(_binary(block.image.data, _essence(block.image.media_type), takes))
            case "file":
                built.extend(_file(block.file, takes))
    return built


def _file(file: content_pb2.FileContent, takes: Takes) -> list[Block]:
    media_type = _essence(file.media_type)
    heading = f"[File {file.name}, {media_type}]" if file.name else f"[File, {media_type}]"
    if media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(_TEXT_SUFFIXES):
        try:
            return [f"{heading}\n{file.data.decode()}"]
        except UnicodeDecodeError as error:
            raise statuses.CONTENT_REJECTED.failure(
                f"a file of type {media_type} is not UTF-8: {error}; send it as UTF-8"
            ) from error
    return [heading, _binary(file.data, media_type, takes)]


def _binary(data: bytes, media_type: str, takes: Takes) -> BinaryContent:
    is_any_image = takes.images is None and media_type.startswith("image/")
    if is_any_image or media_type in takes.files or media_type in (takes.images or ()):
        return BinaryContent(data, media_type=media_type)
    images = ["image/*"] if takes.images is None else sorted(takes.images)
    raise statuses.CONTENT_REJECTED.failure(
        f"this provider takes no {media_type}; send it as one of text/*, {', '.join([*images, *sorted(takes.files)])}"
    )


def _essence(media_type: str) -> str:
    """Without parameters, and by its usual name: `text/plain` of `text/plain; charset=utf-8`."""
    essence = media_type.partition(";")[0].strip().lower()
    return _OTHER_NAMES.get(essence, essence)
