"""What a terminal is spared, and what it can show."""

import os
import sys
import unicodedata

# The marks that turn the direction of the writing around, and so can make a text look like another one.
_TURNS_AROUND = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def plain(text: str, *, err: bool = False) -> str:
    """On a terminal: the text without the characters by which a model, or whoever else wrote it, could drive it.

    `err`: it goes to stderr.
    """
    if not (sys.stderr if err else sys.stdout).isatty():
        return text
    return "".join("\N{REPLACEMENT CHARACTER}" if _drives(c) else c for c in text)


def wants_no_colours() -> bool:
    """Whether the environment says so (no-color.org)."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def has_colours() -> bool:
    """Whether stdout is a terminal that shows colours."""
    return sys.stdout.isatty() and not wants_no_colours()


def _drives(character: str) -> bool:
    is_control = unicodedata.category(character) == "Cc" and character not in "\n\t"
    return is_control or unicodedata.bidirectional(character) in _TURNS_AROUND
