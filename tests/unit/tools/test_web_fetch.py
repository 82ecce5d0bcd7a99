"""One page is read, whatever it is; and no page, name or redirect leads where it may not."""

import asyncio
import gzip
import json
import signal
import socket
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator

from managedagents_server.tools.base import Outcome, Place
from managedagents_server.tools.web.fetch import WebFetch
from managedagents_server.words.addresses import Addresses
from support.pages import Handler, page, pages, raw, redirect

pytestmark = pytest.mark.long

HERE = Addresses([ip_network("127.0.0.1/32")])
PLACE = Place(Path("/nonexistent"), 1)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
MIB = 1024 * 1024


async def fetch(url: str, *, addresses: Addresses = HERE, seconds: float = 20.0, **given: Any) -> Outcome:
    tool = WebFetch(addresses, seconds=seconds)
    Draft202012Validator(json.loads(tool.declaration.input_schema_json)).validate({"url": url, **given})
    return await tool.run({"url": url, **given}, PLACE)


async def fetched(answer: Handler, **given: Any) -> Outcome:
    async with pages({"/p": answer}) as served:
        return await fetch(f"{served.url}/p", **given)


def said(outcome: Outcome) -> str:
    assert not outcome.is_error, outcome
    return outcome.content[0].text.text


def fault(outcome: Outcome) -> str:
    assert outcome.is_error, outcome
    (content,) = outcome.content
    return content.text.text


def body(outcome: Outcome) -> str:
    return said(outcome).partition("\n\n")[2]


# What is read


async def test_a_page_comes_as_markdown_with_its_title_and_absolute_links() -> None:
    html = """<!doctype html><html><head><title>A &amp; B</title><style>p {}</style><script>alert(1)</script></head>
    <body><nav><a href="/n">elsewhere</a></nav><h1>Head</h1><p>Some <b>bold</b> <a href="../x?y=1">link</a></p>
    <p hidden>not shown</p><pre><code>a  b
      c</code></pre><table><tr><th>k</th><th>v</th></tr><tr><td>1</td><td>2</td></tr></table></body></html>"""
    async with pages({"/a/b": page(html)}) as served:
        text = said(await fetch(f"{served.url}/a/b"))
    assert text.startswith(f"{served.url}/a/b (text/html)\nTitle: A & B\n\n# Head\n\n")
    assert f"Some **bold** [link]({served.url}/x?y=1)" in text
    assert "```\na  b\n      c\n```" in text
    assert "| 1 | 2 |" in text.replace("  ", " ")
    assert not any(word in text for word in ("alert", "p {}", "not shown", "elsewhere"))


@pytest.mark.parametrize(
    ("content_type", "words"),
    [("application/json", '{"a":  [1]}'), ("text/plain; charset=utf-8", "<b>as  it is</b>\n\tä\n"), (None, "bare")],
)
async def test_text_and_json_come_as_they_are(content_type: str | None, words: str) -> None:
    assert body(await fetched(page(words, content_type))) == words


async def test_the_server_says_honestly_who_it_is_and_the_place_does_not_matter() -> None:
    async with pages({"/p": page("x", "text/plain")}) as served:
        await fetch(f"{served.url}/p#part")
    (request,) = served.requests
    assert request.headers["User-Agent"].startswith("managedagents/")
    assert request.path_qs == "/p"
    assert "Cookie" not in request.headers


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(9), "image/jpeg"),
        (b"GIF89a" + bytes(9), "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP" + bytes(9), "image/webp"),
    ],
)
async def test_pictures_come_as_pictures_and_as_what_they_are(data: bytes, kind: str) -> None:
    outcome = await fetched(page(data, "text/html"))
    assert not outcome.is_error
    told, picture = outcome.content
    assert told.text.text.endswith(f"({kind})")
    assert (picture.image.data, picture.image.media_type) == (data, kind)


