"""What the operator asked for: the only reader of the command line and of the environment."""

import argparse
import ipaddress
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Literal, NoReturn, cast

from managedagents_server.words.limits import Limits

PROGRAM = "managedagents-server"
VERSION = version(PROGRAM)

_DESCRIPTION = f"""\
Runs managed agents over a durable event log.

commands:
  {PROGRAM} [serve] --db FILE ...            serve (what --help tells here)
  {PROGRAM} backup --db FILE --to FILE       copy the log of a server, which may be running
  {PROGRAM} restore --db FILE --from FILE    put a backup in the place of the log of a stopped server
"""

_EPILOG_HEAD = """\
exit codes: 0 stopped by a signal, or done; 1 cannot start, or failed; 2 the command line is wrong;
74 the log's file cannot be written.

limits, as --limit NAME=VALUE with their defaults (sizes in bytes, times in seconds):
"""

# Read by the libraries of vendors behind our back, and sent to every model's address.
_VENDOR_PREFIXES = ("ANTHROPIC_", "OPENAI_")

_CLOCK_AHEAD = "MANAGEDAGENTS_TEST_CLOCK_AHEAD"
_FAILPOINT = "MANAGEDAGENTS_TEST_FAILPOINT"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0: a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Nobody outside this machine reaches it. A name other than localhost counts as reachable."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files."""

    cert: Path
    key: Path
    client_ca: Path | None
    """Clients must show a certificate that this authority signed. None: they need none."""


@dataclass(frozen=True, slots=True)
class Serve:
    listen: Address
    db: Path
    synchronous: Literal["FULL", "NORMAL"]
    tls: Tls | None
    tokens: Path | None
    """None: everybody who reaches the address may call."""
    log_level: str
    log_format: Literal["json", "text"] | None
    """None: text on a terminal, json elsewhere."""
    limits: Limits
    clock_ahead: float
    """Seconds that the wall clock is moved on, for tests."""
    failpoint: str
    """Where a crash test kills the process. Empty: nowhere."""


@dataclass(frozen=True, slots=True)
class Backup:
    db: Path
    to: Path


@dataclass(frozen=True, slots=True)
class Restore:
    db: Path
    source: Path


Command = Serve | Backup | Restore


def read() -> Command:
    """What this process was started for. Ends it, with one line on stderr, where that is wrong."""
    return parse(sys.argv[1:], os.environ)


def forget_vendor_variables() -> None:
    for name in [name for name in os.environ if name.startswith(_VENDOR_PREFIXES)]:
        del os.environ[name]


def parse(arguments: Sequence[str], environ: Mapping[str, str]) -> Command:
    match list(arguments):
        case ["backup", *rest]:
            given = _backup_parser().parse_args(rest)
            return Backup(given.db, given.to)
        case ["restore", *rest]:
            given = _restore_parser().parse_args(rest)
            return Restore(given.db, given.source)
        case ["serve", *rest] | rest:
            return _serve(rest, environ)


class _Parser(argparse.ArgumentParser):
    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{PROGRAM}: {message} (--help tells more)\n")


