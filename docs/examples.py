"""The page that shows the same program in the language of each client, as the client's own README has it first. Each
client's tests run the examples of its README."""

import re
import textwrap
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[1] / "clients"

_LANGUAGES = {
    "python": ("Python", "python"),
    "go": ("Go", "go"),
    "typescript": ("TypeScript", "ts"),
    "java": ("Java", "java"),
    "rust": ("Rust", "rust"),
}
"""By the folder of the client: the language, and what its blocks are marked with."""

_TELLS = r"\bprint\(|fmt\.Println|console\.log|System\.out|println!"

_INTRODUCTION = """\
An agent with a tool, a session, a message, and the tool answered by a function: the same program in each language, as
it stands first in the client's README. All clients are thin over the same API, and keep the same promises: a call that
may not have arrived is made again with the same request id, a follow comes back where it was cut, and `run` sends a
message, answers what its turn asks for and returns when the turn is over. The same
[scenarios](../tests/conformance/scenarios) are played through each.

Other languages use [the protos](../proto/managedagents/v1/service.proto) as they are;
[a client in JavaScript](../tests/e2e/node/client.mjs) is 100 lines. What a turn is, when it is over and what it waits
for, the service tells itself (`StreamEventsRequest.turn`, `StreamTurn`), so that a `run` is: send, follow the turn,
answer the pending actions.

The packages are named as they will be published. From a checkout of this repository, at DIR, they are had so:

- **Python**: `pip install DIR/clients/python`
- **Go**: `go mod edit -replace MODULE@v0.1.0=DIR/clients/go`, then `go get MODULE@v0.1.0`, where MODULE is
  `github.com/managedagents/managedagents/clients/go`
- **TypeScript**: `make setup && npm pack` in `DIR/clients/typescript`; the dependency is what it makes,
  `"managedagents": "file:DIR/clients/typescript/managedagents-0.1.0.tgz"`
- **Java**: `mvn -DskipTests install` in `DIR/clients/java`
- **Rust**: `managedagents = { path = "DIR/clients/rust" }`

[A test](../tests/clients/test_first_examples.py) gets them so, and runs each program in an empty folder.
"""


def page() -> str:
    parts = [_INTRODUCTION]
    for folder, (language, mark) in _LANGUAGES.items():
        readme = CLIENTS / folder / "README.md"
        if readme.exists():
            link = f"[The client's README](../clients/{folder}/README.md) tells the rest."
            parts.append(f"## {language}\n\n```{mark}\n{_first(readme, mark)}```\n\n{link}\n")
    return "\n".join(parts)


def lines(folder: str) -> str:
    """The lines of a client's first example from the connection to the answer, which are the same in every language."""
    language, mark = _LANGUAGES[folder]
    example = _first(CLIENTS / folder / "README.md", mark).splitlines()
    begin = next(number for number, line in enumerate(example) if re.search(r"\bconnect\(", line, re.IGNORECASE))
    end = next(number for number, line in enumerate(example) if number > begin and re.search(_TELLS, line))
    told = textwrap.dedent("\n".join(example[begin : end + 1]))
    return f"**{language}**\n\n```{mark}\n{told}\n```\n"


def _first(readme: Path, mark: str) -> str:
    found = re.search(rf"^```{mark}\n(.*?)^```$", readme.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(f"{readme} has no block that is marked {mark}")
    return found[1]
