"""Media types, and whether an encoded picture is one."""

import re

# RFC 6838, with parameters as RFC 9110 writes them.
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}([ \t]*;[ -~]*)?")

# The first bytes, as https://mimesniff.spec.whatwg.org gives them.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
# Brands of ISO/IEC 23008-12, in a file of ISO/IEC 14496-12.
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_OTHER_NAMES = {"image/jpg": "image/jpeg", "image/heif": "image/heic"}
_KINDS = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/heic"})

_TAKEN = "image/png, image/jpeg, image/gif, image/webp, image/heic or image/heif"


def is_media_type(text: str) -> bool:
    return _MEDIA_TYPE.fullmatch(text) is not None


def image_fault(data: bytes, media_type: str) -> tuple[str, str] | None:
    """The field of the image that is wrong, and why. None: it is a picture of that type."""
    said = media_type.partition(";")[0].strip().lower()
    said = _OTHER_NAMES.get(said, said)
    if said not in _KINDS:
        return "media_type", f"must be {_TAKEN}"
    found = _kind(data)
    if found is None:
        return "data", f"is no picture that a provider takes; it must be {_TAKEN}"
    if found != said:
        return "media_type", f"does not fit the data, which is {found}"
    return None


def _kind(data: bytes) -> str | None:
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "image/heic"
    return None
