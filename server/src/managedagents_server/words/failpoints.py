"""Named places where a crash test kills the process. Nothing is armed unless the environment says so at the start.

A spec is `NAME` or `NAME@N`: SIGKILL at the N-th time (from 1) that the process comes by NAME.
"""

import os
import signal

armed = False
_name = ""
_left = 0


def arm(spec: str) -> None:
    global armed, _name, _left
    name, _, count = spec.partition("@")
    armed, _name, _left = True, name, int(count or "1")


def hit(name: str) -> None:
    """The process comes by the place `name`."""
    global _left
    if not armed or name != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
