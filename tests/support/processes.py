"""Whether a process is still there."""

from pathlib import Path


def runs(pid: int) -> bool:
    """A zombie does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
