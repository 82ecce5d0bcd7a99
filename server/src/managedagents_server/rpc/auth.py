"""Who may call: bearer tokens from a file."""

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Self, TypeAlias

import grpc

from managedagents_server.rpc.errors import refuse
from managedagents_server.words.errors import Unauthenticated

# RFC 6750.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_BEARER = re.compile(r"bearer +(.+)", re.IGNORECASE)

# A balancer asks for health without knowing any token.
_OPEN_TO_ALL = "/grpc.health.v1.Health/"

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class TokenFileFault(Exception):
    """One clear line that says why a token file cannot be used."""


class Tokens:
    """The tokens of those who may call. Read once: a changed file needs a restart."""

    def __init__(self, tokens: Iterable[str]) -> None:
        # Hashes have one length, so comparing tells nothing about a token's.
        self._known = [_hash(token) for token in tokens]

    @classmethod
    def read(cls, path: Path) -> Self:
        """One token a line; empty lines and lines that begin with # count for nothing. Raises TokenFileFault."""
        try:
            lines = path.read_text("ascii").splitlines()
        except OSError as error:
            raise TokenFileFault(f"the token file {path} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError:
            raise TokenFileFault(f"the token file {path} is no ASCII text") from None
        tokens = []
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            if not _TOKEN.fullmatch(line):
                raise TokenFileFault(f"the token file {path} has no bearer token on line {number}")
            tokens.append(line)
        if not tokens:
            raise TokenFileFault(f"the token file {path} has no token")
        return cls(tokens)

    def accept(self, authorization: str) -> bool:
        """Whether the value of an `authorization` header carries one of the tokens. Its time tells nothing of which."""
        bearer = _BEARER.fullmatch(authorization)
        if bearer is None:
            return False
        given = _hash(bearer[1])
        return sum(hmac.compare_digest(given, known) for known in self._known) > 0


class Gate(grpc.aio.ServerInterceptor):
    """Lets in who brings a token. Everything needs one, reflection and unknown methods too, but not health."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        # Says no to every kind of call: it reads nothing before it answers.
        self._closed: _Handler = grpc.stream_stream_rpc_method_handler(_say_no)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler:
        if handler_call_details.method.startswith(_OPEN_TO_ALL):
            return await continuation(handler_call_details)
        for key, value in handler_call_details.invocation_metadata or ():
            if key == "authorization" and isinstance(value, str) and self._tokens.accept(value):
                return await continuation(handler_call_details)
        return self._closed


async def _say_no(_requests: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
    await refuse(context, Unauthenticated("a bearer token that this server knows is needed"))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
