"""Base URLs."""

import pytest

from managedagents_server.words.urls import canonical, host_of, is_base_url


@pytest.mark.parametrize(
    "url", ["https://example.org", "http://[::1]:80/v1/", "HTTP://host/a/b", "http://127.1./", "http://a_b-c"]
)
def test_base_urls(url: str) -> None:
    assert is_base_url(url)


@pytest.mark.parametrize(
    "text",
    [
        *("", "example.org/v1", "ftp://example.org", "http://", "http:///v1", "http://.", "http://host:x/"),
        *("http://host:0", "file:///x", "http://user:word@host/", "http://@host", "http://host/?a=b", "http://host/#a"),
        *("http://ho st/", "http://host\n/", "http://[::1", "http://host\\@other/", "http://host\\.other/"),
        *("http://a|b", "http://a%2eb/", "http://a..b/", "http://.a/", "http://a,b", "http://*.org", "http://ⓗⓞⓢⓣ/"),
        *("http://[::1]x/", "http://[v1.a]/", "http://[fe80::1%25lo]/", "http://[fe80::1%lo]/"),
        *("http://" + "a" * 64, "http://h/" + "a" * 2048),
    ],
)
def test_what_is_no_base_url(text: str) -> None:
    assert not is_base_url(text)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("HTTPS://Example.ORG:443/v1/", "https://example.org/v1"),
        ("http://host:80", "http://host"),
        ("http://host./v1", "http://host/v1"),
        ("http://[::1]:8080//", "http://[::1]:8080"),
        ("https://host:80/V1", "https://host:80/V1"),
    ],
)
def test_one_spelling(url: str, same: str) -> None:
    assert canonical(url) == same
    assert canonical(same) == same


@pytest.mark.parametrize(
    "other", ["http://host/v1", "https://host:444/v1", "https://host/V1", "https://host/v1/../v1", "https://host/%761"]
)
def test_what_stays_another(other: str) -> None:
    assert canonical(other) != canonical("https://host/v1")


def test_the_host() -> None:
    assert host_of("http://Example.org.:80/v1") == "example.org"
    assert host_of("http://[FE80::1]/") == "fe80::1"
