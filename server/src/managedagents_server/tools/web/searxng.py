"""A SearXNG of the operator's, asked by its JSON format. Imports aiohttp: only with the first search."""

import json
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
from yarl import URL

from managedagents_server.network.connector import Network
from managedagents_server.tools.web import bodies
from managedagents_server.tools.web.engine import Hit, NotFound

_ANSWER_BYTES = 2 * 1024 * 1024
_CONNECT = 5.0
"""Seconds until a connection stands."""
_KEPT_SECONDS = 1.0
"""A session ends with its one search."""


async def find(base: str, tls: ssl.SSLContext, query: str, most: int) -> Sequence[Hit]:
    """`base`: the operator named it himself, so it may stand at any address. Raises NotFound."""
    network = Network(None, tls)
    try:
        async with (
            aiohttp.ClientSession(
                connector=network.connector(_KEPT_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "Accept-Encoding": bodies.ENCODINGS},
                auto_decompress=False,
                trust_env=False,
            ) as session,
            session.get(URL(base) / "search", params={"q": query, "format": "json"}, allow_redirects=False) as response,
        ):
            _check(response.status)
            body = await bodies.read(response, _ANSWER_BYTES)
    except (aiohttp.ClientError, bodies.Unreadable, OSError) as error:
        raise NotFound(
            f"the search engine cannot be reached ({type(error).__name__}); trying again may help"
        ) from error
    finally:
        await network.aclose()
    return _hits(body.data, most)


def _check(status: int) -> None:
    if status == 200:
        return
    if status == 403:
        raise NotFound(
            "the search engine refuses (HTTP 403); its operator allows `json` under `search: formats` in its "
            "settings.yml"
        )
    if status == 429:
        raise NotFound("the search engine has had too many requests (HTTP 429); wait before you search again")
    raise NotFound(f"the search engine answers with HTTP {status} instead of results")


def _hits(data: bytes, most: int) -> Sequence[Hit]:
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise NotFound("the search engine's answer is no JSON, or is too long") from error
    results = said.get("results") if isinstance(said, dict) else None
    if not isinstance(results, list):
        raise NotFound("the search engine's answer has no results in the form of SearXNG")
    hits = [_hit(result) for result in results if isinstance(result, dict) and result.get("url")]
    if not hits and said.get("unresponsive_engines"):
        raise NotFound("none of the engines that the search engine asks has answered; trying again may help")
    return hits[:most]


def _hit(result: dict[str, Any]) -> Hit:
    return Hit(str(result.get("title") or ""), str(result["url"]), str(result.get("content") or ""))
