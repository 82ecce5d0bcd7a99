"""Generate the Python messages and gRPC stubs, with their types, from the protos beside this file.

`python proto/generate.py [FOLDER]` writes below FOLDER, or else into the source of the Python client. In the folder's
`managedagents/v1` it replaces what was generated before, also the files of a proto that is gone; other files stay.
"""

import re
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROTO = Path(__file__).resolve().parent
TARGET = PROTO.parent / "clients" / "python" / "src"


def main(folder: Path = TARGET) -> None:
    """Generate into a temporary folder first: when a proto is wrong, nothing has changed."""
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        protos = sorted(PROTO.rglob("*.proto"))
        _run(protos, f"--python_out={fresh}", f"--mypy_out=quiet:{fresh}")
        # A file without a service would get an empty stub. `only_async`: the stubs are typed for grpc.aio.
        _run(
            [proto for proto in protos if re.search(r"^service ", proto.read_text("utf-8"), re.MULTILINE)],
            f"--grpc_python_out={fresh}",
            f"--mypy_grpc_out=quiet,only_async:{fresh}",
        )
        _replace(fresh, folder)


def _run(protos: list[Path], *outputs: str) -> None:
    if not protos:
        return
    scripts = Path(sysconfig.get_path("scripts"))
    plugins = [f"--plugin={name}={scripts / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *plugins, *outputs]
    done = subprocess.run([*command, *map(str, protos)], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _replace(fresh: Path, folder: Path) -> None:
    """Make the generated files of `folder` those of `fresh`; the ones that did not change keep their time."""
    made = {path.relative_to(fresh): path for path in sorted(fresh.rglob("*_pb2*.py*"))}
    for parent in {path.parent for path in made}:
        for old in (folder / parent).glob("*_pb2*.py*"):
            if old.relative_to(folder) not in made:
                old.unlink()
    for path, source in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.write_bytes(source.read_bytes())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
