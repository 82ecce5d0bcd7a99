"""Where things stand in a text."""

import json
import string
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from managedagents import DefinitionError, FieldViolation
from managedagents._document import Document

TEXT = """\
name: weather
model: &model
  scripted:
    responses:
      - text: Hello.
        toolCalls: [{name: weather, input: {city: Oslo}}]
tools:
  - bash:
  - custom:
      name: weather
      input_schema:
        properties: {city: {type: string}}
metadata:
  a.b: x
  a: y
  camelCase: z
"""


def document(text: str, name: str = "a.yaml") -> Document:
    return Document(text.encode(), name)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", "1:1"),
        ("name", "1:1"),
        ("model.scripted.responses[0].text", "5:9"),
        # Keys that are spelled in another way than the path, which is the server's.
        ("model.scripted.responses[0].tool_calls[0].input_json", "6:37"),
        ("tools[1].custom.input_schema_json", "11:7"),
        ("metadata.a.b", "14:3"),
        ("metadata[a.b]", "14:3"),
        ("metadata[a]", "15:3"),
        ("metadata[camelCase]", "16:3"),
        ("tools[0]", "8:5"),
        # What is not there: the last on the way to it.
        ("tools[0].bash.x", "8:5"),
        ("tools[7].custom", "7:1"),
        ("tools[1].custom.description", "9:5"),
        ("system", "1:1"),
        # A list that stands where the path has a message that only holds one.
        ("tools.tools[1].custom.name", "10:7"),
    ],
)
def test_a_path_is_found_in_the_text(path: str, place: str) -> None:
    assert document(TEXT).place(path) == f"a.yaml:{place}"


def test_what_is_merged_in_is_found_where_it_is_written() -> None:
    text = "base: &base {a: 1, b: 2}\nuse:\n  <<: *base\n  b: 3\n"
    assert document(text).values["use"] == {"a": 1, "b": 3}
    assert document(text).place("use.a") == "a.yaml:1:14"
    assert document(text).place("use.b") == "a.yaml:4:3"
    assert not document(text).duplicates


def test_violations_come_in_the_order_of_the_text() -> None:
    found = document(TEXT).placed([FieldViolation("metadata.a", "x"), FieldViolation("name", "y")])
    assert [str(violation) for violation in found] == ["a.yaml:1:1: name: y", "a.yaml:15:3: metadata.a: x"]


@pytest.mark.parametrize(
    ("text", "path", "place", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", "3:1", 1),
        ('a: 1\n"a": 3\n', "a", "2:1", 1),
        ("x:\n- {a: 1}\n- {b: {c: 1, c: 2}}\n", "x[1].b.c", "3:14", 3),
        ('{\n\t"a": {"b": 1,\n\t"b": 2}}', "a.b", "3:2", 2),
    ],
)
def test_a_key_that_stands_twice_is_found(text: str, path: str, place: str, line: int) -> None:
    found = document(text)
    assert [str(violation) for violation in found.placed(found.duplicates)] == [
        f"a.yaml:{place}: {path}: stands in line {line} already"
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name: [", "1:8"),
        ("name: x\n  y: z\n", "2:4"),
        ("name: x\n\ty: z\n", "2:1"),
        ('name: x\ny: "\x07"\n', "2:5"),
        ("a: b\n---\nc: d\n", "2:1"),
        ("a: *b", "1:4"),
        ("a: !!int x", "1:4"),
        ('a: !!float ""', "1:4"),
        ("a: !!timestamp x", "1:4"),
        ("a: !!bool x", "1:4"),
        ("a: !!python/object:os.system {}", "1:4"),
        ("? [a]\n: b", "1:3"),
    ],
)
def test_a_text_that_cannot_be_read_is_told_with_its_place(text: str, place: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        document(text)
    assert caught.value.violations[0].place == f"a.yaml:{place}"
    assert "\n" not in caught.value.message


def test_the_line_itself_is_not_quoted() -> None:
    with pytest.raises(DefinitionError) as caught:
        document("model: {provider_model: {api_key: KEYMARK-1, x: [}}")
    assert "KEYMARK" not in str(caught.value)


def test_a_file_that_calls_itself_json_is_judged_as_json() -> None:
    with pytest.raises(DefinitionError, match=r"^a\.json:3:1: this is no JSON"):
        document('{\n\t"a": 1,\n}', "a.json")
    assert document("{a: 1,}", "a.json").values == {"a": 1}, "what is read as YAML is no error"


def test_json_with_tabs_and_pairs_of_surrogates_is_read_as_json() -> None:
    found = document('{\r\n\t"a": "\\ud83d\\ude00\\/", "b": 1e3}')
    assert found.values == {"a": "😀/", "b": 1000.0}
    assert found.place("b") == "a.yaml:2:25"


def test_json_that_is_no_yaml_is_read_without_places() -> None:
    found = document(json.dumps({"k" * 2000: 1}))
    assert found.values == {"k" * 2000: 1}
    assert found.place("k" * 2000) == "a.yaml"


def test_a_date_is_the_text_that_it_is_written_as() -> None:
    assert document("a: 2024-01-31\nb: 2024-13-45\n").values == {"a": "2024-01-31", "b": "2024-13-45"}


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40)),
        "a0: &a0 {x: y}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(40)),
        "&a [*a]",
        "a: &a {b: *a}",
    ],
)
def test_a_text_that_means_too_much_is_refused_before_it_is_unfolded(text: str) -> None:
    with pytest.raises(DefinitionError, match="means more than 1,000,000 values"):
        document(text)


@pytest.mark.parametrize("text", ["[" * 20_000, "[" * 20_000 + "]" * 20_000, "{a: " * 5_000])
def test_a_text_that_is_nested_too_deeply_is_told(text: str) -> None:
    with pytest.raises(DefinitionError, match="is nested too deeply"):
        document(text)


def test_bytes_that_are_no_utf_8_are_told_and_a_mark_of_the_byte_order_is_left_out() -> None:
    with pytest.raises(DefinitionError, match=r"a\.yaml is no UTF-8 text"):
        Document(b"name: \xff", "a.yaml")
    assert Document(b'\xef\xbb\xbf{"a": 1}', "a.yaml").values == {"a": 1}
    assert Document(b"\xef\xbb\xbfa: 1", "a.yaml").values == {"a": 1}


YAMLISH = st.lists(
    st.sampled_from([*string.printable, "&a", "*a", "<<: ", "!!int ", "!!set ", "\ud7ff", "é", ": ", "\n- "])
)


@given(YAMLISH.map("".join))
def test_whatever_is_written_is_read_or_told(text: str) -> None:
    with suppress(DefinitionError):
        assert document(text).place("x.y[0]").startswith("a.yaml")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="ab .[]:#", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def paths(values: Any, path: str = "") -> list[tuple[str, str]]:
    """Every path with the key or, in a list, with nothing."""
    found: list[tuple[str, str]] = []
    if isinstance(values, dict):
        for key, value in values.items():
            here = f"{path}.{key}" if path else key
            found += [(here, key), *paths(value, here)]
    elif isinstance(values, list):
        for index, value in enumerate(values):
            found += [(f"{path}[{index}]", ""), *paths(value, f"{path}[{index}]")]
    return found


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), PLAIN, max_size=4), st.booleans())
def test_every_key_is_found_where_it_is_written(values: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(values, default_flow_style=flow, sort_keys=False)
    found = document(text)
    assert found.values == values
    lines = text.split("\n")
    for path, key in paths(values):
        _, line, column = found.place(path).split(":")
        assert lines[int(line) - 1][int(column) - 1 :].lstrip("'\"?").startswith(key)