@pytest.mark.parametrize(
    ("data", "content_type", "words"),
    [
        (PNG + bytes(2 * MIB), "image/png", "is a picture (image/png) of 2,097,260 bytes; the largest"),
        (PNG + bytes(6 * MIB), "image/png", "too large"),
        (b"%PDF-1.7\n\x00", "application/pdf", "is a PDF of 10 bytes; this tool reads no PDF"),
        (b"%PDF-1.7 text", "text/html", "this tool reads no PDF"),
        (b"PK\x03\x04\x00\x00", "application/zip", "is a binary file (application/zip) of 6 bytes"),
        (b"\x7fELF\x00\x01", None, "is a binary file (of an unknown type)"),
        (b"\x00\x00\x00\x20ftypmp42", "text/plain", "is a binary file (text/plain)"),
        (b"words", "video/mp4", "is a binary file (video/mp4)"),
    ],
)
async def test_what_is_not_read_is_named(data: bytes, content_type: str | None, words: str) -> None:
    assert words in fault(await fetched(page(data, content_type)))


async def test_a_status_that_is_none_of_success_is_an_error_with_some_of_the_page() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503, text=f"<p>down for <i>repair</i><p>{'x' * 9000}", content_type="text/html")

    words = fault(await fetched(answer))
    assert words.startswith("HTTP 503 Service Unavailable: http://127.0.0.1")
    assert "down for *repair*" in words
    assert len(words) < 2200


async def test_an_error_with_a_body_that_is_not_read_is_told_with_its_status() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=404, body=PNG, content_type="image/png")

    assert fault(await fetched(answer)).startswith("HTTP 404 Not Found: ")


async def test_long_text_is_cut_and_the_note_leads_to_the_rest() -> None:
    words = "".join(f"{n:09}\n" for n in range(1200))
    async with pages({"/p": page(words, "text/plain")}) as served:
        first = said(await fetch(f"{served.url}/p", max_chars=5000))
        assert first.endswith('\n\n[Characters 0 to 5000 of 12000. For what follows, call again with "start": 5000.]')
        second = said(await fetch(f"{served.url}/p", max_chars=5000, start=5000))
        third = said(await fetch(f"{served.url}/p", max_chars=5000, start=10_000))
        assert third.endswith("[Characters 10000 to 12000 of 12000: this is the end.]")
        assert "nothing begins at start 12000" in fault(await fetch(f"{served.url}/p", start=12_000))
    assert "".join(text.split("\n\n")[1] + "\n" for text in (first, second, third)).replace("\n\n", "\n") == words


async def test_a_page_without_text_says_so() -> None:
    assert "There is no text" in said(await fetched(page("<html><body><div id=app></div><script>x()</script>")))


# Charsets


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ("Grüße €".encode(), "text/html; charset=utf-8"),
        ("Grüße €".encode(), "text/html"),
        ("Grüße €".encode("cp1252"), "text/html; charset=ISO-8859-1"),
        ("Grüße €".encode("cp1252"), "text/html"),
        ("Grüße €".encode("iso8859-15"), 'text/html; charset="iso-8859-15"'),
        (b"<meta charset=iso-8859-15>" + "Grüße €".encode("iso8859-15"), "text/html"),
        (
            b'<meta http-equiv="Content-Type" content="text/html; charset=windows-1252">' + "Grüße €".encode("cp1252"),
            "text/html",
        ),
        ("\ufeffGrüße €".encode("utf-16-le"), "text/html"),
        ("Grüße €".encode("utf-16-be"), "text/html; charset=utf-16be"),
        ("\ufeffGrüße €".encode(), "text/html; charset=koi8-r"),
        ("Grüße €".encode("gb18030"), "text/html; charset=gb2312"),
        # None that there are, and those that are no charsets of the web.
        ("Grüße €".encode(), "text/html; charset=klingon"),
        ("Grüße €".encode(), "text/html; charset=unicode_escape"),
        ("Grüße €".encode(), "text/html; charset=zlib_codec"),
        ("Grüße €".encode(), "text/html; charset=../../etc"),
        (b"<meta charset=idna>" + "Grüße €".encode(), "text/html; charset"),
    ],
)
async def test_a_charset_is_found_wherever_it_is_said(data: bytes, content_type: str) -> None:
    assert body(await fetched(page(data, content_type))) == "Grüße €"


async def test_bytes_that_are_not_of_the_charset_are_marked_and_the_rest_is_read() -> None:
    assert body(await fetched(page(b"a\xffb", "text/plain; charset=utf-8"))) == "a\ufffdb"


# Redirects


