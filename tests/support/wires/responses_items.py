"""The output items of OpenAI's Responses, and the events in which they come.

An item's id says which answer and which place in it the item has, and which reasoning it belongs to: so a request can
be judged without what was sent before.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from support.wires.told import Answer, Call, Part, Say, Stop, Think
from support.wires.vendor import signature

_ID = re.compile(r"[a-z]+_([0-9a-f]{16})[0-9a-f]{16}([0-9a-f]{16})")

Unnumbered = tuple[Literal["frame", "piece", "end"], dict[str, Any]]


@dataclass(frozen=True)
class Item:
    part: Part
    stop: Stop
    done: dict[str, Any]
    """As it stands when it is complete."""


def items(answer: Answer, number: int) -> Sequence[Item]:
    made = []
    reasoning = 0
    for place, part in enumerate(answer.parts, start=1):
        done: dict[str, Any]
        last = place == len(answer.parts)
        status = "incomplete" if last and answer.stop in ("max_tokens", "filtered") else "completed"
        match part:
            case Think(pieces):
                reasoning = place
                item_id = identify("rs", number, place, 0)
                summary = [{"type": "summary_text", "text": part.text}] if pieces else []
                encrypted = encrypted_content(item_id)
                done = {
                    "id": item_id,
                    "type": "reasoning",
                    "summary": summary,
                    "encrypted_content": encrypted,
                }
            case Say():
                done = {
                    "id": identify("msg", number, place, reasoning),
                    "type": "message",
                    "status": status,
                    "content": [_content(part.text, answer.stop)],
                    "role": "assistant",
                }
            case Call():
                done = {
                    "id": identify("fc", number, place, reasoning),
                    "type": "function_call",
                    "status": status,
                    "arguments": part.input_json,
                    "call_id": f"call_{number:012x}{place:012x}",
                    "name": part.name,
                }
        made.append(Item(part, answer.stop, done))
    return made


def identify(prefix: str, number: int, place: int, reasoning: int) -> str:
    """`reasoning` is the place of the reasoning that the item belongs to; 0: none."""
    return f"{prefix}_{number:016x}{place:016x}{reasoning:016x}"


def reasoning_of(item_id: str) -> str | None:
    """The id of the reasoning that an item belongs to."""
    made_here = _ID.fullmatch(item_id)
    if made_here is None:
        return None
    number, reasoning = int(made_here[1], 16), int(made_here[2], 16)
    return identify("rs", number, reasoning, 0) if reasoning else None


def encrypted_content(item_id: str) -> str:
    return "gAAAAAB" + signature("openai", item_id)


def events(item: Item, index: int) -> Iterator[Unnumbered]:
    done = item.done
    where = {"item_id": done["id"], "output_index": index}
    match item.part:
        case Think(pieces):
            added = {**done, "summary": [], "encrypted_content": done["encrypted_content"][:20]}
            yield "frame", {"type": "response.output_item.added", "output_index": index, "item": added}
            if pieces:
                yield from _summary(pieces, {**where, "summary_index": 0})
        case Say(pieces):
            added = {**done, "status": "in_progress", "content": []}
            yield "frame", {"type": "response.output_item.added", "output_index": index, "item": added}
            yield from _message(pieces, item.stop, {**where, "content_index": 0})
        case Call(_, fragments):
            added = {**done, "status": "in_progress", "arguments": ""}
            yield "frame", {"type": "response.output_item.added", "output_index": index, "item": added}
            name = "response.function_call_arguments"
            for piece in fragments:
                yield "piece", {"type": f"{name}.delta", **where, "delta": piece, "obfuscation": "q8fK2nZp"}
            if done["status"] == "completed":
                yield "frame", {"type": f"{name}.done", **where, "arguments": done["arguments"]}
    yield "frame", {"type": "response.output_item.done", "output_index": index, "item": done}


def _summary(pieces: Sequence[str], where: dict[str, Any]) -> Iterator[Unnumbered]:
    name = "response.reasoning_summary"
    whole = {"type": "summary_text", "text": "".join(pieces)}
    yield "frame", {"type": f"{name}_part.added", **where, "part": {"type": "summary_text", "text": ""}}
    for piece in pieces:
        yield "piece", {"type": f"{name}_text.delta", **where, "delta": piece, "obfuscation": "x1Yw"}
    yield "frame", {"type": f"{name}_text.done", **where, "text": whole["text"]}
    yield "frame", {"type": f"{name}_part.done", **where, "part": whole}


def _message(pieces: Sequence[str], stop: Stop, where: dict[str, Any]) -> Iterator[Unnumbered]:
    text = "".join(pieces)
    yield "frame", {"type": "response.content_part.added", **where, "part": _content("", stop)}
    for piece in pieces:
        if stop == "refusal":
            yield "piece", {"type": "response.refusal.delta", **where, "delta": piece}
        else:
            delta = {"delta": piece, "logprobs": [], "obfuscation": "mT5v"}
            yield "piece", {"type": "response.output_text.delta", **where, **delta}
    if stop == "refusal":
        yield "frame", {"type": "response.refusal.done", **where, "refusal": text}
    else:
        yield "frame", {"type": "response.output_text.done", **where, "text": text, "logprobs": []}
    yield "frame", {"type": "response.content_part.done", **where, "part": _content(text, stop)}


def _content(text: str, stop: Stop) -> dict[str, Any]:
    if stop == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
