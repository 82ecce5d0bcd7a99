"""What an answer's body says, as text or as a picture that a model can take."""

import asyncio
from dataclasses import dataclass

from managedagents_server.tools.web.answer import Answer
from managedagents_server.tools.web.charsets import codec_of, decoded
from managedagents_server.tools.web.child import ChildFailed, Children
from managedagents_server.tools.web.kinds import Kind, kind_of

_TEXT_CHARS = 1_000_000
"""Of a page turned to Markdown: it can become hundreds of times as long as it was."""


@dataclass(frozen=True, slots=True)
class Read:
    media_type: str
    text: str
    title: str = ""
    whole: bool = True
    """False: what is there is longer than the text."""


@dataclass(frozen=True, slots=True)
class Picture:
    media_type: str
    data: bytes


class NotRead(Exception):
    """The message tells a model what it is and why it is not read."""


class Reader:
    def __init__(self) -> None:
        # More would take the processors from the sessions.
        self._children = Children("page_as_markdown", at_a_time=2)

    async def read(self, answer: Answer) -> Read | Picture:
        """Raises NotRead."""
        charset = codec_of(answer.charset)
        found = kind_of(answer.data, answer.media_type, charset)
        size = f"{'' if answer.whole else 'more than '}{len(answer.data):,} bytes"
        match found.kind:
            case Kind.IMAGE if answer.whole:
                return Picture(found.media_type, answer.data)
            case Kind.IMAGE:
                raise NotRead(f"a picture ({found.media_type}) of {size}, which is too large")
            case Kind.PDF:
                raise NotRead(f"a PDF of {size}; this tool reads no PDF. Look for the same text as a web page")
            case Kind.OTHER:
                what = found.media_type or "of an unknown type"
                raise NotRead(f"a binary file ({what}) of {size}; this tool reads web pages, text and pictures")
        html = found.kind is Kind.HTML
        text = await asyncio.to_thread(decoded, answer.data, charset, html=html)
        if not html:
            return Read(found.media_type, text, whole=answer.whole)
        return await self._markdown(answer, found.media_type, text)

    async def _markdown(self, answer: Answer, media_type: str, html: str) -> Read:
        try:
            made = await self._children.run({"html": html, "url": answer.url, "most": _TEXT_CHARS})
        except ChildFailed as error:
            raise NotRead("a web page that cannot be turned into text: it is too large or too deeply nested") from error
        return Read(media_type, made["text"], made["title"], whole=answer.whole and made["whole"])
