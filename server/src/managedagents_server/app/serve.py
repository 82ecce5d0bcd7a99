"""One server, from its start to its end."""

import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack, suppress
from typing import NoReturn

from managedagents_server.app import logs
from managedagents_server.app.listen import bind, make_server
from managedagents_server.config import PROGRAM, VERSION, Serve
from managedagents_server.log import Log
from managedagents_server.providers import Operator, Providers
from managedagents_server.rpc import reflect
from managedagents_server.rpc.auth import Tokens
from managedagents_server.rpc.follow import Followers
from managedagents_server.rpc.health import Health
from managedagents_server.rpc.once import Once
from managedagents_server.rpc.service import service
from managedagents_server.session import Keyring, Runtime
from managedagents_server.tools import Key, Mode, Tools, read_mcp_servers
from managedagents_server.words import failpoints
from managedagents_server.words.addresses import Addresses
from managedagents_server.words.clock import Clock, SystemClock

# EX_IOERR.
_CANNOT_WRITE = 74

_STDERR = 2

# Seconds that calls still open get at the end. Watchers of health never end by themselves.
_STOP_GRACE = 1.0

# Seconds that everything but the running turns may take to stop.
_STOP_MOST = 5.0

logger = logging.getLogger(__name__)


async def serve(asked: Serve) -> None:
    """Runs until a signal. Raises DatabaseFault, KeyringFault, ListenFault, McpServersFault, ProvidersFault and
    TokenFileFault where it cannot start."""
    stop = _stop_on_signals()
    logs.set_up(asked.log_level, asked.log_format)
    if asked.failpoint:
        failpoints.arm(asked.failpoint)
    clock = SystemClock(asked.clock_ahead)
    server = make_server(asked.limits, Tokens.read(asked.tokens) if asked.tokens is not None else None)
    operator = Operator(asked.providers_file, asked.credentials, asked.variables.take)
    keyring = Keyring.read(asked.secret_key, asked.secret_key_file)
    tools = _tools(asked, operator, clock)
    # Before the log is opened: a server that cannot listen must not start anybody's turn.
    address = bind(server, asked.listen, asked.tls)

    async with AsyncExitStack() as parts:
        log = Log.open(asked.db, clock=clock, limits=asked.limits, synchronous=asked.synchronous, on_fatal=_die)
        parts.push_async_callback(log.close)
        providers = Providers(clock, asked.limits, operator, asked.allowed)
        parts.push_async_callback(providers.close)
        await parts.enter_async_context(tools)
        runtime = await parts.enter_async_context(Runtime(log, providers, tools, keyring, clock, asked.limits))
        parts.push_async_callback(server.stop, None)
        group = await parts.enter_async_context(asyncio.TaskGroup())

        followers = Followers(runtime.reads, log, asked.limits)
        once = Once(log, group)
        server.add_generic_rpc_handlers((service(runtime, followers, once, asked.limits),))
        vitals = Health(writable=log.writable)
        log.on_writable = vitals.writable
        vitals.add_to(server)
        reflect.add_to(server)
        await vitals.show()
        keeper = group.create_task(vitals.keep())

        _settle_memory()
        await server.start()
        logger.info(
            "listening", extra={"address": str(address), "version": VERSION, "db": str(asked.db), "log_id": log.log_id}
        )
        sys.stdout.write(f"listening on {address}\n")
        sys.stdout.flush()

        await stop.wait()
        logger.info("draining")
        asyncio.get_running_loop().call_later(asked.limits.drain_grace + _STOP_MOST, _give_up)
        vitals.drain()
        await once.drain()
        await runtime.drain(asked.limits.drain_grace)
        await followers.end_all(_STOP_GRACE)
        await server.stop(_STOP_GRACE)
        keeper.cancel()
    logger.info("stopped")


def _tools(asked: Serve, operator: Operator, clock: Clock) -> Tools:
    """Raises McpServersFault."""
    if asked.sandbox == "none":
        logger.warning("the commands of sessions run without a sandbox, with all that this process may")
    allowed = Addresses(asked.allowed)

    def key(name: str) -> Key | None:
        found = operator.now().credentials.get(name)
        return None if found is None else Key(found.key, found.base_url)

    return Tools(
        Mode(asked.sandbox),
        asked.workspaces,
        allowed,
        asked.searxng,
        asked.skills,
        asked.limits,
        mcp_servers=read_mcp_servers(asked.mcp_servers) if asked.mcp_servers is not None else {},
        keys=key,
        clock=clock,
    )


def _settle_memory() -> None:
    """What is loaded by now stays: it is no garbage to look through, again and again, while sessions run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT. The second ends the process where it stands, as a crash would."""
    stop = asyncio.Event()

    def stop_or_die() -> None:
        if stop.is_set():
            _end(1, "stopped by a second signal")
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_or_die)
    return stop


def _die(reason: str) -> None:
    _end(_CANNOT_WRITE, reason)


def _give_up() -> None:
    _end(1, "could not stop in time")


def _end(code: int, reason: str) -> NoReturn:
    with suppress(OSError):
        os.write(_STDERR, f"{PROGRAM}: {reason}\n".encode())
    os._exit(code)
