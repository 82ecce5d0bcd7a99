"""What a provider says, as it may be stored and shown."""

import base64
import html
import json
from collections.abc import Iterator
from urllib.parse import quote

_PART = 12
"""So many characters of a key in a row are not shown either. Fewer may be a word, or what providers show on purpose."""


def well_formed(text: str) -> str:
    """Joins the halves of a character that came in two chunks; a half without the other becomes U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def without(secret: str, text: str) -> str:
    """The text without the secret, and without parts of it, in any form in which a provider may tell it back."""
    if len(secret) < _PART:
        return text.replace(secret, "[key]") if secret else text
    parts = {form[start : start + _PART] for form in _forms(secret) for start in range(len(form) - _PART + 1)}
    shown: list[str] = []
    hidden_to = 0
    for position, character in enumerate(text):
        if text[position : position + _PART] in parts:
            if position >= hidden_to:
                shown.append("[key]")
            hidden_to = position + _PART
        if position >= hidden_to:
            shown.append(character)
    return "".join(shown)


def _forms(secret: str) -> Iterator[str]:
    """As it is, in JSON, in HTML, in Python's rendering of each, in a URL, in hex and in base64."""
    for form in (secret, json.dumps(secret)[1:-1], html.escape(secret)):
        yield form
        yield repr(form)[1:-1]
    yield quote(secret, safe="")
    yield secret.encode().hex()
    for before in range(3):
        # What stands before it decides where the groups of base64 begin; those at the ends hold more than the secret.
        encoded = base64.b64encode(bytes(before) + secret.encode())[4 if before else 0 : -4].decode()
        yield encoded
        yield encoded.translate(str.maketrans("+/", "-_"))
