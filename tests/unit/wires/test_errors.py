"""The errors of the fakes are the vendors' own: their libraries tell them apart."""

import anthropic
import openai
import pytest
from google import genai

from support.official import hear, status_of
from support.wires import ANTHROPIC, COMPATIBLE, GEMINI, OLLAMA, OPENAI, VENDORS, Vendor, Wire
from support.wires.told import ERROR_KINDS, ErrorKind, error

OF_VENDOR = [
    pytest.param(vendor, kind, id=f"{vendor}-{kind}")
    for vendor in VENDORS
    for kind in ERROR_KINDS
    if kind in vendor.kinds
]

STATUSES: dict[ErrorKind, int] = {
    "rate_limited": 429,
    "quota": 429,
    "overloaded": 503,
    "server_error": 500,
    "authentication": 401,
    "permission": 403,
    "unknown_model": 404,
    "context_too_long": 400,
    "content_rejected": 400,
    "bad_request": 400,
}
EXCEPTIONS: dict[tuple[str, ErrorKind], int] = {
    ("anthropic", "overloaded"): 529,
    ("anthropic", "quota"): 400,
    ("gemini", "authentication"): 400,
}


@pytest.mark.parametrize(("vendor", "kind"), OF_VENDOR)
async def test_each_has_the_vendors_own_status(vendor: Vendor, kind: ErrorKind) -> None:
    async with Wire(vendor, error(kind)) as wire:
        if (vendor, kind) == (GEMINI, "content_rejected"):
            # No error, but an answer of none.
            assert (await hear(wire)).stop == "PROHIBITED_CONTENT"
            return
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError, genai.errors.APIError)) as caught:
            await hear(wire)
    assert status_of(caught.value) == EXCEPTIONS.get((vendor.name, kind), STATUSES[kind])
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("vendor", "kind", "code", "error_type"),
    [
        (OPENAI, "rate_limited", "rate_limit_exceeded", "requests"),
        (OPENAI, "quota", "insufficient_quota", "insufficient_quota"),
        (OPENAI, "context_too_long", "context_length_exceeded", "invalid_request_error"),
        (OPENAI, "unknown_model", "model_not_found", "invalid_request_error"),
        (COMPATIBLE, "context_too_long", "context_length_exceeded", "invalid_request_error"),
        (OLLAMA, "unknown_model", None, "not_found_error"),
        (OLLAMA, "overloaded", None, "api_error"),
    ],
    ids=str,
)
async def test_openais_library_reads_code_and_type(
    vendor: Vendor, kind: ErrorKind, code: str | None, error_type: str
) -> None:
    async with Wire(vendor, error(kind)) as wire:
        with pytest.raises(openai.APIStatusError) as caught:
            await hear(wire)
    assert (caught.value.code, caught.value.type) == (code, error_type)


@pytest.mark.parametrize(
    ("kind", "error_class"),
    [
        ("rate_limited", anthropic.RateLimitError),
        ("quota", anthropic.BadRequestError),
        ("authentication", anthropic.AuthenticationError),
        ("permission", anthropic.PermissionDeniedError),
        ("unknown_model", anthropic.NotFoundError),
        ("server_error", anthropic.InternalServerError),
    ],
)
async def test_anthropics_library_knows_the_error(kind: ErrorKind, error_class: type[Exception]) -> None:
    async with Wire(ANTHROPIC, error(kind)) as wire:
        with pytest.raises(error_class):
            await hear(wire)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rate_limited", "RESOURCE_EXHAUSTED"),
        ("quota", "RESOURCE_EXHAUSTED"),
        ("overloaded", "UNAVAILABLE"),
        ("server_error", "INTERNAL"),
        ("unknown_model", "NOT_FOUND"),
        ("context_too_long", "INVALID_ARGUMENT"),
    ],
)
async def test_geminis_library_reads_the_status(kind: ErrorKind, status: str) -> None:
    async with Wire(GEMINI, error(kind)) as wire:
        with pytest.raises(genai.errors.APIError) as caught:
            await hear(wire)
    assert caught.value.status == status


@pytest.mark.parametrize("vendor", [vendor for vendor in VENDORS if vendor is not GEMINI], ids=str)
async def test_a_wait_is_asked_for_by_a_header(vendor: Vendor) -> None:
    async with Wire(vendor, error("rate_limited", retry_after=7)) as wire:
        with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught:
            await hear(wire)
    assert isinstance(caught.value, openai.APIStatusError | anthropic.APIStatusError)
    assert caught.value.response.headers["retry-after"] == "7"


async def test_gemini_asks_for_a_wait_in_the_body() -> None:
    async with Wire(GEMINI, error("rate_limited", retry_after=7)) as wire:
        with pytest.raises(genai.errors.APIError) as caught:
            await hear(wire)
    delays = [detail["retryDelay"] for detail in caught.value.details["error"]["details"] if "retryDelay" in detail]
    assert delays == ["7s"]


async def test_openai_shows_a_part_of_the_key_and_a_compatible_server_all_of_it() -> None:
    for vendor, shown in ((OPENAI, "KEYMARK-******ai-1"), (COMPATIBLE, "KEYMARK-openai-compatible-1")):
        async with Wire(vendor, error("authentication")) as wire:
            with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided") as caught:
                await hear(wire)
        assert shown.replace("*", "") in str(caught.value).replace("*", "")
