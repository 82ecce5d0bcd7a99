"""Runs a command without a sandbox around it, and ends it with everything that it began.

Orphans come to this process instead of to the machine's first one, so they can be found. It stays what the server is,
so that a session that has a user of its own cannot end it; one that has not can, and then its orphans are lost."""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

_SET_PDEATHSIG = 1
_SET_CHILD_SUBREAPER = 36
_NOT_STARTED = 127
_AGAIN = 0.01
"""Seconds."""


def main() -> None:
    with open(int(sys.argv[1]), encoding="utf-8") as file:  # noqa: PTH123 - no path
        request = json.load(file)
    status = int(sys.argv[2])
    os.set_inheritable(status, False)
    libc = ctypes.CDLL(None, use_errno=True)
    # The server is gone without a word: end what it began.
    for option, value in ((_SET_CHILD_SUBREAPER, 1), (_SET_PDEATHSIG, signal.SIGTERM)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            sys.exit(f"prctl {option} failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != request["server"]:
        return
    heard = {signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    child = os.fork()
    if child == 0:
        _become(request)
    code = _waited(child, heard)
    _end_all()
    if code is not None:
        os.write(status, json.dumps({"exit-code": code}).encode() + b"\n")


def _become(request: dict[str, Any]) -> NoReturn:
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        os.setsid()
        uid = request["uid"]
        if uid is not None:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.chdir(request["cwd"])
        for kind, soft, hard in request["limits"]:
            resource.setrlimit(kind, (soft, hard))
        most = request["processes"] + _running(os.getuid())
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
        argv = request["argv"]
        os.execvpe(argv[0], argv, request["env"])
    except OSError as error:
        os.write(2, f"{error.strerror}: {error.filename or request['argv'][0]}\n".encode())
    os._exit(_NOT_STARTED)


def _running(uid: int) -> int:
    """Threads of that user on this machine, which is what the kernel counts."""
    running = 0
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                try:
                    if entry.stat().st_uid == uid:
                        running += len(os.listdir(f"{entry.path}/task"))  # noqa: PTH208 - many of them
                except OSError:
                    continue
    return running


def _waited(child: int, heard: set[signal.Signals]) -> int | None:
    """The exit code of the child. None: it is to be ended."""
    while True:
        if signal.sigwait(heard) == signal.SIGTERM:
            return None
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if ended == 0:
                break


def _end_all() -> None:
    """Again until nobody is left: one that was in the middle of making another one is found with it the next time."""
    while True:
        # A process that is stopped makes no new ones, so none gets away by doing that all the time.
        stopped: set[int] = set()
        while found := set(_below()) - stopped:
            for process in found:
                _signal(process, signal.SIGSTOP)
            stopped |= found
        for process in stopped:
            _signal(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        signal.sigtimedwait({signal.SIGCHLD}, _AGAIN)


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _below() -> list[int]:
    found: list[int] = []
    parents = [os.getpid()]
    while parents:
        parent = parents.pop()
        try:
            children = [
                int(child)
                for thread in os.listdir(f"/proc/{parent}/task")  # noqa: PTH208 - many of them
                for child in _read(f"/proc/{parent}/task/{thread}/children").split()
            ]
        except OSError:
            continue
        parents += children
        found += children
    return found


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:  # noqa: PTH123 - many of them
        return file.read()
