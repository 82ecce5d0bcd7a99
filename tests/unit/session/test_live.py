"""A follower reads a response in the making by a cursor, and gets a contiguous prefix of each part."""

import random
from typing import Any

import pytest

from managedagents.v1 import stream_pb2
from managedagents_server.providers.base import Delta
from managedagents_server.session.live import LiveCursor, LiveResponse

WORDS = "Ein Bär ißt 蜂蜜 🍯 und sagt: ñam."


@pytest.fixture
def live() -> LiveResponse:
    return LiveResponse("rsp_1_1", 2)


def add(live: LiveResponse, part: int, piece: str) -> None:
    live.add(Delta(part, "text", piece))


def read(live: LiveResponse, cursor: LiveCursor) -> list[tuple[int, int, str]]:
    return [(delta.part, delta.offset, delta.text) for delta in live.after(cursor)]


def piece_of(delta: stream_pb2.StreamDelta) -> str:
    match delta.WhichOneof("piece"):
        case "text":
            return delta.text
        case "thinking":
            return delta.thinking
        case _:
            return delta.tool_input.input_json


def test_a_cursor_reads_only_what_is_new(live: LiveResponse) -> None:
    cursor = LiveCursor()
    assert read(live, cursor) == []
    add(live, 0, "one ")
    assert read(live, cursor) == [(0, 0, "one ")]
    assert read(live, cursor) == []
    add(live, 0, "two")
    add(live, 1, "three")
    assert read(live, cursor) == [(0, 4, "two"), (1, 0, "three")]


def test_who_comes_late_gets_each_part_from_its_beginning(live: LiveResponse) -> None:
    for part, piece in ((0, "a"), (0, "b"), (1, "c"), (2, "d")):
        add(live, part, piece)
    assert read(live, LiveCursor()) == [(0, 0, "ab"), (1, 0, "c"), (2, 0, "d")]


def test_two_cursors_do_not_disturb_each_other(live: LiveResponse) -> None:
    early, late = LiveCursor(), LiveCursor()
    add(live, 0, "a")
    assert read(live, early) == [(0, 0, "a")]
    add(live, 0, "b")
    assert read(live, early) == [(0, 1, "b")]
    assert read(live, late) == [(0, 0, "ab")]


def test_offsets_are_in_bytes_and_pieces_in_whole_characters(live: LiveResponse) -> None:
    cursor = LiveCursor()
    for letter in "ä蜂🍯e":
        add(live, 0, letter)
        live_read = read(live, cursor)
        assert [text for _, _, text in live_read] == [letter]
    add(live, 0, "!")
    assert read(live, cursor) == [(0, len("ä蜂🍯e".encode()), "!")]


def test_what_grows_while_a_piece_is_sent_is_sent_before_the_next_part(live: LiveResponse) -> None:
    add(live, 0, "a")
    reading = live.after(LiveCursor())
    assert next(reading).text == "a"
    add(live, 0, "b")
    add(live, 1, "c")
    assert [(delta.part, delta.offset, delta.text) for delta in reading] == [(0, 1, "b"), (1, 0, "c")]


def test_an_answer_that_is_on_its_way_to_the_log_is_told_no_further(live: LiveResponse) -> None:
    cursor = LiveCursor()
    add(live, 0, "a")
    reading = live.after(cursor)
    assert next(reading).text == "a"
    add(live, 0, "b")
    live.closed = True
    assert list(reading) == []
    assert read(live, LiveCursor()) == []


def test_a_delta_says_which_attempt_at_which_response_it_is_a_piece_of(live: LiveResponse) -> None:
    live.add(Delta(0, "thinking", "hm"))
    live.add(Delta(1, "tool_input", '{"a"', "deploy"))
    thinking, tool = live.after(LiveCursor())
    assert (thinking.response_id, thinking.attempt, thinking.thinking) == ("rsp_1_1", 2, "hm")
    assert (tool.part, tool.tool_input.name, tool.tool_input.input_json) == (1, "deploy", '{"a"')


@pytest.mark.parametrize("seed", range(20))
def test_whenever_a_follower_reads_its_pieces_are_a_contiguous_prefix_of_each_part(
    live: LiveResponse, seed: int
) -> None:
    chance = random.Random(seed)
    kinds: list[Any] = [chance.choice(("text", "thinking", "tool_input")) for _ in range(4)]
    cursor = LiveCursor()
    got: dict[int, bytes] = {}

    def look() -> None:
        for delta in live.after(cursor):
            assert delta.offset == len(got.get(delta.part, b""))
            assert all(len(got.get(earlier, b"")) == len(WORDS.encode()) for earlier in range(delta.part))
            got[delta.part] = got.get(delta.part, b"") + piece_of(delta).encode()

    for part, kind in enumerate(kinds):
        start = 0
        while start < len(WORDS):
            end = start + chance.randint(1, 5)
            live.add(Delta(part, kind, WORDS[start:end]))
            start = end
            if chance.random() < 0.5:
                look()
    look()
    assert got == dict.fromkeys(range(4), WORDS.encode())
