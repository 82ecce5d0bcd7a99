"""Which server a command talks to, and how its failures reach the terminal."""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Concatenate, NoReturn, ParamSpec, TypeVar

import click

from managedagents._channel import TLS
from managedagents._client import Client
from managedagents._errors import DefinitionError, ManagedAgentsError, NoAnswerError, NotThisServiceError
from managedagents.cli._terminal import plain, wants_no_colours

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_INTERRUPTED = 130


@dataclass(slots=True)
class Settings:
    """What the options say, those of the subcommand before those of the command."""

    server: str = "127.0.0.1:50051"
    token: str | None = None
    tls: bool = False
    ca_cert: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    server_name: str | None = None
    json: bool = False

    def client(self) -> Client:
        """A client of that server. Needs a running event loop."""
        own = TLS(
            root_certs=self.ca_cert.read_bytes() if self.ca_cert else None,
            client_cert=self.client_cert.read_bytes() if self.client_cert else None,
            client_key=self.client_key.read_bytes() if self.client_key else None,
            server_name=self.server_name,
        )
        is_encrypted = self.tls or own != TLS()
        return Client.connect(self.server, token=self.token, tls=own if is_encrypted else None, connect_timeout=3.0)


def settings() -> Settings:
    """The settings of the command that runs."""
    return click.get_current_context().ensure_object(Settings)


def connection_options(*, from_environment: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options that every command takes, before or after its name."""
    specs: tuple[tuple[str, Any, str], ...] = (
        ("--server", str, "Host and port. Default: 127.0.0.1:50051."),
        ("--token", str, "The bearer token."),
        ("--tls", None, "Encrypt the connection (also implied by the options below)."),
        ("--ca-cert", _FILE, "Whom to trust, in PEM."),
        ("--client-cert", _FILE, "Our own certificate, in PEM."),
        ("--client-key", _FILE, "Its key, in PEM."),
        ("--server-name", str, "The name in the server's certificate."),
        ("--json", None, "Print JSON, one object a line."),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, kind, text in reversed(specs):
            variable = "MANAGEDAGENTS_" + name.strip("-").replace("-", "_").upper()
            in_environment = from_environment and name != "--json"
            function = click.option(
                name,
                type=bool if kind is None else kind,
                is_flag=kind is None,
                default=None,
                envvar=variable if in_environment else None,
                show_envvar=in_environment,
                expose_value=False,
                callback=_store,
                help=text,
            )(function)
        return function

    return decorate


def _store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        setattr(context.ensure_object(Settings), parameter.name, value)


def asks_server(
    function: Callable[Concatenate[Client, Arguments], Awaitable[Result]],
) -> Callable[Arguments, Result]:
    """A command that is a coroutine over a client."""

    @connection_options()
    @functools.wraps(function)
    def command(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        chosen = settings()

        async def with_client() -> Result:
            async with chosen.client() as client:
                return await function(client, *args, **kwargs)

        show_notices()
        try:
            return asyncio.run(with_client())
        except ManagedAgentsError as error:
            fail(error)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(_INTERRUPTED) from None

    return command


class _Failed(click.ClickException):
    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        # Shown when the command's context, which knows about colours, is left.
        color = False if wants_no_colours() else None
        for line in self.message.splitlines():
            words = f"{click.style('error:', fg='red')} {plain(line, err=True)}"
            click.echo(words, file=file, err=file is None, color=color)


class _Misused(_Failed):
    exit_code = 2


class _NoServer(_Failed):
    exit_code = 3


def fail(error: ManagedAgentsError, *, one_is_taken: bool = False) -> NoReturn:
    """Leave with one line on stderr, or one for each place in a file, and the exit code that fits.

    `one_is_taken`: the command's exit code 1 means something else, and a refusal is 2.
    """
    lines = [error.message]
    if any(violation.place for violation in error.violations):
        lines = [str(violation) for violation in error.violations]
    reason = "" if error.reason is None else f" [{error.reason}]"
    words = "\n".join(" ".join(line.split()) + reason for line in lines)
    if isinstance(error, NoAnswerError | NotThisServiceError):
        raise _NoServer(words) from error
    if isinstance(error, DefinitionError) or one_is_taken:
        raise _Misused(words) from error
    raise _Failed(words) from error


def show_notices(before: Callable[[], None] | None = None) -> None:
    """Say on stderr, discreetly, that the client tries again or that something is wrong.

    `before`: is called before each notice, to end the line that something else has begun. None: nothing has.
    """
    logger = logging.getLogger("managedagents")
    logger.handlers[:] = [_Notices(before)]
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _Notices(logging.Handler):
    """One line for an outage, not one for every attempt."""

    _APART = 5.0

    def __init__(self, before: Callable[[], None] | None) -> None:
        super().__init__()
        self._before = before
        self._last: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if self._last is None or now - self._last > self._APART:
            if self._before is not None:
                self._before()
            click.secho(f"· {' '.join(record.getMessage().split())}", dim=True, err=True)
        self._last = now
