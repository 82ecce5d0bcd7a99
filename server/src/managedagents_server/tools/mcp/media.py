"""Whether an encoded picture is what its sender says: one that is not is refused by providers with the whole
conversation that holds it, at every turn from then on."""

IMAGES = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
"""Pictures that every model with eyes takes."""

# The first bytes, as https://mimesniff.spec.whatwg.org gives them.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_TEXT_TYPES = frozenset({"application/json", "application/toml", "application/xml", "application/yaml"})
_TEXT_SUFFIXES = ("+json", "+xml", "+yaml")


def essence(media_type: str) -> str:
    """Without parameters, in small letters."""
    return media_type.partition(";")[0].strip().lower()


def picture(data: bytes) -> str:
    """Its media type. Empty: it is none of `IMAGES`."""
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(_TEXT_SUFFIXES)
