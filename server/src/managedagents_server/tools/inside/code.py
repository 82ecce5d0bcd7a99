"""Runs Python that comes on stdin as if it were a file, with its lines in tracebacks."""

import builtins
import linecache
import os
import sys
import traceback
from types import TracebackType

_NAME = "<code>"


def main() -> None:
    source = sys.stdin.buffer.read().decode()
    # What the code reads is not what is left of itself.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the program
    linecache.cache[_NAME] = (len(source), None, source.splitlines(keepends=True), _NAME)
    names = sys.modules["__main__"].__dict__
    names.clear()
    names |= {"__name__": "__main__", "__builtins__": builtins}
    sys.argv = [""]
    sys.excepthook = _tell
    exec(compile(source, _NAME, "exec"), names)


def _tell(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
    """Without the way that led into the code."""
    while at is not None and at.tb_frame.f_code.co_filename != _NAME:
        at = at.tb_next
    traceback.print_exception(kind, error, at)