async def test_redirects_are_followed_to_the_page_and_it_is_told_where_that_is() -> None:
    answers = {
        "/1": redirect("/2", 301),
        "/2": redirect("3?q=ä", 303),
        "/3": redirect("//127.0.0.1:{port}/4", 307),
        "/4": page("there", "text/plain"),
    }
    async with pages(answers) as served:
        answers["/3"] = redirect(f"//{served.url.removeprefix('http://')}/4", 308)
        assert said(await fetch(f"{served.url}/1")) == f"{served.url}/4 (text/plain)\n\nthere"


async def test_cookies_live_as_long_as_the_redirects_of_one_call() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if "seen" in request.cookies:
            return web.Response(text="in")
        return web.Response(status=302, headers={"Location": "/p", "Set-Cookie": "seen=1"})

    async with pages({"/p": answer}) as served:
        url = served.url.replace("127.0.0.1", "localhost")
        tool = WebFetch(HERE)
        for _ in range(2):
            assert said(await tool.run({"url": f"{url}/p"}, PLACE)).endswith("in")
    assert len(served.requests) == 4


async def test_a_loop_of_redirects_ends_after_five() -> None:
    async with pages({"/p": redirect("/p")}) as served:
        assert "more than 5 redirects" in fault(await fetch(f"{served.url}/p"))
    assert len(served.requests) == 6


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.2/", "has no public address"),
        ("http://169.254.169.254/latest/meta-data/", "has no public address"),
        ("http://[::1]/", "has no public address"),
        ("//2130706434/", "has no public address"),
        ("file:///etc/passwd", "only http:// and https://"),
        ("javascript:alert(1)", "only http:// and https://"),
        ("http://a:b@127.0.0.1/", "user name or a password"),
        ("http://127.0.0.1:22/", "port 22"),
        ("http://[/", "cannot be read"),
    ],
)
async def test_a_redirect_is_checked_like_a_first_url(location: str, words: str) -> None:
    said = fault(await fetched(redirect(location)))
    assert words in said
    assert "/p redirects to" in said


async def test_a_redirect_without_a_location_is_an_error() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=302, text="where?")

    assert fault(await fetched(answer)).startswith("HTTP 302 Found")


# Where nobody may lead


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "only http:// and https://"),
        ("ftp://example.org/", "only http:// and https://"),
        ("gopher://example.org/", "only http:// and https://"),
        ("data:text/html,hi", "only http:// and https://"),
        ("example.org/page", "only http:// and https://"),
        ("//example.org/page", "only http:// and https://"),
        ("http://", "names no host"),
        ("http:///etc/passwd", "names no host"),
        ("http://user@example.org/", "user name or a password"),
        ("http://user:password@example.org/", "user name or a password"),
        ("http://:@example.org/", "user name or a password"),
        ("http://example.org@127.0.0.1/", "user name or a password"),
        ("http://example.org:25/", "port 25"),
        ("http://example.org:0/", "port 0"),
        ("http://example.org:99999/", "cannot be read"),
        ("http://example.org:x/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
        ("http://\ud800/", "names no host"),
    ],
)
async def test_a_url_that_is_not_followed_says_what_is_wrong_with_it(url: str, words: str) -> None:
    assert words in fault(await WebFetch(Addresses()).run({"url": url}, PLACE))


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
        ),
        *("10.0.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "1.2.3.4.localhost", "127.0.0.1."),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "[fd00::1]", "[64:ff9b::127.0.0.1]"),
        "①②⑦.⓪.⓪.①",
    ],
)
async def test_no_spelling_of_an_address_that_is_not_public_is_connected_to(host: str) -> None:
    async with pages({"/p": page("secret", "text/plain")}) as served:
        port = served.url.rpartition(":")[2]
        words = fault(await fetch(f"http://{host}:{port}/p", addresses=Addresses()))
    assert "has no public address" in words
    assert not served.requests


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to, one answer after the other; the last one from then on."""
    answers: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host not in answers or more.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(host, port, *args, **more)
        address = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return real(address, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


async def test_a_name_that_resolves_to_an_address_that_is_not_public_is_not_connected_to(
    names: dict[str, list[str]],
) -> None:
    names["inside.example"] = ["127.0.0.1"]
    async with pages({"/p": page("secret", "text/plain")}) as served:
        port = served.url.rpartition(":")[2]
        words = fault(await fetch(f"http://inside.example:{port}/p", addresses=Addresses()))
        assert "inside.example has no public address" in words
        assert "--allow-address" in words
        assert "127.0.0.1" not in words
        assert not served.requests
        assert said(await fetch(f"http://inside.example:{port}/p")).endswith("secret")


async def test_a_name_that_means_another_address_at_the_next_redirect_is_checked_again(
    names: dict[str, list[str]],
) -> None:
    names["moving.example"] = ["127.0.0.1", "127.0.0.2"]
    async with pages({"/p": redirect("/q")}) as outside:
        port = int(outside.url.rpartition(":")[2])
        async with pages({"/q": page("secret", "text/plain")}, "127.0.0.2", port) as inside:
            words = fault(await fetch(f"http://moving.example:{port}/p"))
    assert "moving.example has no public address" in words
    assert len(outside.requests) == 1
    assert not inside.requests


async def test_a_name_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert "the host name has no address" in fault(await fetch("http://nowhere.example/"))


def test_a_page_may_be_read_again() -> None:
    assert WebFetch(HERE).repeatable({"url": "http://example.org/"})


async def test_nobody_at_an_address_is_an_error() -> None:
    async with pages({}) as served:
        pass
    assert "no connection: " in fault(await fetch(served.url))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of 127.0.0.1, signed by itself; and its key."""
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "made.pem", folder / "key.pem"
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", made),
        ),
        check=True,
        capture_output=True,
    )
    return made, key