def _serve(arguments: Sequence[str], environ: Mapping[str, str]) -> Serve:
    parser = _serve_parser()
    given = parser.parse_args(arguments)
    if (given.tls_cert is None) != (given.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    if given.tls_client_ca is not None and given.tls_cert is None:
        parser.error("--tls-client-ca needs --tls-cert and --tls-key")
    if given.plaintext and given.tls_cert is not None:
        parser.error("--plaintext and --tls-cert exclude each other")
    if given.no_auth and given.tokens is not None:
        parser.error("--no-auth and --tokens exclude each other")
    if not given.listen.loopback:
        if given.tls_cert is None and not given.plaintext:
            parser.error(f"{given.listen} is reachable from outside: give --tls-cert and --tls-key, or --plaintext")
        if given.tokens is None and not given.no_auth:
            parser.error(f"{given.listen} is reachable from outside: give --tokens, or --no-auth")
    return Serve(
        listen=given.listen,
        db=given.db,
        synchronous=cast("Literal['FULL', 'NORMAL']", given.synchronous.upper()),
        tls=Tls(given.tls_cert, given.tls_key, given.tls_client_ca) if given.tls_cert is not None else None,
        tokens=given.tokens,
        log_level=given.log_level.upper(),
        log_format=given.log_format,
        limits=_limits(parser, given.limit),
        clock_ahead=_seconds(parser, environ.get(_CLOCK_AHEAD, "0")),
        failpoint=environ.get(_FAILPOINT, ""),
    )


def _serve_parser() -> _Parser:
    parser = _Parser(PROGRAM, _DESCRIPTION, _EPILOG_HEAD + _limits_help())
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        type=_address,
        default=Address("127.0.0.1", 50051),
        help="where to listen; port 0 picks a free one (default %(default)s)",
    )
    parser.add_argument("--db", metavar="FILE", type=Path, required=True, help="the log; made where it is not there")
    parser.add_argument(
        "--synchronous",
        choices=["full", "normal"],
        default="full",
        help="what an answered write survives: full, a power cut; normal, a crash of the process (default %(default)s)",
    )
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="the server's certificate chain, PEM")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="its private key, PEM")
    parser.add_argument(
        "--tls-client-ca", metavar="FILE", type=Path, help="clients must show a certificate of this authority, PEM"
    )
    parser.add_argument("--tokens", metavar="FILE", type=Path, help="bearer tokens that may call, one a line")
    parser.add_argument("--plaintext", action="store_true", help="listen beyond loopback without TLS")
    parser.add_argument("--no-auth", action="store_true", help="listen beyond loopback without tokens")
    parser.add_argument(
        "--log-level", choices=["debug", "info", "warning", "error"], default="info", help="(default %(default)s)"
    )
    parser.add_argument(
        "--log-format", choices=["json", "text"], help="how stderr is written (default: text on a terminal, else json)"
    )
    parser.add_argument("--limit", metavar="NAME=VALUE", action="append", default=[], help="may be repeated; see below")
    return parser


def _backup_parser() -> _Parser:
    parser = _Parser(f"{PROGRAM} backup", "Copies the log of a server, which may be running.")
    parser.add_argument("--db", metavar="FILE", type=Path, required=True, help="the log")
    parser.add_argument("--to", metavar="FILE", type=Path, required=True, help="the copy, which must not be there yet")
    return parser


def _restore_parser() -> _Parser:
    parser = _Parser(
        f"{PROGRAM} restore", "Puts a backup in the place of the log of a stopped server, under a new log id."
    )
    parser.add_argument("--db", metavar="FILE", type=Path, required=True, help="the log that is replaced")
    parser.add_argument("--from", metavar="FILE", type=Path, required=True, dest="source", help="the backup")
    return parser


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    return Address(host, int(port))


def _seconds(parser: _Parser, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        parser.error(f"{_CLOCK_AHEAD} must be a number of seconds")
    return seconds


def _limits(parser: _Parser, given: Sequence[str]) -> Limits:
    types = {field.name: cast("type[int] | type[float]", field.type) for field in fields(Limits)}
    chosen: dict[str, float] = {}
    for item in given:
        name, _, text = item.partition("=")
        if name not in types:
            parser.error(f"--limit {item}: there is no limit {name!r}")
        try:
            value = types[name](text)
        except ValueError:
            parser.error(f"--limit {item}: must be {'a whole number' if types[name] is int else 'a number'}")
        if not (math.isfinite(value) and value >= (1 if types[name] is int else 0)):
            parser.error(
                f"--limit {item}: must be {'at least 1' if types[name] is int else 'finite, and not negative'}"
            )
        chosen[name] = value
    return Limits(**cast("dict[str, int]", chosen))


def _limits_help() -> str:
    return "".join(
        f"  {field.name + '=' + str(field.default):<32} {field.metadata['doc']}\n" for field in fields(Limits)
    )
