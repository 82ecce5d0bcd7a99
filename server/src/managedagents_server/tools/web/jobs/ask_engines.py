"""A search without a key, by ddgs: it asks the pages of search engines as a browser would, and reads what they show."""

from typing import TypedDict

from ddgs import DDGS
from ddgs.exceptions import DDGSException

MEMORY = 4 * 1024 * 1024 * 1024
"""Little of it is used: its threads, which are as many as the machine has processors, reserve much."""


class Given(TypedDict):
    query: str
    most: int
    proxy: str
    """The URL of an HTTP or SOCKS proxy. Empty: none."""
    seconds: int
    """For each search engine."""


class Hit(TypedDict):
    title: str
    url: str
    snippet: str


class Made(TypedDict):
    hits: list[Hit]
    fault: str
    """Why there are none. Empty: there are."""


def done(given: Given) -> Made:
    search = DDGS(proxy=given["proxy"] or None, timeout=given["seconds"])
    try:
        found = search.text(given["query"], max_results=given["most"])
    except DDGSException as error:
        return {"hits": [], "fault": str(error)}
    hits: list[Hit] = [
        {
            "title": str(result.get("title") or ""),
            "url": str(result.get("href") or ""),
            "snippet": str(result.get("body") or ""),
        }
        for result in found
    ]
    return {"hits": hits, "fault": ""}
