"""What the provider library raises, as a ModelFailure. Imports the library: only for modules that do, too."""

import httpx2
import openai
from pydantic_ai import exceptions as library

from managedagents_server.providers import statuses
from managedagents_server.providers.base import ModelFailure
from managedagents_server.providers.statuses import Meaning

RAISED: tuple[type[Exception], ...] = (
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
)
"""What a request may end in: the library's own errors are RuntimeErrors, and of those below it not all are wrapped."""

_LONGEST = 500
"""Characters of a provider's words that are kept."""

_CONTEXT_TYPES = frozenset({"exceed_context_size_error"})
"""Error types, as llama.cpp's server gives them, that say the conversation is too long and that the library does not
know."""

# In this order: the first class that fits decides.
_BY_CLASS: tuple[tuple[type[Exception], Meaning], ...] = (
    (library.ModelRateLimitError, statuses.RATE_LIMITED),
    (library.ModelQuotaExceededError, statuses.QUOTA),
    (library.ModelUnavailableError, statuses.UNAVAILABLE),
    (library.ModelServerError, statuses.UNAVAILABLE),
    (library.ModelRequestTimeout, statuses.TIMEOUT),
    (library.ModelContextWindowExceededError, statuses.CONTEXT_TOO_LONG),
    (library.ModelAuthenticationError, statuses.AUTHENTICATION),
    (library.ModelNotFoundError, statuses.NOT_FOUND),
)


def of(error: Exception, *, answering: bool, secret: str) -> ModelFailure:
    """`answering`: the answer had begun. `secret` is the key, which a provider may echo; empty: none."""
    return _meaning(error, answering).failure(
        _words(error, secret),
        retry_after=error.retry_after if isinstance(error, library.ModelAPIError) else None,
    )


def _meaning(error: Exception, answering: bool) -> Meaning:
    if isinstance(error, library.ModelAPIError) and error.provider_error_type in _CONTEXT_TYPES:
        return statuses.CONTEXT_TOO_LONG
    for kind, meaning in _BY_CLASS:
        if isinstance(error, kind):
            return meaning
    match error:
        case library.ModelHTTPError(status_code=status):
            return statuses.of_status(status)
        case library.ModelRequestRejectedError():
            return statuses.CONTENT_REJECTED
        case library.ModelTimeoutError(phase=phase) if phase not in ("connect", "pool"):
            return statuses.TIMEOUT
        case library.ModelConnectionError() | httpx2.HTTPError() | httpx2.StreamError():
            return statuses.BROKEN_STREAM if answering else statuses.UNREACHABLE
        case library.ModelAPIError(__cause__=openai.APIStatusError(status_code=status)):
            return statuses.of_status(status)
        case library.ModelAPIError(in_stream=True):
            return statuses.UNAVAILABLE
        case library.ModelAPIError() | library.UnexpectedModelBehavior():
            return statuses.BROKEN_STREAM
    # What is left is raised by bare assertions and parsers: over the answer once it has begun, before that over the
    # conversation that was to be sent.
    return statuses.BROKEN_STREAM if answering else statuses.CONTENT_REJECTED


def _words(error: Exception, secret: str) -> str:
    match error:
        case library.ModelHTTPError(status_code=status, body=body):
            words = f"HTTP {status}: {_body_words(body)}"
        case library.ModelConnectionError(message=message):
            root = _root(error)
            words = f"{message} {type(root).__name__}: {root}"
        case library.AgentRunError(message=message):
            words = message
        case _:
            words = f"{type(error).__name__}: {error}"
    if secret:
        words = words.replace(secret, "[key]")
    return words[:_LONGEST]


def _body_words(body: object) -> str:
    if isinstance(body, dict):
        match body:
            case {"message": str(message)} | {"error": {"message": str(message)}} | {"error": str(message)}:
                return message
    return str(body)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error
