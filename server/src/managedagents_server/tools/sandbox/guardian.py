"""The process that ends what a killed server had begun: one for the life of the server."""

import os
import secrets
import sys
from functools import cache

from managedagents_server.tools import inside


@cache
def guarded() -> dict[str, str]:
    """The environment by which the guardian of this server knows what to end. Starts it, the first time."""
    name, value = "MANAGEDAGENTS_CALL_OF", secrets.token_hex(16)
    # The end that is ours stays open: that it is closed tells the guardian that this server has ended.
    watched, _ = os.pipe2(os.O_CLOEXEC)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", inside.program("guardian"), f"{name}={value}"],
        {},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, watched, 0),
            # Who reads what the server says must not have to wait for it.
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        # A signal to the server's terminal is none to it.
        setsid=True,
    )
    os.close(watched)
    return {name: value}
