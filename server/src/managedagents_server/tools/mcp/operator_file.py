"""The operator's file about MCP servers, in TOML: those that agents may name."""

import os
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from managedagents_server.words.urls import is_url


class McpServersFault(Exception):
    """One clear line that says why what the operator says about MCP servers cannot be used."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A server as the operator wrote it: one of a command and a URL."""

    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str = field(default="", repr=False)
    credential: str = ""
    """A name. Empty: none."""
    sse: bool = False


_OF_COMMAND = {"command", "args", "env", "cwd"}
_OF_URL = {"url", "credential", "sse"}


def read(path: Path) -> dict[str, Configured]:
    """By name. Raises McpServersFault."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise McpServersFault(f"the MCP servers' file {path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise McpServersFault(f"the MCP servers' file {path}: it is no TOML: {error}") from None
    tables = content.pop("servers", {})
    if content or not isinstance(tables, dict):
        raise McpServersFault(f"the MCP servers' file {path}: it holds tables [servers.NAME], and nothing else")
    return {name: _Table(path, name, table).server() for name, table in tables.items()}


class _Table:
    def __init__(self, path: Path, name: str, table: object) -> None:
        self._where = f"the MCP servers' file {path}: [servers.{name}]"
        if not isinstance(table, dict):
            self._fail("", "must be a table")
        self._table: Mapping[str, Any] = table
        self._folder = path.parent

    def server(self) -> Configured:
        if ("command" in self._table) == ("url" in self._table):
            self._fail("", "needs a command or a url, and only one")
        known = _OF_COMMAND if "command" in self._table else _OF_URL
        for key in self._table:
            if key not in known:
                self._fail(key, f"is not known here; known are {', '.join(sorted(known))}")
        if known is _OF_URL:
            url = self._text("url")
            if not is_url(url):
                self._fail("url", "must be an http or https address, without a password")
            sse = self._table.get("sse", False)
            if not isinstance(sse, bool):
                self._fail("sse", "must be true or false")
            return Configured(url=url, credential=self._text("credential"), sse=sse)
        return Configured(command=self._command(), args=self._args(), env=self._env(), cwd=self._cwd())

    def _command(self) -> str:
        command = self._text("command")
        # As it will be looked for, so that a wrong one is told now and not to a model.
        if not command or shutil.which(command, path=self._env().get("PATH")) is None:
            self._fail("command", f"there is no program {command!r}")
        return command

    def _args(self) -> tuple[str, ...]:
        args = self._table.get("args", [])
        if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
            self._fail("args", "must be a list of texts")
        return tuple(args)

    def _env(self) -> dict[str, str]:
        env = self._table.get("env", {})
        if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
            self._fail("env", "must be a table of texts")
        return env

    def _cwd(self) -> str | None:
        cwd = self._text("cwd")
        if not cwd:
            return None
        folder = self._folder / cwd
        if not folder.is_dir():
            self._fail("cwd", f"there is no folder {folder}")
        return os.fspath(folder)

    def _text(self, key: str) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str):
            self._fail(key, "must be a text")
        return value

    def _fail(self, key: str, why: str) -> NoReturn:
        raise McpServersFault(" ".join(filter(None, (self._where, f"{key}:" if key else "", why))))
