"""Bytes of the web to text. Pages name charsets that do not exist, that mean others on the web than by their name, and
some of Python's codecs are none for a stranger's bytes: only those of the web are used."""

import codecs
import re

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

_ISO = (*range(2, 9), 10, 13, 14, 15, 16)
# By the name that Python knows a label by. The web means the larger set where a label names the smaller one:
# https://encoding.spec.whatwg.org
_CODECS = {
    **{name: name for name in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "koi8-r", "koi8-u", "cp866", "cp874")},
    **{name: name for name in ("gb18030", "euc_jp", "iso2022_jp", "mac-roman", "mac-cyrillic")},
    **{f"iso8859-{part}": f"iso8859-{part}" for part in _ISO},
    **{f"cp125{page}": f"cp125{page}" for page in range(9)},
    **dict.fromkeys(("ascii", "iso8859-1"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    **dict.fromkeys(("big5", "big5hkscs"), "big5hkscs"),
    **dict.fromkeys(("shift_jis", "cp932"), "cp932"),
    **dict.fromkeys(("euc_kr", "cp949"), "cp949"),
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
}

_LABEL = re.compile(r"[\w.:-]{1,40}", re.ASCII)
_HEAD_BYTES = 1024
"""Of a page, in which it must say its charset."""
_IN_META = re.compile(rb"<meta[^>]{1,300}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)


def decoded(data: bytes, label: str | None, *, html: bool = False) -> str:
    """`label`: the charset that the answer's header names. Whatever the bytes are, it is text: what is none becomes
    U+FFFD. Takes time with the size of the data: not for the event loop."""
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, "replace")
    named = codec_of(label) or (_in_head(data) if html else None)
    if named is not None:
        return data.decode(named, "replace")
    try:
        # Not final: a body that was cut may end inside a character.
        return codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def codec_of(label: str | None) -> str | None:
    """None: no label, or none that the web knows."""
    if label is None or not _LABEL.fullmatch(label):
        return None
    try:
        return _CODECS.get(codecs.lookup(label).name)
    except LookupError:
        return None


def _in_head(data: bytes) -> str | None:
    found = _IN_META.search(data[:_HEAD_BYTES])
    named = codec_of(found[1].decode("ascii", "replace")) if found else None
    # Bytes in which this could be read are not of two bytes a character.
    return "utf-8" if named is not None and named.startswith("utf-16") else named