async def test_a_secure_page_is_read_when_its_certificate_is_trusted_and_only_then(
    certificate: tuple[Path, Path],
) -> None:
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    own.load_cert_chain(*certificate)
    async with pages({"/p": page("secure", "text/plain")}, tls=own) as served:
        assert "no secure connection: " in fault(await fetch(f"{served.url}/p"))
        trusting = WebFetch(HERE, ssl.create_default_context(cafile=certificate[0]))
        assert said(await trusting.run({"url": f"{served.url}/p"}, PLACE)).endswith("secure")
    assert len(served.requests) == 1


# Bounds


@pytest.fixture
async def endless() -> AsyncIterator[tuple[str, asyncio.Event]]:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            writer.write(b"all work and no play\n" * 3000)
            await writer.drain()

    async with raw(answer) as served:
        yield served


async def test_of_a_body_without_end_the_beginning_is_read(endless: tuple[str, asyncio.Event]) -> None:
    url, gone = endless
    text = said(await fetch(url, start=5 * MIB - 21))
    assert "[The page is longer than what is read of one. What follows here cannot be had.]" in text
    assert f"of {5 * MIB}" in text
    await gone.wait()


async def test_a_body_that_trickles_ends_with_the_time_for_the_call() -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nfirst")
        await asyncio.Event().wait()

    async with raw(answer) as (url, gone):
        outcome = await fetch(url, seconds=0.3)
        assert outcome.timed_out
        assert "not read within 0.3 s" in fault(outcome)
        await gone.wait()


