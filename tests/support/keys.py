"""Keys for tests. Where one of them is found that should not be, its mark tells at once that it leaked."""

KEYMARK = "KEYMARK"


def key(provider: str, n: int = 1) -> str:
    """`provider` is a name as in the log; `n` tells the keys of one provider apart."""
    return f"{KEYMARK}-{provider}-{n}"
