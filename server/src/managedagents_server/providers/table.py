"""The table of models: whose a model is by its name, and what is known of it."""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from managedagents_server.providers import names

_TAGGED = re.compile(r"[^:]+:[^:]+")

_SNAPSHOT_IDS = {names.OPENAI: "openai", names.ANTHROPIC: "anthropic", names.GEMINI: "google"}


@dataclass(frozen=True, slots=True)
class Row:
    """Says something of the models whose names begin with `prefix`."""

    prefix: str
    provider: str
    """One of names.py."""
    base_url: str = ""
    """Canonical. Empty: the credential's own, else the provider's."""
    credential: str = ""
    """Empty: the one that is called like the provider."""
    window: int = 0
    """In tokens. 0: this row does not say."""
    tools: bool = True
    """False: the model cannot call tools."""
    tagged: bool = False
    """Of those only the names of the form name:tag."""

    def fits(self, model: str) -> bool:
        return model.startswith(self.prefix) and (not self.tagged or _TAGGED.fullmatch(model) is not None)


# In this order: nobody but Ollama has names like gpt-oss:20b, except for the fine-tuned models of OpenAI.
_BUILT_IN = (
    Row("ft:", names.OPENAI),
    Row("", names.OLLAMA, tagged=True),
    Row("gpt-", names.OPENAI),
    Row("chatgpt-", names.OPENAI),
    *(Row(f"o{digit}", names.OPENAI) for digit in range(1, 10)),
    Row("claude-", names.ANTHROPIC),
    # Where no more is known. Too much does no harm: a conversation that is too long is refused, and folded then.
    Row("gemini-", names.GEMINI, window=1_048_576),
)


class Table:
    """The operator's rows come before the built-in ones, the longest prefix first."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._own = sorted(rows, key=lambda row: (len(row.prefix), row.tagged), reverse=True)
        self._rows = (*self._own, *_BUILT_IN)

    def find(self, name: str) -> Row | None:
        """The row that says whose model it is."""
        return next((row for row in self._rows if row.fits(name)), None)

    def row(self, provider: str, model: str) -> Row | None:
        """The row of a model whose provider is given."""
        return next((row for row in self._rows if row.provider == provider and row.fits(model)), None)

    def window(self, provider: str, model: str) -> int:
        """The tokens that the model can read. 0: not known."""
        return (
            _window(self._own, provider, model) or _known_window(provider, model) or _window(_BUILT_IN, provider, model)
        )


def _window(rows: Iterable[Row], provider: str, model: str) -> int:
    return next((row.window for row in rows if row.window and row.provider == provider and row.fits(model)), 0)


@functools.lru_cache(1024)
def _known_window(provider: str, model: str) -> int:
    if provider not in _SNAPSHOT_IDS:
        return 0
    # A tenth of a second, once, and only where a conversation may be folded.
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, known = get_snapshot().find_provider_model(model, None, _SNAPSHOT_IDS[provider], None)
    except LookupError:
        return 0
    return known.context_window or 0
