"""What a provider's words promise by the time that they are stored and shown."""

import base64
import html
import json
from urllib.parse import quote

import pytest

from managedagents_server.providers.texts import well_formed, without

SECRET = 'KEYMARK-a"b\\c+d/e=<f>'


def in_base64(before: str, after: str) -> str:
    return base64.b64encode((before + SECRET + after).encode()).decode()


@pytest.mark.parametrize(
    "echo",
    [
        SECRET,
        json.dumps(SECRET),
        repr({"key": SECRET}),
        repr(json.dumps(SECRET)),
        html.escape(SECRET),
        quote(SECRET, safe=""),
        SECRET.encode().hex(),
        SECRET[:14] + "…",
        "…" + SECRET[-14:],
    ],
)
def test_a_secret_is_hidden_in_whatever_form_it_is_told_back(echo: str) -> None:
    shown = without(SECRET, f"before {echo} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "[key]" in shown
    assert not any(echo[start : start + 12] in shown for start in range(len(echo) - 11) if echo[start] not in "\"'{")


@pytest.mark.parametrize("before", ["", "B", "Be", "Bearer ", "user:", "name:"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_also_in_the_midst_of_base64(before: str, after: str) -> None:
    shown = without(SECRET, f"the header was {in_base64(before, after)}!")
    assert shown.startswith("the header was ")
    assert "[key]" in shown
    assert len(shown) <= len("the header was [key]!") + len(before) * 2 + 12


def test_other_words_stay_as_they_are() -> None:
    words = "the model is overloaded; ask again in 20 s: a+b/c=d"
    assert without(SECRET, words) == words
    assert without("", words) == words
    assert without("short", "a short word") == "a [key] word"


def test_halves_of_characters_are_joined_or_replaced() -> None:
    assert well_formed("a\ud83d\ude00b\ud800") == "a\U0001f600b\ufffd"
