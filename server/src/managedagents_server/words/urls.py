"""Addresses of HTTP. A base URL is one below which paths are put."""

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, urlsplit

_PORTS = {"http": 80, "https": 443}
_MOST = 2048
_NAME = re.compile(r"(?=.{1,253}$)[\w-]{1,63}(\.[\w-]{1,63})*")
_IN_BRACKETS = re.compile(r"\[([^%\]]+)\](:\d*)?")


def is_base_url(text: str) -> bool:
    """Without a query, and without a password."""
    return is_url(text) and not urlsplit(text).query


def is_url(text: str) -> bool:
    """Without a password, which could be read wherever the URL stands."""
    if not text.isprintable() or " " in text or len(text) > _MOST:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    extra = parts.fragment or parts.username is not None or parts.password is not None
    return parts.scheme in _PORTS and _is_host(parts) and port != 0 and not extra


def _is_host(parts: SplitResult) -> bool:
    if "[" not in parts.netloc:
        return _NAME.fullmatch((parts.hostname or "").rstrip(".")) is not None
    found = _IN_BRACKETS.fullmatch(parts.netloc)
    try:
        return found is not None and bool(IPv6Address(found[1]).packed)
    except ValueError:
        return False


def canonical(url: str) -> str:
    """One spelling for one base URL. What differs in more than case, the usual port, or a dot or slash at the end, is
    another."""
    parts = urlsplit(url)
    host = host_of(url)
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port is None or parts.port == _PORTS[parts.scheme] else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def host_of(url: str) -> str:
    """Lower case, without brackets, without the dot that a full domain name may end with."""
    return (urlsplit(url).hostname or "").rstrip(".")
