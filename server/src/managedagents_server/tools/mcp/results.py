"""What a server answered to a call, as content for a model. Imports the library's types."""

import base64
import binascii
import json
from collections.abc import Collection
from typing import Any

import mcp_types

from managedagents.v1 import content_pb2
from managedagents_server.tools.base import Outcome, text
from managedagents_server.tools.mcp import media

_BLOCKS = 256
"""Of one result. More are told as one note."""
_MARK = 64
"""Bytes that the shortest note may take where nothing else fits."""


def outcome(result: mcp_types.CallToolResult, takes: Collection[str], most: int) -> Outcome:
    """`takes`: the media types that the model can be shown. Of the others it is told that they are there. `most`:
    bytes."""
    kept = _Kept(takes, most)
    structured, fault = _structured(result.structured_content, most // 2)
    kept.left -= len(structured.encode())
    for block in result.content[:_BLOCKS]:
        kept.add(block)
    if len(result.content) > _BLOCKS:
        kept.note(f"{len(result.content) - _BLOCKS} more blocks of the result were left out")
    if structured and not result.content:
        kept.text(structured)
    if fault:
        kept.note(fault)
    if not kept.content:
        kept.note("the result is empty")
    return Outcome(kept.content, is_error=result.is_error, structured_content_json=structured)


def _structured(value: Any, most: int) -> tuple[str, str]:
    """As JSON, and what is wrong with it."""
    if value is None:
        return "", ""
    try:
        told = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return "", "the structured result was left out: it has a number that JSON cannot write"
    if len(told.encode()) > most:
        return "", f"the structured result was left out: it is larger than {most} bytes"
    return told, ""


class _Kept:
    def __init__(self, takes: Collection[str], most: int) -> None:
        self.content: list[content_pb2.Content] = []
        self.left = most
        self._takes = takes

    def add(self, block: mcp_types.ContentBlock) -> None:
        match block:
            case mcp_types.TextContent():
                self.text(block.text)
            case mcp_types.ImageContent():
                self._bytes("image", block.data, block.mime_type, "")
            case mcp_types.AudioContent():
                self._bytes("recording", block.data, block.mime_type, "")
            case mcp_types.ResourceLink():
                self.note(_link(block))
            case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents() as resource):
                self.text(f"[{resource.uri}]\n{resource.text}")
            case mcp_types.EmbeddedResource(resource=mcp_types.BlobResourceContents() as resource):
                self._bytes("file", resource.blob, resource.mime_type or "application/octet-stream", resource.uri)

    def text(self, words: str) -> None:
        if not words:
            return
        encoded = words.encode()
        if len(encoded) <= self.left:
            self.left -= len(encoded)
            self.content.append(text(words))
            return
        shown = encoded[: max(self.left, 0)].decode(errors="ignore")
        self.left = 0
        self.content.append(text(f"{shown}\n[cut here: the text has {len(encoded)} bytes]"))

    def note(self, words: str) -> None:
        """Notes are few and short, and come through where nothing else does."""
        self.left -= len(words.encode()) + _MARK
        self.content.append(text(f"[{words}]"))

    def _bytes(self, what: str, encoded: str, said: str, name: str) -> None:
        media_type = media.essence(said)
        label = " ".join(part for part in (what, name, f"({media_type[:100]})") if part)
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            self.note(f"{label} was left out: it is no base64")
            return
        if media.is_text(media_type):
            self.text(f"[{name or what}]\n{data.decode(errors='replace')}")
            return
        if media_type.startswith("image/"):
            media_type = media.picture(data) or media_type
            is_shown = media_type in self._takes and media.picture(data) == media_type
        else:
            is_shown = media_type in self._takes
        if not is_shown:
            self.note(f"{label} of {len(data)} bytes was left out: it cannot be shown here")
        elif len(data) > self.left:
            self.note(f"{label} of {len(data)} bytes was left out: it is too large")
        else:
            self.left -= len(data)
            self.content.append(_content(data, media_type, name))


def _content(data: bytes, media_type: str, name: str) -> content_pb2.Content:
    if media_type.startswith("image/"):
        return content_pb2.Content(image=content_pb2.ImageContent(data=data, media_type=media_type))
    return content_pb2.Content(file=content_pb2.FileContent(data=data, media_type=media_type, name=name))


def _link(link: mcp_types.ResourceLink) -> str:
    size = f"{link.size} bytes" if link.size is not None else ""
    about = ", ".join(part for part in (link.mime_type, size, link.description) if part)
    return f"a link to {link.title or link.name}: {link.uri}" + (f" ({about})" if about else "")
