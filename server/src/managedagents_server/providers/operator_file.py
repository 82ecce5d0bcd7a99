"""The operator's file about providers, in TOML: credentials, and rows for the table of models."""

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from managedagents_server.providers.names import BY_PROVIDER, OPENAI_COMPATIBLE
from managedagents_server.providers.places import PUBLIC
from managedagents_server.providers.table import Row, Table
from managedagents_server.words.urls import canonical, is_base_url

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[!-~]{1,8192}")
_PROVIDERS = frozenset(BY_PROVIDER.values())
_SOURCES = ("key", "key_env", "key_file")
_WINDOW_MOST = 100_000_000

Signature = tuple[int, int, int]
Seen = dict[Path, Signature | None]


class ProvidersFault(Exception):
    """One clear line that says why what the operator says about providers cannot be used. Holds no key."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A key, and where alone it is sent."""

    name: str
    key: str = field(repr=False)
    base_url: str = ""
    """Canonical. Empty: the public address of its provider."""
    provider: str = ""
    """Whose key it is. Empty: of whoever is at the address."""

    def fits(self, provider: str, base_url: str) -> bool:
        """Whether it may be sent there. `base_url` empty: where it is for."""
        if self.provider and self.provider != provider:
            return False
        own = self.base_url or PUBLIC.get(provider, "")
        return own == base_url if base_url else bool(own)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator says."""

    credentials: Mapping[str, Credential] = field(default_factory=dict)
    table: Table = field(default_factory=Table)
    base_urls: frozenset[str] = frozenset()
    """All that the operator wrote, canonical: they may be private."""


def credential(name: str, key: str, base_url: str = "", provider: str = "") -> Credential:
    """Where neither an address nor a provider is given, the name says whose it is: openai, openai-team-a. Raises
    ProvidersFault, whose message begins with what is wrong."""
    if not _NAME.fullmatch(name):
        raise ProvidersFault("its name must be 1 to 64 of the characters A-Z a-z 0-9 . _ and -")
    if not _KEY.fullmatch(key):
        raise ProvidersFault("its key must be 1 to 8192 visible ASCII characters")
    provider = provider or ("" if base_url and name not in _PROVIDERS else _named_after(name))
    if not provider and not base_url:
        raise ProvidersFault(
            "nothing says where it goes: call it after its provider, openai-NAME, or give it a base_url"
        )
    if not base_url and provider not in PUBLIC:
        raise ProvidersFault(f"it needs a base_url: {provider} has no public address")
    return Credential(name, key, base_url, provider)


def _named_after(name: str) -> str:
    """The provider that a name is, or begins with before a dash. Empty: none."""
    fitting = [provider for provider in _PROVIDERS if name == provider or name.startswith(f"{provider}-")]
    return max(fitting, key=len, default="")


def signature(path: Path) -> Signature | None:
    """Changes with the file. None: there is none that can be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read(path: Path, others: Mapping[str, Credential], variable: Callable[[str], str | None], seen: Seen) -> Settings:
    """`others` are the credentials that stand elsewhere; `variable` gives the value of one of the environment. `seen`
    gets every file that was looked at, also where this raises ProvidersFault."""
    return _Reading(path, others, variable, seen).settings()


