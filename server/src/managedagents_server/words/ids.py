"""Opaque ids, made by the server."""

import secrets
import time

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _new(prefix: str) -> str:
    # Time first: ids that are made one after the other lie side by side in the indexes. 9 digits last until 5188.
    return f"{prefix}_{_base36(time.time_ns() // 1_000_000, 9)}{_base36(secrets.randbits(72), 14)}"


def agent_id() -> str:
    return _new("agt")


def session_id() -> str:
    return _new("ses")


def log_id() -> str:
    return _new("log")


def error_id() -> str:
    return _new("err")


def tool_use_id(seq: int) -> str:
    """The id of the tool use logged at `seq`: the seq makes it unique in its session."""
    return f"use_{seq}_{_base36(secrets.randbits(25), 5)}"


def seq_of_tool_use(use_id: str) -> int | None:
    """The seq that an id says it was logged at; None: it is no id of ours."""
    parts = use_id.split("_")
    digits = parts[1] if len(parts) == 3 else ""
    # Longer is no seq of ours, and would not fit into the log's 64 bits.
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 18 else None
