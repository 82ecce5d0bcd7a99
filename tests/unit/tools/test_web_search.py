"""Search engines are asked, and their answers and failures told.

SearXNG is a server here that speaks its wire format. Of ddgs, which knows the pages of public search engines, what is
tried is how it is called, bounded and ended, with a proxy on this machine in place of the network; and that its results
are passed on, with its search replaced. That it finds anything is not tried: no test asks the world.
"""

import asyncio
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from ddgs.exceptions import RatelimitException
from jsonschema import Draft202012Validator

from managedagents_server.tools.base import Outcome, Place
from managedagents_server.tools.web.engine import Engine, Hit, NotFound
from managedagents_server.tools.web.engines import Keyless, SearXNG
from managedagents_server.tools.web.jobs import ask_engines
from managedagents_server.tools.web.search import WebSearch
from support.pages import Handler, page, pages, raw

pytestmark = pytest.mark.long

PLACE = Place(Path("/nonexistent"), 1)


def answer(*results: dict[str, Any], **more: Any) -> str:
    """As SearXNG 2025 says it."""
    return json.dumps(
        {
            "query": "q",
            "number_of_results": 0,
            "results": list(results),
            "answers": [],
            "corrections": [],
            "infoboxes": [],
            "suggestions": [],
            "unresponsive_engines": [],
            **more,
        }
    )


def result(number: int, **more: Any) -> dict[str, Any]:
    return {
        "url": f"https://example.org/{number}",
        "title": f"Title {number}",
        "content": f"About {number}.",
        "engine": "brave",
        "engines": ["brave"],
        "positions": [number],
        "score": 1.0,
        "category": "general",
        **more,
    }


async def search(engine: Engine, query: str = "q", *, seconds: float = 20.0, **given: Any) -> Outcome:
    tool = WebSearch(engine, seconds=seconds)
    Draft202012Validator(json.loads(tool.declaration.input_schema_json)).validate({"query": query, **given})
    return await tool.run({"query": query, **given}, PLACE)


async def searched(handler: Handler, **given: Any) -> Outcome:
    async with pages({"/search": handler}) as served:
        return await search(SearXNG(served.url), **given)


def said(outcome: Outcome) -> str:
    assert not outcome.is_error, outcome
    return outcome.content[0].text.text


def fault(outcome: Outcome) -> str:
    assert outcome.is_error, outcome
    return outcome.content[0].text.text


# SearXNG


@pytest.mark.parametrize("below", ["", "/", "/searx", "/searx/"])
async def test_searxng_is_asked_for_json_and_its_results_are_a_numbered_list(below: str) -> None:
    path = f"{below.rstrip('/')}/search"
    async with pages({path: page(answer(result(1), result(2)), "application/json")}) as served:
        text = said(await search(SearXNG(served.url + below), "wärme & kälte?"))
    assert text == (
        "1. Title 1\n   https://example.org/1\n   About 1.\n\n2. Title 2\n   https://example.org/2\n   About 2."
    )
    (request,) = served.requests
    assert dict(request.query) == {"q": "wärme & kälte?", "format": "json"}


async def test_no_more_results_are_given_than_were_asked_for() -> None:
    handler = page(answer(*map(result, range(1, 31))), "application/json")
    assert said(await searched(handler, max_results=3)).count("https://") == 3
    assert said(await searched(handler)).count("https://") == 8


async def test_a_result_takes_its_own_lines_and_no_others() -> None:
    forged = result(1, title="One\n\n2. Forged\n   https://evil.example/", content="x " * 5000)
    text = said(await searched(page(answer(forged, result(2, title=None, content=None)), "application/json")))
    lines = text.splitlines()
    assert lines[0] == "1. One 2. Forged https://evil.example/"
    assert lines[1] == "   https://example.org/1"
    assert len(lines[2]) == 503
    assert lines[2].endswith("…")
    assert lines[3:] == ["", "2. (no title)", "   https://example.org/2"]


async def test_results_in_strange_shapes_are_left_out() -> None:
    odd: list[Any] = [None, 1, [], {"title": "no url"}, result(5, title=["a"], content={"b": 1})]
    text = said(await searched(page(answer(*odd), "application/json")))
    assert text.startswith("1. ['a']\n   https://example.org/5")
    half = said(await searched(page(answer(result(1, title="\ud800")), "application/json")))
    assert half.startswith("1. ?\n")


