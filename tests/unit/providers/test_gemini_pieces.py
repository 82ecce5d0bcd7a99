"""What is read faster is read the same."""

import copy
from importlib import util
from typing import Any

import pytest
from google.genai import types

from managedagents_server.providers.gemini_pieces import remove_unknown

PIECES: list[dict[str, Any]] = [
    {},
    {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hi", "thought": True, "thoughtSignature": "c2ln", "novel": 1},
                        {"functionCall": {"id": "1", "name": "look", "args": {"novel": {"kept": 1}}, "new": 2}},
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "finish_reason": "STOP",
                "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "LOW", "new": 1}, "odd"],
                "new": {"a": 1},
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 5,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5, "x": 1}],
        },
        "modelVersion": "gemini-3",
        "responseId": None,
        "promptFeedback": {"blockReason": "SAFETY", "new": []},
        "new": [1],
    },
    {"candidates": "no list", "usageMetadata": [{"promptTokenCount": 1}], "promptFeedback": 3},
]


def untouched() -> Any:
    """The library's module once more, as it comes."""
    spec = util.find_spec("google.genai._common")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("piece", PIECES)
def test_what_is_unknown_is_taken_out_as_the_library_does(piece: dict[str, Any]) -> None:
    ours, theirs = copy.deepcopy(piece), copy.deepcopy(piece)
    untouched()._remove_extra_fields(types.GenerateContentResponse, theirs)  # noqa: SLF001 - what it is compared with
    remove_unknown(types.GenerateContentResponse, ours)
    assert ours == theirs
    assert "new" not in str(ours)
