"""One gRPC channel to the server, and how it is set."""

from dataclasses import dataclass

import grpc

from managedagents._backoff import FIRST, LONGEST

_MAX_MESSAGE_BYTES = 16 * 1024 * 1024

_OPTIONS: tuple[tuple[str, int], ...] = (
    # A batch of a stream is 3 MiB and more; gRPC's own bound of 4 MiB on what is received leaves little above that.
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    # Asking again is done in one place, here in the client: gRPC's own stops after five attempts, and keeps no request
    # of more than 256 KiB.
    ("grpc.enable_retries", 0),
    # gRPC waits up to two minutes before it tries an address again; a server that restarts is back sooner.
    ("grpc.initial_reconnect_backoff_ms", int(FIRST * 1000)),
    ("grpc.max_reconnect_backoff_ms", int(LONGEST * 1000)),
    # A machine that vanished closes no connection. A follower hears from its server every 10 s, so that a ping goes out
    # only when that is overdue.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """How the connection is encrypted. All in PEM, as bytes."""

    root_certs: bytes | None = None
    """Whom to trust. None: what gRPC trusts by itself."""
    client_cert: bytes | None = None
    """Who we are, for a server that wants to know. None: nobody."""
    client_key: bytes | None = None
    """The key of `client_cert`."""
    server_name: str | None = None
    """The name that the server's certificate must have. None: the host of the address."""


def open_channel(address: str, tls: TLS | bool | None) -> grpc.aio.Channel:
    """A channel that connects with its first call. `tls`: True for the defaults; None or False for plain text."""
    if not tls:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    how = tls if isinstance(tls, TLS) else TLS()
    credentials = grpc.ssl_channel_credentials(how.root_certs, how.client_key, how.client_cert)
    name = (("grpc.ssl_target_name_override", how.server_name),) if how.server_name else ()
    return grpc.aio.secure_channel(address, credentials, options=(*_OPTIONS, *name))