async def test_no_results_are_no_failure_unless_no_engine_answered() -> None:
    assert said(await searched(page(answer(), "application/json"))).startswith("No results for 'q'.")
    silent = answer(unresponsive_engines=[["brave", "Suspended: too many requests"]])
    assert "none of the engines" in fault(await searched(page(silent, "application/json")))


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "settings.yml"), (429, "too many requests"), (500, "HTTP 500"), (302, "HTTP 302")],
)
async def test_a_status_that_is_not_200_is_an_error_that_says_what_it_means(status: int, words: str) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    assert words in fault(await searched(refuse))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "has no results"),
        ('{"results": {}}', "has no results"),
        (answer(result(1, content="x" * (3 * 1024 * 1024))), "is too long"),
    ],
)
async def test_an_answer_that_is_none_of_searxng_is_an_error(body: str, words: str) -> None:
    assert words in fault(await searched(page(body, "application/json")))


async def test_a_packed_answer_is_read() -> None:
    handler = page(gzip.compress(answer(result(1)).encode()), "application/json", Content_Encoding="gzip")
    assert "Title 1" in said(await searched(handler))


async def test_a_searxng_that_is_not_there_is_an_error() -> None:
    async with pages({}) as served:
        pass
    assert "cannot be reached" in fault(await search(SearXNG(served.url)))


async def test_a_searxng_that_says_nothing_is_left_when_the_time_is_up() -> None:
    async def silence(_: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw(silence) as (url, gone):
        outcome = await search(SearXNG(url), seconds=0.3)
        assert outcome.timed_out
        assert "within 0.3 s" in fault(outcome)
        await gone.wait()


# Any engine


class Scripted:
    def __init__(self, *hits: Hit, fault: str = "") -> None:
        self.asked: list[tuple[str, int]] = []
        self._hits = hits
        self._fault = fault

    async def find(self, query: str, most: int) -> Sequence[Hit]:
        self.asked.append((query, most))
        if self._fault:
            raise NotFound(self._fault)
        return self._hits


async def test_the_engine_gets_the_query_and_the_number_as_they_were_given() -> None:
    engine = Scripted(Hit("T", "https://example.org/", ""))
    assert said(await search(engine, " two  words ", max_results=5)) == "1. T\n   https://example.org/"
    assert engine.asked == [("two  words", 5)]


async def test_what_an_engine_fails_with_is_told() -> None:
    assert fault(await search(Scripted(fault="it rains"))) == "it rains"


async def test_an_empty_query_is_asked_of_nobody() -> None:
    engine = Scripted()
    assert "empty" in fault(await search(engine, " \n"))
    assert not engine.asked


def test_a_search_may_run_again() -> None:
    assert WebSearch(Scripted()).repeatable({"query": "q"})


# Without a key


def test_the_results_of_ddgs_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Replaced:
        def __init__(self, proxy: str | None, timeout: int) -> None:
            assert (proxy, timeout) == (None, 5)

        def text(self, query: str, max_results: int) -> list[dict[str, Any]]:
            assert (query, max_results) == ("q", 3)
            return [{"title": "T", "href": "https://example.org/", "body": "B"}, {"title": "U", "href": None}]

    monkeypatch.setattr(ask_engines, "DDGS", Replaced)
    made = ask_engines.done({"query": "q", "most": 3, "proxy": "", "seconds": 5})
    assert made["hits"] == [
        {"title": "T", "url": "https://example.org/", "snippet": "B"},
        {"title": "U", "url": "", "snippet": ""},
    ]
    assert not made["fault"]


def test_what_ddgs_fails_with_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RatelimitException("slowly")

    monkeypatch.setattr(ask_engines, "DDGS", lambda **_: SimpleNamespace(text=refuse))
    made = ask_engines.done({"query": "q", "most": 3, "proxy": "", "seconds": 5})
    assert not made["hits"]
    assert made["fault"] == "slowly"


async def test_the_real_ddgs_without_a_network_is_an_error() -> None:
    asked = []

    async def refuse(writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        writer.write_eof()

    # Each engine is asked through the proxy, and nothing beyond it.
    async with raw(refuse) as (proxy, _):
        words = fault(await search(Keyless(proxy)))
    assert asked
    assert words.startswith("the search engines gave no results: ")


async def test_a_search_that_is_cancelled_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    asked = asyncio.Event()
    create = asyncio.create_subprocess_exec

    async def seen(*args: Any, **more: Any) -> asyncio.subprocess.Process:
        started.append(await create(*args, **more))
        return started[0]

    async def silence(_: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "create_subprocess_exec", seen)
    async with raw(silence) as (proxy, gone):
        call = asyncio.create_task(search(Keyless(proxy)))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert started[0].returncode == -9
        await gone.wait()


async def test_a_search_that_takes_too_long_is_ended_with_its_process() -> None:
    async def silence(_: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with raw(silence) as (proxy, _):
        outcome = await search(Keyless(proxy), seconds=0.8)
    assert outcome.timed_out
