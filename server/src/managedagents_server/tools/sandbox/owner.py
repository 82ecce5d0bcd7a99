"""Who the processes of a session are. A server that runs as root gives each session a user of its own: to root the
kernel grants as many processes as it likes, and the sessions' files belong to different users even where nothing else
parts them."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_FIRST = 0x7000_0000
"""From here to `_END` systemd's table of users, which the distributions go by, has nobody."""
_END = 0x7FFE_0000
LAST = _END - _FIRST - 1
"""The greatest number that an owner may have."""


def uid_of(owner: int) -> int | None:
    """None: that of the server."""
    if os.geteuid() != 0:
        return None
    uid = _FIRST + owner
    if not 1 <= owner <= LAST:
        raise ValueError(f"owner {owner} is not from 1 to {LAST}")
    return uid if any(uid in users for users in _users()) else None


@cache
def _users() -> Sequence[range]:
    """Those there are: in a container of a user who is not root, these may be few."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    fields = [[int(field) for field in line.split()] for line in lines]
    return [range(first, first + length) for first, _, length in fields]


def reachable(path: Path, uid: int | None) -> bool:
    """Whether that user may go there through all the folders above it."""
    if uid is None:
        return True
    for folder in path.absolute().parents:
        now = folder.stat()
        if not now.st_mode & (0o100 if now.st_uid == uid else 0o001):
            return False
    return True
