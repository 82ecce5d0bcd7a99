"""What models call the tools of servers."""

import re

import pytest

from managedagents_server.words.mcp_names import shown_name

_EVERYBODY_TAKES = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def test_a_plain_name_is_as_one_would_write_it() -> None:
    assert shown_name("github", "create-issue") == "github__create-issue"


@pytest.mark.parametrize(
    ("server", "tool"),
    [
        ("9to5", "get"),
        ("-", "a"),
        ("my server", "get.weather"),
        ("s", "x" * 300),
        ("s" * 300, "x"),
        ("", ""),
        ("é", "ß"),
    ],
)
def test_every_provider_takes_it(server: str, tool: str) -> None:
    assert _EVERYBODY_TAKES.fullmatch(shown_name(server, tool))


def test_no_two_tools_have_the_same() -> None:
    pairs = [
        ("a", "b.c"),
        ("a", "b_c"),
        ("a", "b c"),
        ("a", "b__c"),
        ("a__b", "c"),
        ("a_", "b"),
        ("a", "_b"),
        ("a.", "b"),
        ("s", "x" * 100),
        ("s", "x" * 101),
        ("s" * 70, "x"),
        ("s" * 70, "y"),
    ]
    assert len({shown_name(*pair) for pair in pairs}) == len(pairs)


def test_it_stays_the_same() -> None:
    assert shown_name("a", "b.c") == "a__b_c_f07528eb9a"
