"""One call, asked again until it is answered or the patience is over."""

import asyncio
import logging
import time
from typing import TypeVar

import grpc

from managedagents._backoff import Backoff
from managedagents._errors import DeadlineExceededError, ManagedAgentsError, NoAnswerError
from managedagents._status import error_of, is_passing

Request = TypeVar("Request")
Response = TypeVar("Response")

logger = logging.getLogger("managedagents")


class Calls:
    """Asks the server, and knows how long to go on asking one that does not answer."""

    def __init__(self, address: str, *, token: str | None, connect_timeout: float, patience: float) -> None:
        self.address = address
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._connect_timeout = connect_timeout
        self._patience = patience
        self._answered = False

    @property
    def patience(self) -> float:
        """Seconds that a server may be away: few until it has answered once, so that a wrong address is told soon."""
        return self._patience if self._answered or not self._patience else self._connect_timeout

    def heard(self) -> None:
        """The server answered."""
        self._answered = True

    def error(self, failure: grpc.aio.AioRpcError) -> ManagedAgentsError:
        """The error that a failed call raises."""
        error = error_of(failure, self.address, answered=self._answered)
        if not isinstance(error, NoAnswerError | DeadlineExceededError):
            self.heard()
        return error

    async def unary(
        self, method: "grpc.aio.UnaryUnaryMultiCallable[Request, Response]", request: Request, /
    ) -> Response:
        """Ask, and ask again with the very same request (and so the same request id) while that may help."""
        began, backoff = time.monotonic(), Backoff()
        while True:
            try:
                # Only the answer itself is waited for longer than a connection: the timeout of an attempt is not the
                # time that a server may be away.
                response = await method(request, timeout=self._patience or None, metadata=self.metadata)
            except grpc.aio.AioRpcError as failure:
                error = self.error(failure)
                delay = backoff.next(error.retry_after)
                if not is_passing(error) or time.monotonic() - began + delay > self.patience:
                    raise error from failure
                # Somebody who starts with a server that is not there yet is told once, when the time is up.
                logger.log(logging.INFO if self._answered else logging.DEBUG, "again in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)
            else:
                self.heard()
                return response
