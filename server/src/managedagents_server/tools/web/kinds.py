"""What an answer is: by its first bytes where they say it, else by what its header says."""

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    HTML = auto()
    TEXT = auto()
    IMAGE = auto()
    PDF = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Found:
    kind: Kind
    media_type: str
    """As the bytes say it, else the header; empty: nothing does."""


_HTML = frozenset({"text/html", "application/xhtml+xml"})
_TEXTS = frozenset(
    {
        *("application/ecmascript", "application/graphql", "application/javascript", "application/json"),
        *("application/ld+json", "application/rtf", "application/sql", "application/toml", "application/x-javascript"),
        *("application/x-ndjson", "application/x-sh", "application/x-yaml", "application/xml", "application/yaml"),
    }
)
_UNKNOWN = frozenset({"", "application/octet-stream", "application/unknown", "binary/octet-stream", "unknown/unknown"})

# The first bytes, as https://mimesniff.spec.whatwg.org gives them.
_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_LOOKED_AT = 1024
_BINARY = bytes(byte for byte in range(0x20) if byte not in b"\t\n\x0c\r\x1b")
_TWO_BYTE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_HTML_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body")


def kind_of(data: bytes, said: str, charset: str | None) -> Found:
    """`said`: the media type of the header, in small letters and without parameters; empty: none."""
    if picture := _picture(data):
        return Found(Kind.IMAGE, picture)
    if data.startswith(b"%PDF-"):
        return Found(Kind.PDF, "application/pdf")
    beginning = data[:_LOOKED_AT]
    of_two_bytes = beginning.startswith(_TWO_BYTE_MARKS) or (charset or "").startswith("utf-16")
    if not of_two_bytes and beginning.translate(None, _BINARY) != beginning:
        return Found(Kind.OTHER, "" if said in _UNKNOWN else said)
    if said in _HTML:
        return Found(Kind.HTML, said)
    if said.startswith("text/") or said in _TEXTS or said.endswith(("+json", "+xml", "+yaml")):
        return Found(Kind.TEXT, said)
    if said not in _UNKNOWN:
        return Found(Kind.OTHER, said)
    is_html = beginning.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML_BEGINNINGS)
    return Found(Kind.HTML, "text/html") if is_html else Found(Kind.TEXT, "text/plain")


def _picture(data: bytes) -> str | None:
    for beginning, kind in _PICTURES:
        if data.startswith(beginning):
            return kind
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
