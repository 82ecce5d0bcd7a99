"""What the provider library raises, as a ModelFailure. Imports the library: only for modules that do, too."""

import httpx2
from pydantic_ai import exceptions as library

from managedagents_server.providers import statuses
from managedagents_server.providers.base import ModelFailure
from managedagents_server.providers.bounded import TooLarge
from managedagents_server.providers.statuses import Meaning
from managedagents_server.providers.texts import well_formed, without
from managedagents_server.words.addresses import AddressNotAllowed

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

_READ = 16 * 1024
"""Characters of them that are looked at: twice as many as a key may have."""

_BY_WORD = {
    # llama.cpp's server
    "exceed_context_size_error": statuses.CONTEXT_TOO_LONG,
    # Gemini, of an account, or a place from which it cannot be asked
    "FAILED_PRECONDITION": statuses.REFUSED,
    # OpenAI, of an answer that has begun: what HTTP would have said with a 400
    "bio_policy": statuses.CONTENT_REJECTED,
    "cyber_policy": statuses.CONTENT_REJECTED,
    "empty_image_file": statuses.CONTENT_REJECTED,
    "image_content_policy_violation": statuses.CONTENT_REJECTED,
    "image_file_too_large": statuses.CONTENT_REJECTED,
    "image_parse_error": statuses.CONTENT_REJECTED,
    "image_too_large": statuses.CONTENT_REJECTED,
    "image_too_small": statuses.CONTENT_REJECTED,
    "invalid_base64_image": statuses.CONTENT_REJECTED,
    "invalid_image": statuses.CONTENT_REJECTED,
    "invalid_image_format": statuses.CONTENT_REJECTED,
    "invalid_image_mode": statuses.CONTENT_REJECTED,
    "invalid_prompt": statuses.CONTENT_REJECTED,
    "unsupported_image_media_type": statuses.CONTENT_REJECTED,
}
"""Error types and codes whose meaning the library does not know."""

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


def of(error: Exception, *, responded: bool, answering: bool, secret: str) -> ModelFailure:
    """`responded`: the provider had responded. `answering`: the answer had begun. `secret` is the key, which a provider
    may echo; empty: none."""
    root = _root(error)
    if isinstance(root, AddressNotAllowed):
        return statuses.REFUSED.failure(str(root))
    if isinstance(root, TooLarge):
        return statuses.TOO_LARGE.failure(str(root))
    meaning = _meaning(error, responded, answering)
    return meaning.failure(
        _refused(error) if meaning is statuses.AUTHENTICATION else _words(error, secret),
        retry_after=error.retry_after if isinstance(error, library.ModelAPIError) else None,
    )


def _meaning(error: Exception, responded: bool, answering: bool) -> Meaning:
    if isinstance(error, library.ModelAPIError):
        for word in (error.provider_error_type, error.provider_error_code):
            if word in _BY_WORD:
                return _BY_WORD[word]
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
        case library.ModelAPIError(__cause__=cause) if (status := _status(cause)) >= 300:
            return statuses.of_status(status)
        case library.ModelAPIError(in_stream=True):
            return statuses.UNAVAILABLE
        case library.ModelAPIError() | library.UnexpectedModelBehavior():
            return statuses.BROKEN_STREAM
    # What is left is raised by bare assertions and parsers: over the answer once there is a response, before that over
    # the conversation that was to be sent.
    return statuses.BROKEN_STREAM if responded else statuses.CONTENT_REJECTED


def _status(cause: BaseException | None) -> int:
    """That of a vendor's own error, each in its way. 0: it has none."""
    for name in ("status_code", "code"):
        if isinstance(status := getattr(cause, name, None), int):
            return status
    return 0


def _refused(error: Exception) -> str:
    """Without the provider's words: some show a part of the key."""
    status = f"HTTP {error.status_code}: " if isinstance(error, library.ModelHTTPError) else ""
    return f"{status}the provider does not take the key, or not for this"


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
            words = f"{type(error).__name__}: {error}" if str(error) else f"it cannot be read ({type(error).__name__})"
    return without(secret, well_formed(words[:_READ]))[:_LONGEST]


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
