"""The operator's file about MCP servers: what it may say, and how it is told what is wrong."""

import sys
from pathlib import Path

import pytest

from managedagents_server.tools.mcp.operator_file import Configured, McpServersFault, read


def written(folder: Path, text: str) -> Path:
    file = folder / "mcp.toml"
    file.write_text(text)
    return file


def test_a_server_is_a_command_or_a_url(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    file = written(
        tmp_path,
        f"""
        [servers.files]
        command = "{sys.executable}"
        args = ["-m", "files"]
        env = {{CITY = "Oslo"}}
        cwd = "work"

        [servers.search]
        url = "https://mcp.example.com/sse?team=a"
        credential = "search"
        sse = true
        """,
    )
    assert read(file) == {
        "files": Configured(sys.executable, ("-m", "files"), {"CITY": "Oslo"}, str(tmp_path / "work")),
        "search": Configured(url="https://mcp.example.com/sse?team=a", credential="search", sse=True),
    }


def test_a_file_may_say_nothing(tmp_path: Path) -> None:
    assert read(written(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("servers = 1", "it holds tables [servers.NAME], and nothing else"),
        ("[server.a]", "it holds tables [servers.NAME], and nothing else"),
        ("[servers]\na = 1", "[servers.a] must be a table"),
        ("[servers.a]", "[servers.a] needs a command or a url, and only one"),
        ("[servers.a]\ncommand = 'sh'\nurl = 'http://a.example'", "[servers.a] needs a command or a url, and only one"),
        ("[servers.a]\ncommand = 'no-such-program'", "[servers.a] command: there is no program 'no-such-program'"),
        ("[servers.a]\ncommand = 'sh'\nsse = true", "[servers.a] sse: is not known here; known are args"),
        ("[servers.a]\ncommand = 'sh'\nargs = 'b'", "[servers.a] args: must be a list of texts"),
        ("[servers.a]\ncommand = 'sh'\nenv = {A = 1}", "[servers.a] env: must be a table of texts"),
        ("[servers.a]\ncommand = 'sh'\ncwd = 'nowhere'", "[servers.a] cwd: there is no folder"),
        ("[servers.a]\nurl = 'https://me:secret@a.example'", "[servers.a] url: must be an http or https address"),
        ("[servers.a]\nurl = 'https://a.example'\nsse = 1", "[servers.a] sse: must be true or false"),
        ("[servers.a", "it is no TOML"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(McpServersFault) as caught:
        read(written(tmp_path, text))
    assert fault in str(caught.value)
    assert "secret" not in str(caught.value)
    assert str(tmp_path / "mcp.toml") in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(McpServersFault, match="cannot be read: No such file"):
        read(tmp_path / "none.toml")
