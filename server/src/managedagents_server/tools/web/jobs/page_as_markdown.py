"""HTML to Markdown, by html-to-markdown."""

from typing import TypedDict

from html_to_markdown import ConversionOptions, PreprocessingOptions, convert

MEMORY = 768 * 1024 * 1024
"""A page of 5 MiB with nothing but links takes 280 MB."""

_HEAD_CHARS = 64 * 1024
"""In which a page's title is looked for."""


class Given(TypedDict):
    html: str
    url: str
    """Of the page: its links are made absolute by it."""
    most: int
    """Characters that are wanted. A page of a megabyte can become hundreds."""


class Made(TypedDict):
    title: str
    """Empty: none."""
    text: str
    whole: bool
    """False: there was more than was wanted."""


def done(given: Given) -> Made:
    text = _converted(given["html"], given["url"])
    most = given["most"]
    return {"title": _title(given["html"]), "text": text[:most], "whole": len(text) <= most}


def _converted(html: str, url: str) -> str:
    # Metadata would come as a block of YAML above the text: dozens of lines that are for search engines. Pictures that
    # stand in the page itself are kilobytes of base64.
    options = ConversionOptions(
        base_url=url,
        extract_metadata=False,
        inline_data_media="drop_element",
        preprocessing=PreprocessingOptions(),
    )
    return (convert(html, options).content or "").strip()


def _title(html: str) -> str:
    return " ".join((convert(html[:_HEAD_CHARS]).metadata.document.title or "").split())
