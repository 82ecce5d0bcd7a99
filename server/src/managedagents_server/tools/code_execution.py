"""Python in the workspace, and the pictures that it draws there."""

import json
import time
from collections.abc import Mapping
from typing import Any

from managedagents_server.tools import inside
from managedagents_server.tools.base import Declaration, Outcome, Place, failed, text
from managedagents_server.tools.bash import told
from managedagents_server.tools.sandbox import Sandbox, SandboxError
from managedagents_server.tools.written import written

_SCHEMA = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "minLength": 1, "description": "A Python program. Print what you want to see."},
        "timeout": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "Seconds after which the program is ended, if that is sooner than the session's own bound.",
        },
    },
    "required": ["code"],
    "additionalProperties": False,
}

_DESCRIPTION = """\
Runs a Python program and returns what it printed. Begins in the working directory of the workspace, whose files stay \
from call to call and can be imported; variables do not: each call is a new process. Images (PNG, JPEG, GIF, WebP) \
that it writes below the workspace are shown, other new files are named. stdin is empty."""


class CodeExecution:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._program = inside.program("code")
        self._declaration = Declaration("code_execution", _DESCRIPTION, json.dumps(_SCHEMA))

    @property
    def declaration(self) -> Declaration:
        return self._declaration

    def repeatable(self, given: Mapping[str, Any]) -> bool:  # noqa: ARG002 - nobody knows what a program does
        return False

    async def run(self, given: Mapping[str, Any], place: Place) -> Outcome:
        sandbox = self._sandbox
        # Written as it comes, so that it stands in order with what goes to stderr; and nothing compiled is left behind.
        argv = (sandbox.python(place), "-u", "-B", "-c", self._program)
        code = given["code"].encode("utf-8", "replace")
        output = sandbox.cut(place)
        started = time.time_ns()
        try:
            ended = await sandbox.run(place, argv, output, stdin=code, wall_time=given.get("timeout"))
        except SandboxError as error:
            return failed(f"The program could not be run: {error}.")
        finally:
            output.close()
        images, files = await written(place.workspace, started)
        words = "\n".join(part for part in (told(output.text(), ended), files) if part)
        return Outcome([text(words), *images], is_error=ended.exit_code != 0, timed_out=ended.timed_out)
