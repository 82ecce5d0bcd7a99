"""Programs that run on the other side of the sandbox, in a bare Python: each file here imports the standard library and
its siblings alone. They are handed over as text, because a sandbox shows nothing of the server's own files."""

from pathlib import Path

_PACKAGE = __name__
_START = """\
import sys, types
for name, source in {sources!r}.items():
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, name, "exec"), module.__dict__)
module.main()
"""


def program(*names: str) -> str:
    """What `python -c` is to be given, to call `main` of the last of these. Each comes after the ones that it
    imports."""
    sources = {f"{_PACKAGE}.{name}": Path(__file__).with_name(f"{name}.py").read_text("utf-8") for name in names}
    return _START.format(sources=sources)
