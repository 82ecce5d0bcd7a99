"""Media types and pictures."""

import pytest

from managedagents_server.rpc.validate.media import image_fault, is_media_type

PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/gif": b"GIF89a\1\0\1\0",
    "image/webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "image/heic": b"\0\0\0\x18ftypheic\0\0\0\0",
    "image/heif": b"\0\0\0\x18ftypmif1\0\0\0\0",
}


@pytest.mark.parametrize(
    "media_type", ["image/png", "IMAGE/PNG", "text/plain; charset=utf-8", "application/vnd.a+json"]
)
def test_media_types(media_type: str) -> None:
    assert is_media_type(media_type)


@pytest.mark.parametrize(
    "media_type", ["", "png", "/png", "image/", "image/png/x", "image /png", "image/p ng", "a/b;\n", "ä/b"]
)
def test_what_is_no_media_type(media_type: str) -> None:
    assert not is_media_type(media_type)


@pytest.mark.parametrize("media_type", PICTURES)
def test_pictures(media_type: str) -> None:
    assert image_fault(PICTURES[media_type], media_type) is None
    assert image_fault(PICTURES[media_type], media_type.upper() + "; q=1") is None


def test_other_names_of_one_kind() -> None:
    assert image_fault(PICTURES["image/jpeg"], "image/jpg") is None
    assert image_fault(PICTURES["image/heic"], "image/heif") is None


@pytest.mark.parametrize("media_type", ["image/bmp", "image/svg+xml", "image/*", "text/plain", "application/pdf"])
def test_a_kind_that_nobody_takes(media_type: str) -> None:
    fault = image_fault(PICTURES["image/png"], media_type)
    assert fault is not None
    assert fault[0] == "media_type"
    assert "image/png, image/jpeg" in fault[1]


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"<svg/>", b"%PDF-1.7", b"RIFF\x24\0\0\0WAVE", b"\0\0\0\x18ftypmp42"]
)
def test_data_that_is_no_picture(data: bytes) -> None:
    fault = image_fault(data, "image/png")
    assert fault is not None
    assert fault[0] == "data"


@pytest.mark.parametrize("said", PICTURES)
@pytest.mark.parametrize("is_", PICTURES)
def test_a_type_that_the_data_is_not(said: str, is_: str) -> None:
    fault = image_fault(PICTURES[is_], said)
    same = said == is_ or {said, is_} == {"image/heic", "image/heif"}
    assert (fault is None) is same
    assert same or (fault is not None and fault[0] == "media_type")
