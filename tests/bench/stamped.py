"""The server, on a clock that says when its last sleep was over: `python -m bench.stamped FILE python -m
managedagents_server ...`. FILE always holds one moment of time.monotonic_ns.

While nothing else sleeps, that is when the scripted model gave the last piece of an answer that takes its time.
"""

import os
import struct
import sys
import time
from pathlib import Path
from unittest import mock

from managedagents_server.__main__ import main
from managedagents_server.words.clock import SystemClock

_MOMENT = struct.Struct("q")


def moment(file: Path) -> int:
    return int(_MOMENT.unpack(file.read_bytes())[0])


def _run() -> None:
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)

    class Stamping(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            os.pwrite(file, _MOMENT.pack(time.monotonic_ns()), 0)

    sys.argv[:5] = ["managedagents-server"]
    with mock.patch("managedagents_server.app.serve.SystemClock", Stamping):
        main()


if __name__ == "__main__":
    _run()
