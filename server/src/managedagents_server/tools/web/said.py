"""Words of strangers in what a tool answers: they may hold halves of characters, which no event can."""


def well_formed(words: str) -> str:
    """UTF-8 can say it: what it cannot becomes a question mark."""
    return words.encode("utf-8", "replace").decode("utf-8")
