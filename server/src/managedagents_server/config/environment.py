"""What the environment says. Keys are taken out of it, so that no process that the server starts inherits them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

CLOCK_AHEAD = "MANAGEDAGENTS_TEST_CLOCK_AHEAD"
FAILPOINT = "MANAGEDAGENTS_TEST_FAILPOINT"
SECRET_KEY = "MANAGEDAGENTS_SECRET_KEY"
CREDENTIAL = "MANAGEDAGENTS_CREDENTIAL_"
"""What follows is the credential's name."""

# Read by the libraries of vendors behind our back, and sent to every model's address.
_VENDOR_PREFIXES = ("ANTHROPIC_", "GEMINI_", "GOOGLE_", "OLLAMA_", "OPENAI_", "PYDANTIC_AI_")


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment as it was at the start."""

    _values: Mapping[str, str] = field(repr=False)

    def take(self, name: str) -> str | None:
        """The value of a variable that holds a key. None: it is not set."""
        os.environ.pop(name, None)
        return self._values.get(name)


def credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """MANAGEDAGENTS_CREDENTIAL_OPENAI_TEAM_A is the key of openai-team-a."""
    return {
        name.removeprefix(CREDENTIAL).lower().replace("_", "-"): key
        for name, key in environ.items()
        if name.startswith(CREDENTIAL)
    }


def forget_variables() -> None:
    """Takes away what only we were to read, and what nobody is to read."""
    for name in [name for name in os.environ if name == SECRET_KEY or name.startswith((CREDENTIAL, *_VENDOR_PREFIXES))]:
        del os.environ[name]
