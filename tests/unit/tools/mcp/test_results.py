"""What servers answer, as content for a model."""

import base64
from typing import Any

import mcp_types
import pytest

from managedagents_server.tools.base import Outcome
from managedagents_server.tools.mcp import IMAGES
from managedagents_server.tools.mcp.results import outcome
from unit.tools.mcp.helping import words
from unit.tools.mcp.raw_server import PNG

pytestmark = pytest.mark.long

_MOST = 10_000


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _outcome(*content: dict[str, Any], takes: frozenset[str] = IMAGES, **more: Any) -> Outcome:
    return outcome(mcp_types.CallToolResult.model_validate({"content": content, **more}), takes, _MOST)


def _image(data: bytes, media_type: str) -> dict[str, Any]:
    return {"type": "image", "data": _encoded(data), "mimeType": media_type}


def _resource(**of: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": "file:///a", **of}}


def test_a_picture_stays_one() -> None:
    (block,) = _outcome(_image(PNG, "image/png")).content
    assert (block.image.data, block.image.media_type) == (PNG, "image/png")


def test_a_picture_is_called_what_it_is() -> None:
    (block,) = _outcome(_image(PNG, "image/jpeg")).content
    assert block.image.media_type == "image/png"


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (_image(b"no picture", "image/png"), "image (image/png) of 10 bytes was left out: it cannot be shown here"),
        (_image(PNG + b"x" * _MOST, "image/png"), "bytes was left out: it is too large"),
        ({"type": "image", "data": "?", "mimeType": "image/png"}, "was left out: it is no base64"),
    ],
)
def test_a_picture_that_would_be_refused_is_told_instead(image: dict[str, Any], why: str) -> None:
    assert why in words(_outcome(image))


def test_a_recording_is_a_file_where_the_model_hears_and_told_where_it_does_not() -> None:
    recording = {"type": "audio", "data": _encoded(b"RIFF"), "mimeType": "audio/wav"}
    (block,) = _outcome(recording, takes=frozenset({"audio/wav"})).content
    assert (block.file.data, block.file.media_type) == (b"RIFF", "audio/wav")
    assert words(_outcome(recording)) == "[recording (audio/wav) of 4 bytes was left out: it cannot be shown here]"


def test_resources_are_text_pictures_or_files() -> None:
    assert words(_outcome(_resource(text="hello"))) == "[file:///a]\nhello"
    assert words(_outcome(_resource(blob=_encoded(b"{}"), mimeType="application/json"))) == "[file:///a]\n{}"
    assert _outcome(_resource(blob=_encoded(PNG), mimeType="image/png")).content[0].image.data == PNG
    pdf = _outcome(_resource(blob=_encoded(b"%PDF"), mimeType="application/pdf"), takes=frozenset({"application/pdf"}))
    assert pdf.content[0].file.name == "file:///a"
    assert "(application/octet-stream) of 4 bytes was left out" in words(_outcome(_resource(blob=_encoded(b"%PDF"))))


def test_a_link_is_told() -> None:
    link = {"type": "resource_link", "name": "log", "uri": "file:///log", "mimeType": "text/plain", "size": 3}
    assert words(_outcome(link)) == "[a link to log: file:///log (text/plain, 3 bytes)]"


def test_a_structured_result_is_kept_and_told_where_there_is_nothing_else() -> None:
    made = _outcome(structuredContent={"wärme": 19})
    assert made.structured_content_json == '{"wärme": 19}'
    assert words(made) == '{"wärme": 19}'
    assert words(_outcome({"type": "text", "text": "19"}, structuredContent={"a": 19})) == "19"


def test_a_structured_result_that_cannot_be_kept_is_left_out_and_says_so() -> None:
    large = _outcome({"type": "text", "text": "much"}, structuredContent={"a": "x" * _MOST})
    assert large.structured_content_json == ""
    assert "the structured result was left out: it is larger than 5000 bytes" in words(large)
    assert "a number that JSON cannot write" in words(_outcome(structuredContent={"a": float("nan")}))


def test_all_together_is_bounded() -> None:
    many = _outcome(*[{"type": "text", "text": "x" * 1000}] * 5000, structuredContent={"a": "x" * 4000})
    assert sum(block.ByteSize() for block in many.content) + len(many.structured_content_json) < 3 * _MOST
    assert "4744 more blocks of the result were left out" in words(many)


def test_a_character_is_not_cut_in_two() -> None:
    assert words(_outcome({"type": "text", "text": "ä" * _MOST})).startswith("ä" * (_MOST // 2) + "\n[cut here")


def test_an_empty_result_says_that_it_is() -> None:
    assert words(_outcome()) == "[the result is empty]"


def test_a_failure_stays_one() -> None:
    assert _outcome({"type": "text", "text": "no"}, isError=True).is_error
