"""Work that a stranger's page can make take for ever, fill the memory or crash: done in a child process, which is
bounded and can be killed. A thread cannot, and every library for HTML that was tried has pages that it chokes on."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_JOBS = Path(__file__).with_name("jobs")


class ChildFailed(Exception):
    """It crashed, or ran into its bound on memory or processor time."""


class Children:
    """Shared by all sessions."""

    def __init__(self, job: str, at_a_time: int) -> None:
        """`job`: a module of `jobs`. Who comes while so many are at work waits."""
        self._job = job
        self._places = asyncio.Semaphore(at_a_time)

    async def run(self, given: object) -> Any:
        """What the job makes of what it is given, both as JSON. The child is gone when this returns, raises or is
        cancelled. Raises ChildFailed."""
        async with self._places:
            # Megabytes take a while to write.
            written = await asyncio.to_thread(lambda: json.dumps(given).encode())
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                # Isolated: neither the environment nor the folder it is started in says what is imported.
                "-I",
                str(_JOBS),
                self._job,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={},
            )
            try:
                out, err = await process.communicate(written)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode != 0:
            told = err[-2000:].decode(errors="replace")
            logger.warning("a child failed", extra={"job": self._job, "exit_code": process.returncode, "stderr": told})
            raise ChildFailed(self._job)
        return json.loads(out)
