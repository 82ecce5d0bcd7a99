"""What the operator says about providers, as it stands now: keys are changed while the server runs."""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from managedagents_server.providers import operator_file
from managedagents_server.providers.operator_file import Credential, ProvidersFault, Seen, Settings

logger = logging.getLogger(__name__)


class Operator:
    """The file is read again when it, or a file with a key that it names, has changed."""

    def __init__(
        self,
        path: Path | None = None,
        keys: Mapping[str, str] | None = None,
        variable: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """`keys` stand in the environment, by the names of their credentials; `variable` gives the value of a variable
        that the file names. Raises ProvidersFault."""
        self._path = path
        self._others = dict(_credentials(keys or {}))
        self._variable = variable
        self._seen: Seen = {}
        self._settings = Settings(self._others)
        if path is not None:
            self._settings = self._read(path)

    def now(self) -> Settings:
        """A file that cannot be used changes nothing, and is told of once."""
        if self._path is not None and any(operator_file.signature(path) != seen for path, seen in self._seen.items()):
            try:
                self._settings = self._read(self._path)
            except ProvidersFault as fault:
                logger.error("what was read of the providers before stays in force: %s", fault)
            else:
                logger.info("the providers file was read again", extra={"path": str(self._path)})
        return self._settings

    def _read(self, path: Path) -> Settings:
        self._seen = {}
        return operator_file.read(path, self._others, self._variable, self._seen)


def _credentials(keys: Mapping[str, str]) -> Iterator[tuple[str, Credential]]:
    for name, key in keys.items():
        try:
            made = operator_file.credential(name, key)
        except ProvidersFault as fault:
            raise ProvidersFault(f"the credential {name!r} of the environment: {fault}") from None
        yield name, made
