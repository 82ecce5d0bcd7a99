"""The committed stubs are what the protos give."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "clients" / "python" / "src"


def stubs(folder: Path) -> dict[str, str]:
    found = (path for path in sorted(folder.rglob("*_pb2*.py*")) if path.suffix in (".py", ".pyi"))
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in found}


def generate(folder: Path) -> None:
    subprocess.run([sys.executable, ROOT / "proto" / "generate.py", folder], check=True)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stubs")
    generate(folder)
    return folder


def test_generating_them_again_changes_nothing(fresh: Path) -> None:
    made, committed = stubs(fresh), stubs(COMMITTED)
    assert made.keys() == committed.keys()
    assert [name for name in made if made[name] != committed[name]] == []


def test_every_proto_has_its_stubs_and_the_stub_of_a_proto_that_is_gone_goes(fresh: Path, tmp_path: Path) -> None:
    gone, kept = tmp_path / "managedagents" / "v1" / "gone_pb2.py", tmp_path / "managedagents" / "v1" / "__init__.py"
    gone.parent.mkdir(parents=True)
    gone.touch()
    kept.touch()
    generate(tmp_path)
    assert stubs(tmp_path) == stubs(fresh)
    assert kept.exists()
    protos = {path.stem for path in (ROOT / "proto").rglob("*.proto")}
    assert {Path(name).name.removesuffix("_pb2.py") for name in stubs(fresh) if name.endswith("_pb2.py")} == protos
