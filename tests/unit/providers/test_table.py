"""The table of models."""

import pytest

from managedagents_server.providers import names
from managedagents_server.providers.table import Row, Table


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        *(
            (name, names.OPENAI)
            for name in ("gpt-4.1", "chatgpt-4o-latest", "o1", "o3-mini", "o9-x", "ft:gpt-4o:us::1")
        ),
        *((name, names.ANTHROPIC) for name in ("claude-sonnet-4-5", "claude-3-haiku-20240307")),
        *((name, names.GEMINI) for name in ("gemini-2.5-pro", "gemini-3-flash-preview")),
        *((name, names.OLLAMA) for name in ("qwen3:8b", "gpt-oss:20b", "hf.co/someone/model:Q4_K_M", "o1:latest")),
    ],
)
def test_a_name_alone_picks_its_provider(name: str, provider: str) -> None:
    row = Table().find(name)
    assert row is not None
    assert row.provider == provider


@pytest.mark.parametrize("name", ["gpt4", "o", "o0", "ollama", "mistral-large", "GPT-4", "a:b:c", ":a", "a:", ":", ""])
def test_a_name_that_fits_no_row(name: str) -> None:
    assert Table().find(name) is None


def test_rows_of_the_operator_come_first_and_the_longest_prefix_wins() -> None:
    table = Table(
        [
            Row("", names.OPENAI_COMPATIBLE, "http://any"),
            Row("gpt-", names.OPENAI_COMPATIBLE, "http://short"),
            Row("gpt-5", names.OPENAI_COMPATIBLE, "http://long"),
            Row("", names.OLLAMA, "http://tagged", tagged=True),
        ]
    )
    found = {name: row.base_url for name in ("claude-1", "gpt-4", "gpt-5.1", "qwen3:8b") if (row := table.find(name))}
    assert found == {
        "claude-1": "http://any",
        "gpt-4": "http://short",
        "gpt-5.1": "http://long",
        "qwen3:8b": "http://tagged",
    }


def test_a_row_is_found_by_provider_and_model() -> None:
    tiny = Row("tiny", names.OPENAI_COMPATIBLE, tools=False)
    table = Table([tiny])
    assert table.row(names.OPENAI_COMPATIBLE, "tiny-1") is tiny
    assert table.row(names.OLLAMA, "tiny-1") is None


def test_windows() -> None:
    table = Table([Row("gpt-", names.OPENAI), Row("gpt-4.1", names.OPENAI, window=1000)])
    assert table.window(names.OPENAI, "gpt-4.1-mini") == 1000
    assert table.window(names.OPENAI_COMPATIBLE, "gpt-4.1-mini") == 0
    # Those that stand in no row are what the providers publish.
    assert table.window(names.OPENAI, "gpt-4o") == 128_000
    assert table.window(names.ANTHROPIC, "claude-sonnet-4-5") == 200_000
    assert table.window(names.OLLAMA, "qwen3:8b") == 0
    assert table.window(names.OPENAI, "gpt-nobody-knows") == 0
    assert table.window(names.GEMINI, "gemini-nobody-knows") == 1_048_576
