"""The child process: `python FOLDER JOB`, with JSON on stdin and on stdout."""

import json
import resource
import sys
from importlib import import_module

_CPU_SECONDS = 5
"""The largest pages take one."""


def main() -> None:
    job = import_module(sys.argv[1])
    # Before anything of a stranger's is read.
    resource.setrlimit(resource.RLIMIT_AS, (job.MEMORY, job.MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    made = job.done(json.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(json.dumps(made).encode())


if __name__ == "__main__":
    main()