class _Reading:
    def __init__(
        self, path: Path, others: Mapping[str, Credential], variable: Callable[[str], str | None], seen: Seen
    ) -> None:
        self._path = path
        self._others = others
        self._variable = variable
        self._seen = seen
        self._readable_by_others = False

    def settings(self) -> Settings:
        content = self._content()
        credentials = {**self._others, **dict(self._credentials(content))}
        rows = list(self._rows(content, credentials))
        written = {credential.base_url for credential in credentials.values()} | {row.base_url for row in rows}
        return Settings(credentials, Table(rows), frozenset(written - {""}))

    def _content(self) -> dict[str, Any]:
        # Before it is read: what changes meanwhile is read again.
        self._seen[self._path] = signature(self._path)
        try:
            with self._path.open("rb") as file:
                self._readable_by_others = bool(os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO))
                content = tomllib.load(file)
        except OSError as error:
            raise ProvidersFault(f"the providers file {self._path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise self._fault("it is no UTF-8 text") from None
        except tomllib.TOMLDecodeError as error:
            raise self._fault(f"it is no TOML: {error}") from None
        self._check_keys("the top", content, {"credentials", "models"})
        return content

    def _credentials(self, content: Mapping[str, Any]) -> Iterator[tuple[str, Credential]]:
        tables = content.get("credentials", {})
        if not isinstance(tables, dict):
            raise self._fault("credentials must be tables, [credentials.NAME]")
        for name, table in tables.items():
            where = f"[credentials.{name}]"
            if not isinstance(table, dict):
                raise self._fault(f"{where} must be a table")
            if name in self._others:
                raise self._fault(f"{where} stands in the environment, too")
            self._check_keys(where, table, {*_SOURCES, "base_url", "provider"})
            key, base_url = self._key(where, table), self._base_url(where, table)
            provider = self._provider(where, table) if "provider" in table else ""
            try:
                made = credential(name, key, base_url, provider)
            except ProvidersFault as fault:
                raise self._fault(f"{where} {fault}") from None
            yield name, made

    def _key(self, where: str, table: Mapping[str, Any]) -> str:
        given = [source for source in _SOURCES if source in table]
        if len(given) != 1:
            raise self._fault(f"{where} needs one of {', '.join(_SOURCES)}, and only one")
        value = self._text(where, table, given[0])
        match given[0]:
            case "key":
                if self._readable_by_others:
                    raise self._fault(
                        f"{where} key: others may read this file; chmod 600 it, or use key_file or key_env"
                    )
                return value
            case "key_env":
                key = self._variable(value)
                if key is None:
                    raise self._fault(f"{where} key_env: the variable {value} is not set")
                return key
            case _:
                return self._key_of_file(where, self._path.parent / value)

    def _key_of_file(self, where: str, path: Path) -> str:
        self._seen[path] = signature(path)
        try:
            return path.read_text("ascii").strip()
        except OSError as error:
            raise self._fault(f"{where} key_file: {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise self._fault(f"{where} key_file: {path} is no ASCII text") from None

    def _rows(self, content: Mapping[str, Any], credentials: Mapping[str, Credential]) -> Iterator[Row]:
        tables = content.get("models", [])
        if not isinstance(tables, list):
            raise self._fault("models must be a list of tables, [[models]]")
        for number, table in enumerate(tables, 1):
            where = f"[[models]] {number}"
            if not isinstance(table, dict):
                raise self._fault(f"{where} must be a table")
            self._check_keys(
                where, table, {"prefix", "tagged", "provider", "base_url", "credential", "window", "tools"}
            )
            if "prefix" not in table and not self._flag(where, table, "tagged", default=False):
                raise self._fault(f"{where} needs a prefix, or tagged = true")
            row = Row(
                prefix=self._text(where, table, "prefix"),
                provider=self._provider(where, table),
                base_url=self._base_url(where, table),
                credential=self._text(where, table, "credential"),
                window=self._window(where, table),
                tools=self._flag(where, table, "tools", default=True),
                tagged=self._flag(where, table, "tagged", default=False),
            )
            self._check_row(where, row, credentials)
            yield row

    def _check_row(self, where: str, row: Row, credentials: Mapping[str, Credential]) -> None:
        chosen = credentials.get(row.credential)
        if row.credential and chosen is None:
            raise self._fault(f"{where} credential: there is no credential {row.credential!r}")
        if chosen is not None and not chosen.fits(row.provider, row.base_url):
            raise self._fault(f"{where} credential: {row.credential} is for another address or provider")
        if row.provider == OPENAI_COMPATIBLE and not (row.base_url or (chosen is not None and chosen.base_url)):
            raise self._fault(f"{where} base_url: is required for {OPENAI_COMPATIBLE}")

    # Single values.

    def _check_keys(self, where: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                raise self._fault(f"{where} {key}: is not known; known are {', '.join(sorted(known))}")

    def _text(self, where: str, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise self._fault(f"{where} {key}: must be a text")
        return value

    def _flag(self, where: str, table: Mapping[str, Any], key: str, *, default: bool) -> bool:
        value = table.get(key, default)
        if not isinstance(value, bool):
            raise self._fault(f"{where} {key}: must be true or false")
        return value

    def _window(self, where: str, table: Mapping[str, Any]) -> int:
        value = table.get("window", 0)
        if type(value) is not int or not 0 <= value <= _WINDOW_MOST:
            raise self._fault(f"{where} window: must be a whole number of tokens, at most {_WINDOW_MOST:,}")
        return value

    def _provider(self, where: str, table: Mapping[str, Any]) -> str:
        value = self._text(where, table, "provider")
        if value not in _PROVIDERS:
            raise self._fault(f"{where} provider: must be one of {', '.join(sorted(_PROVIDERS))}")
        return value

    def _base_url(self, where: str, table: Mapping[str, Any]) -> str:
        value = self._text(where, table, "base_url")
        if value and not is_base_url(value):
            raise self._fault(f"{where} base_url: must be an http or https address, without query and password")
        return canonical(value) if value else ""

    def _fault(self, why: str) -> ProvidersFault:
        return ProvidersFault(f"the providers file {self._path}: {why}")
