"""The command line, and with it the environment, as what was asked for."""

import argparse
import ipaddress
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn, cast

from managedagents_server.config import environment
from managedagents_server.config.asked import PROGRAM, VERSION, Address, Backup, Command, Network, Restore, Serve, Tls
from managedagents_server.config.limits import WrongLimit, help_of_limits, limits

_DESCRIPTION = f"""\
Runs managed agents over a durable event log.

commands:
  {PROGRAM} [serve] --db FILE ...            serve (what --help tells here)
  {PROGRAM} backup --db FILE --to FILE       copy the log of a server, which may be running
  {PROGRAM} restore --db FILE --from FILE    put a backup in the place of the log of a stopped server
"""

_EPILOG_HEAD = f"""\
environment: {environment.CREDENTIAL}NAME is the key of the credential `name`, _ read as -;
{environment.SECRET_KEY} is what inline keys are sealed with, in the place of the file.

exit codes: 0 stopped by a signal, or done; 1 cannot start, or failed; 2 the command line is wrong;
74 the log's file cannot be written.

limits, as --limit NAME=VALUE with their defaults (sizes in bytes, times in seconds):
"""


def read() -> Command:
    """What this process was started for. Ends it, with one line on stderr, where that is wrong."""
    return parse(sys.argv[1:], os.environ)


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
    try:
        chosen = limits(given.limit)
    except WrongLimit as wrong:
        parser.error(str(wrong))
    return Serve(
        listen=given.listen,
        db=given.db,
        synchronous=cast("Literal['FULL', 'NORMAL']", given.synchronous.upper()),
        tls=Tls(given.tls_cert, given.tls_key, given.tls_client_ca) if given.tls_cert is not None else None,
        tokens=given.tokens,
        providers_file=given.providers,
        credentials=environment.credentials(environ),
        variables=environment.Variables(dict(environ)),
        allowed=tuple(given.allow_address),
        secret_key=environ.get(environment.SECRET_KEY, ""),
        secret_key_file=given.secret_key_file or Path(f"{given.db}.key"),
        sandbox=given.sandbox,
        workspaces=given.workspaces or Path(f"{given.db}.workspaces"),
        searxng=given.searxng,
        skills=given.skills,
        mcp_servers=given.mcp_servers,
        log_level=given.log_level.upper(),
        log_format=given.log_format,
        limits=chosen,
        clock_ahead=_seconds(parser, environ.get(environment.CLOCK_AHEAD, "0")),
        failpoint=environ.get(environment.FAILPOINT, ""),
    )


def _serve_parser() -> _Parser:
    parser = _Parser(PROGRAM, _DESCRIPTION, _EPILOG_HEAD + help_of_limits())
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
        "--providers", metavar="FILE", type=Path, help="rows for the table of models, and credentials; TOML"
    )
    parser.add_argument(
        "--allow-address",
        metavar="NETWORK",
        type=_network,
        action="append",
        default=[],
        help="let definitions name addresses here that are not public, say 127.0.0.0/8; may be repeated",
    )
    parser.add_argument(
        "--secret-key-file",
        metavar="FILE",
        type=Path,
        help="what inline keys are sealed with; made where it is not there (default: the log's path and .key)",
    )
    parser.add_argument(
        "--sandbox",
        choices=["bubblewrap", "none"],
        default="bubblewrap",
        help="where the commands of sessions run; none: as the server does, with all that it may (default %(default)s)",
    )
    parser.add_argument(
        "--workspaces",
        metavar="DIR",
        type=Path,
        help="the files of sessions, a folder each (default: the log's path and .workspaces)",
    )
    parser.add_argument(
        "--skills", metavar="DIR", type=Path, help="skills that definitions may name, a folder each (default: none)"
    )
    parser.add_argument(
        "--mcp-servers", metavar="FILE", type=Path, help="MCP servers that definitions may name, TOML (default: none)"
    )
    parser.add_argument(
        "--searxng", metavar="URL", help="a SearXNG server for web_search (default: public search engines)"
    )
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


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address and no network: {error}") from None


def _seconds(parser: _Parser, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        parser.error(f"{environment.CLOCK_AHEAD} must be a number of seconds")
    return seconds
