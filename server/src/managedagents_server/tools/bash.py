"""A shell in the workspace. Each call is a process of its own: what it sets, and where it goes to, ends with it."""

import json
import signal
from collections.abc import Mapping
from typing import Any

from managedagents_server.tools.base import Declaration, Outcome, Place, failed, text
from managedagents_server.tools.sandbox import Ended, Sandbox, SandboxError

_COMMAND = 120 * 1024
"""Bytes. The kernel takes no longer argument."""

_SCHEMA = {
    "type": "object",
    "properties": {
        "command": {"type": "string", "minLength": 1, "description": "What bash -c is to run. May have many lines."},
        "timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Seconds after which the command is ended, if that is sooner than the session's own bound.",
        },
    },
    "required": ["command"],
    "additionalProperties": False,
}

_DESCRIPTION = """\
Runs a command with bash and returns what it wrote (stdout and stderr together, in order) and its exit status if that \
is not 0. Begins in the working directory of the workspace, whose files stay from call to call. Nothing else does: \
each call is a new shell, and processes that it leaves in the background end with it. stdin is empty, and there is no \
terminal. What is in /tmp is lost after the call. Of long output the middle is left out, and the whole kept in a file \
that the answer names."""


class Bash:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._declaration = Declaration("bash", _DESCRIPTION, json.dumps(_SCHEMA))

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def repeatable(self, given: Mapping[str, Any]) -> bool:  # noqa: ARG002 - nobody knows what a command does
        return False

    async def run(self, given: Mapping[str, Any], place: Place) -> Outcome:
        # JSON can say half a character, which no program can be given.
        command: str = given["command"].encode("utf-8", "replace").decode()
        if "\0" in command:
            return failed("A command cannot have a NUL in it.")
        if len(command.encode()) > _COMMAND:
            return failed(f"The command is longer than {_COMMAND} bytes. Write it into a file first and run that.")
        output = self._sandbox.cut(place)
        try:
            argv = ("/bin/bash", "-c", command)
            ended = await self._sandbox.run(place, argv, output, wall_time=given.get("timeout"))
        except SandboxError as error:
            return failed(f"The command could not be run: {error}.")
        finally:
            output.close()
        words = told(output.text(), ended)
        return Outcome([text(words)], is_error=ended.exit_code != 0, timed_out=ended.timed_out)


def told(output: str, ended: Ended) -> str:
    """What a command wrote, and how it ended."""
    parts = [output.rstrip("\n")] if output.strip() else []
    if ended.stopped:
        parts.append(f"[It was ended, with all it had begun: {ended.stopped}.]")
    elif ended.exit_code is None:
        parts.append("[The sandbox came to no end of its own: it could not be made, or was killed from outside.]")
    elif ended.exit_code != 0:
        parts.append(f"[exit status {ended.exit_code}{_signal(ended.exit_code)}]")
    if ended.too_full and ended.too_full != ended.stopped:
        parts.append(f"[Beware: {ended.too_full}.]")
    return "\n".join(parts) or "[no output]"


def _signal(exit_code: int) -> str:
    """What a program that a signal ended is said to have ended with; it may also have chosen that number itself."""
    try:
        return f", as of {signal.Signals(exit_code - 128).name}" if exit_code > 128 else ""
    except ValueError:
        return ""
