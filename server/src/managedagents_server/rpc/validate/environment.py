"""What a session's environment may be."""

import re
from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration

from managedagents.v1 import session_pb2
from managedagents_server.rpc.validate.problems import SECOND, Problems, limit
from managedagents_server.words.limits import Limits

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_VARIABLES = 128
_ENV_BYTES = 64 * 1024
_PATH_BYTES = 1024


def check_environment(
    problems: Problems, path: str, environment: session_pb2.EnvironmentConfig, limits: Limits
) -> None:
    """Bounds above those of the server are refused, naming the limit."""
    check_variables(problems, f"{path}.env", environment.env)
    _check_working_dir(problems, f"{path}.working_dir", environment.working_dir)
    asked = environment.limits
    _time(problems, f"{path}.limits.wall_time", asked.wall_time, "tool_wall_time", limits.tool_wall_time)
    _time(problems, f"{path}.limits.cpu_time", asked.cpu_time, "tool_cpu_time", limits.tool_cpu_time)
    _count(problems, f"{path}.limits.memory_bytes", asked.memory_bytes, "tool_memory_bytes", limits.tool_memory_bytes)
    _count(problems, f"{path}.limits.processes", asked.processes, "tool_processes", limits.tool_processes)
    _count(problems, f"{path}.limits.file_bytes", asked.file_bytes, "tool_file_bytes", limits.tool_file_bytes)
    _count(problems, f"{path}.limits.disk_bytes", asked.disk_bytes, "workspace_bytes", limits.workspace_bytes)


def check_variables(problems: Problems, path: str, variables: Mapping[str, str]) -> None:
    if len(variables) > _VARIABLES:
        problems.wrong(path, f"must have at most {_VARIABLES} entries")
    elif sum(len(name) + len(value.encode()) for name, value in variables.items()) > _ENV_BYTES:
        problems.wrong(path, f"must have at most {_ENV_BYTES} bytes")
    for name, value in sorted(variables.items()):
        if not _NAME.fullmatch(name):
            problems.wrong(f"{path}[{name}]", "must be a name of letters, digits and _, that begins with no digit")
        elif "\0" in value:
            problems.wrong(f"{path}[{name}]", "must not hold NUL")


def _check_working_dir(problems: Problems, path: str, folder: str) -> None:
    problems.bytes_at_most(path, folder, _PATH_BYTES)
    if folder.startswith("/") or ".." in folder.split("/") or "\0" in folder:
        problems.wrong(path, "must be a path inside the workspace, without ..")


def _time(problems: Problems, path: str, asked: Duration, name: str, most: float) -> None:
    if asked.ByteSize():
        problems.duration(path, asked, 0, 2**62)
        limit(name, f"{path} in nanoseconds", asked.ToNanoseconds(), int(most * SECOND))


def _count(problems: Problems, path: str, asked: int, name: str, most: int) -> None:
    if asked < 0:
        problems.wrong(path, "must not be negative")
    limit(name, path, asked, most)
