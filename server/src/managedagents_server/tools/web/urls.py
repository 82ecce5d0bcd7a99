"""Which URLs are followed at all. A model wrote them, or a page that redirects: somebody who may want the server to
look where he himself cannot."""

from yarl import URL

from managedagents_server.tools.web.answer import NotReached
from managedagents_server.words.addresses import Addresses, AddressNotAllowed

_USUAL_PORTS = frozenset({80, 443})
_FIRST_OF_USERS = 1024
"""The ports below belong to other protocols: mail, names, remote shells."""

MOST_CHARS = 4096


def checked(text: str, addresses: Addresses, base: URL | None = None) -> URL:
    """What is connected to is the URL that was checked: it is read once, here. What a name resolves to is checked when
    it is connected to. Raises NotReached. `base`: the page that redirects; `text` may be relative to it."""
    if len(text) > MOST_CHARS:
        raise NotReached(f"the URL is longer than {MOST_CHARS:,} characters")
    try:
        url = URL(text.strip())
        if base is not None:
            url = base.join(url)
        port, host = url.port, (url.host or "").rstrip(".").lower()
    except ValueError as error:
        raise NotReached(f"the URL cannot be read: {error}") from error
    if url.scheme not in ("http", "https"):
        raise NotReached("only http:// and https:// URLs are read, written out in full")
    if url.user is not None or url.password is not None:
        raise NotReached("a URL with a user name or a password in it is not read; leave out what stands before the @")
    if not host:
        raise NotReached("the URL names no host")
    if port is None or (port not in _USUAL_PORTS and port < _FIRST_OF_USERS):
        raise NotReached(f"port {port} is not the web's; it must be 80, 443 or {_FIRST_OF_USERS} and above")
    try:
        addresses.check_host(host)
    except AddressNotAllowed as error:
        raise NotReached(str(error)) from error
    return url.with_fragment(None)