async def test_a_cancelled_call_hangs_up() -> None:
    asked = asyncio.Event()

    async def answer(_: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with raw(answer) as (url, gone):
        call = asyncio.create_task(fetch(url))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await gone.wait()


@pytest.mark.parametrize("wbits", [31, 15])
async def test_what_is_packed_is_unpacked(wbits: int) -> None:
    words = "words " * 40_000
    packing = zlib.compressobj(wbits=wbits)
    data = packing.compress(words.encode()) + packing.flush()
    encoding = {31: "gzip", 15: "deflate"}[wbits]
    answer = page(data, "text/plain", Content_Encoding=encoding)
    assert "of 240000." in said(await fetched(answer))
    assert body(await fetched(answer, start=239_998)).startswith("s \n\n[")


async def test_a_gzip_bomb_is_unpacked_no_further_than_a_page_may_be_long() -> None:
    bomb = gzip.compress(b"a" * (300 * MIB), 1)
    text = said(await fetched(page(bomb, "text/plain", Content_Encoding="gzip"), start=5 * MIB - 5))
    assert text.partition("\n\n")[2].startswith("aaaaa\n\n[Characters")
    assert f"of {5 * MIB}" in text
    assert "longer than what is read" in text


@pytest.mark.parametrize(
    ("data", "encoding", "words"),
    [
        (b"this is no gzip", "gzip", "cannot be unpacked"),
        (b"\x1b\x00\x00", "br", "packed as 'br'"),
        (gzip.compress(b"twice", mtime=0), "gzip, gzip", "packed as 'gzip, gzip'"),
    ],
)
async def test_what_cannot_be_unpacked_is_an_error(data: bytes, encoding: str, words: str) -> None:
    assert words in fault(await fetched(page(data, "text/plain", Content_Encoding=encoding)))


async def test_a_packed_page_that_breaks_off_is_read_so_far() -> None:
    data = gzip.compress(b"words " * 1000)
    text = said(await fetched(page(data[: len(data) // 2], "text/plain", Content_Encoding="gzip")))
    assert "longer than what is read" in text


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "broke the answer off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nnonsense\r\n", "answer cannot be read"),
        (b"", "broke the answer off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the server's answer cannot be read"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "the server's answer cannot be read"),
    ],
)
async def test_an_answer_that_is_not_http_or_breaks_off_is_an_error(answer: bytes, words: str) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.write_eof()

    async with raw(say) as (url, _):
        assert words in fault(await fetch(url))


async def test_headers_of_bytes_that_are_no_text_do_no_harm() -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 404 N\xff\r\nContent-Type: te\xffxt/\xfe; charset=\xff\r\n\r\n\xff\xfe\xfd")
        writer.write_eof()

    async with raw(say) as (url, _):
        assert "HTTP 404" in fault(await fetch(url))


# Hostile HTML


@pytest.mark.parametrize(
    "html",
    [
        "<p>one<p>two<b>three<i>four</b>five</i><table><td>six<tr></p></div>seven",
        "<html><body>one two three<!-- four -->five six seven",
        "<p>one two three five six <<<>>> &&& &#xD800; &#0; seven",
    ],
)
async def test_broken_html_is_read_all_the_same(html: str) -> None:
    text = said(await fetched(page(html)))
    assert all(word in text for word in ("one", "two", "three", "five", "six", "seven"))


async def test_a_line_of_megabytes_is_read() -> None:
    text = said(await fetched(page("<p>" + "a" * (4 * MIB)), max_chars=1000))
    assert "[Characters 0 to 1000 of 1000000." in text


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000 + "x",
        "<ul><li>" * 50_000 + "x",
        "<table><tr><td>" * 20_000 + "x",
        "<" * 5_000_000,
        "<a href='x'>" * 100_000 + "x",
        "<table><tr><td colspan=1000000000 rowspan=1000000000>x</table>",
    ],
    ids=["divs", "lists", "tables", "brackets", "links", "spans"],
)
async def test_html_made_to_choke_on_ends_in_time_and_the_event_loop_goes_on(html: str) -> None:
    loop = asyncio.get_running_loop()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    async with pages({"/p": page(html)}) as served:
        watching = asyncio.create_task(watch())
        outcome = await fetch(f"{served.url}/p", seconds=30)
        watching.cancel()
    assert outcome.content[0].text.text
    assert not outcome.timed_out
    assert longest < 0.5


WIDE = "<table><tr>" + "<td>a" * 1000 + "</tr>" + "<tr><td>b</tr>" * 300_000 + "</table>"
"""One row of a thousand cells makes each of the others as long: gigabytes of Markdown."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[asyncio.subprocess.Process]:
    """The child processes, as they are started."""
    seen: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
    real = asyncio.create_subprocess_exec

    async def create(*args: Any, **more: Any) -> asyncio.subprocess.Process:
        process = await real(*args, **more)
        seen.put_nowait(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", create)
    return seen


async def test_a_cancelled_call_leaves_no_process_behind(
    started: asyncio.Queue[asyncio.subprocess.Process],
) -> None:
    async with pages({"/p": page(WIDE)}) as served:
        call = asyncio.create_task(fetch(f"{served.url}/p"))
        process = await started.get()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    # It was waited for, too.
    assert await process.wait() == -signal.SIGKILL


async def test_a_page_that_becomes_gigabytes_costs_one_process_and_the_call_says_so(
    started: asyncio.Queue[asyncio.subprocess.Process], caplog: pytest.LogCaptureFixture
) -> None:
    words = fault(await fetched(page(WIDE)))
    assert "cannot be turned into text" in words
    assert started.get_nowait().returncode not in (0, None)
    assert "a child failed" in caplog.text
