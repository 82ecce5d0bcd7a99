"""The gRPC server itself: its options, its address, its certificates."""

import socket
import ssl
from pathlib import Path

import grpc

from managedagents_server.config import Address, Tls
from managedagents_server.rpc.auth import Gate, Tokens
from managedagents_server.words.limits import Limits

_UNREADABLE = "it cannot be read"


class ListenFault(Exception):
    """One clear line that says why the server cannot listen as it was told."""


def make_server(limits: Limits, tokens: Tokens | None) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[Gate(tokens)] if tokens is not None else [],
        options=[
            # A longer request is refused by gRPC itself: RESOURCE_EXHAUSTED without details.
            ("grpc.max_receive_message_length", limits.request_bytes),
            # What goes out is bounded where it is made.
            ("grpc.max_send_message_length", -1),
            # A port in use is an error, not a share of its calls.
            ("grpc.so_reuseport", 0),
            # Meshes and clients may ping idle connections, every 5 s if they like.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
            # A follower that vanished without a word is noticed within 80 s.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
    )


def bind(server: grpc.aio.Server, address: Address, tls: Tls | None) -> Address:
    """Gives the address with the port that was taken. Raises ListenFault."""
    credentials = _credentials(tls) if tls is not None else None
    _try_address(address)
    try:
        if credentials is None:
            port = server.add_insecure_port(str(address))
        else:
            port = server.add_secure_port(str(address), credentials)
    except RuntimeError as error:
        raise ListenFault(f"cannot listen on {address}") from error
    return Address(address.host, port)


def _try_address(address: Address) -> None:
    """Raises ListenFault with the reason: gRPC does not tell it, but writes lines of its own to stderr."""
    reason: OSError | None = None
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in found:
            try:
                with socket.socket(family, kind, protocol) as trial:
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    trial.bind(place)
            except OSError as error:
                reason = error
            else:
                return
    except OSError as error:
        reason = error
    why = reason.strerror if reason is not None else "the host has no address"
    raise ListenFault(f"cannot listen on {address}: {why}")


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    _check(tls)
    return grpc.ssl_server_credentials(
        [(_read(tls.key), _read(tls.cert))],
        root_certificates=_read(tls.client_ca) if tls.client_ca is not None else None,
        require_client_auth=tls.client_ca is not None,
    )


def _check(tls: Tls) -> None:
    """gRPC would take anything here and fail at each handshake."""
    for path in filter(None, (tls.cert, tls.key, tls.client_ca)):
        _read(path)
    trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # The password keeps a locked key from asking on the terminal.
        trial.load_cert_chain(tls.cert, tls.key, password="")
    except ssl.SSLError as error:
        raise ListenFault(
            f"{tls.cert} and {tls.key} are no certificate and its unlocked key: {error.reason or _UNREADABLE}"
        ) from error
    if tls.client_ca is not None:
        try:
            trial.load_verify_locations(tls.client_ca)
        except ssl.SSLError as error:
            raise ListenFault(f"{tls.client_ca} holds no certificates: {error.reason or _UNREADABLE}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ListenFault(f"{path} cannot be read: {error.strerror}") from error
