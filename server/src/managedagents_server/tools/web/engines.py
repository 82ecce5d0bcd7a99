"""The search engines that an operator can choose from."""

import asyncio
import ssl
from collections.abc import Sequence

from managedagents_server.tools.web.child import ChildFailed, Children
from managedagents_server.tools.web.engine import Hit, NotFound

_AT_A_TIME = 4
"""Searches without a key: each is a process, and the engines soon refuse who asks them often."""
_ENGINE_SECONDS = 8
"""For each of the engines that are asked without a key, some of them one after the other."""


class SearXNG:
    """One that the operator runs, or knows."""

    def __init__(self, base_url: str, tls: ssl.SSLContext | None = None) -> None:
        """`base_url`: below it lies `/search`. `tls`: None: the certificates that the system trusts."""
        self._base_url = base_url
        self._tls = tls

    async def find(self, query: str, most: int) -> Sequence[Hit]:
        from managedagents_server.tools.web import searxng

        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        return await searxng.find(self._base_url, self._tls, query, most)


class Keyless:
    """The pages of public search engines, which owe nobody an answer: fit for trying, and for a search now and then."""

    def __init__(self, proxy: str = "") -> None:
        """`proxy`: the URL of an HTTP or SOCKS proxy. Empty: none."""
        self._proxy = proxy
        self._children = Children("ask_engines", _AT_A_TIME)

    async def find(self, query: str, most: int) -> Sequence[Hit]:
        given = {"query": query, "most": most, "proxy": self._proxy, "seconds": _ENGINE_SECONDS}
        try:
            made = await self._children.run(given)
        except ChildFailed as error:
            raise NotFound("the search failed; other words, or fewer, may help") from error
        if made["fault"]:
            raise NotFound(f"the search engines gave no results: {made['fault'][:300]}")
        return [Hit(**hit) for hit in made["hits"]]
