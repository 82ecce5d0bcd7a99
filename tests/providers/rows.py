"""What can come of asking a model: one scenario a row, told to every vendor, and the same events for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from managedagents.v1 import agent_pb2, content_pb2
from support.wires import OLLAMA, VENDORS, Vendor
from support.wires.faults import (
    Fault,
    cut,
    ends_early,
    error_in_stream,
    fails_in_stream,
    half_a_call,
    malformed,
    slow,
    stalls_between,
    stalls_first,
)
from support.wires.told import Answer, Call, ErrorKind, Say, Think, Told, answer, error

WHOLE = answer(Say("Hel", "lo"))
CALL = Call("lookup", '{"z":', " 1}")
PICTURE = b"\x89PNG\r\n\x1a\n picture"
SILENCE = 0.8
"""Seconds after which the server gives up on a silent model."""
RETRY_AFTER = 7

LIMITS = (
    *("--limit", "retry_first=0.02"),
    *("--limit", f"model_first_token={SILENCE}"),
    *("--limit", f"model_stall={SILENCE}"),
)

SAID = ("agent.message", "status.idle end_turn")
THOUGHT = ("agent.thinking", *SAID)
AGAIN = ("status.running attempt 2", *SAID)
USED = ("agent.custom_tool_use", "user.custom_tool_result", *SAID)


@dataclass(frozen=True)
class Row:
    name: str
    told: tuple[Told, ...]
    events: tuple[str, ...]
    """After `user.message` and `status.running`, as support/driven.py tells them."""
    but: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """By vendor: a word of the events that is another there, because the vendor does not tell the two apart."""
    not_of: tuple[Vendor, ...] = ()
    """Vendors that cannot do that."""
    content: tuple[content_pb2.Content, ...] = (content_pb2.Content(text=content_pb2.TextContent(text="hi")),)
    effort: agent_pb2.ThinkingEffort.ValueType = agent_pb2.THINKING_EFFORT_UNSPECIFIED
    retry_after: float | None = None
    """The shortest delay that is logged; the row ends with it, by an interrupt. None: it is not looked at."""
    excluded: bool = False
    """The turn is left out of later requests."""

    @property
    def vendors(self) -> list[Vendor]:
        return [vendor for vendor in VENDORS if vendor not in self.not_of]

    @property
    def answers(self) -> list[Answer]:
        """What was told and came to be said: a first attempt that is made again did not."""
        first = 1 if any(line.startswith("status.rescheduling") for line in self.events) else 0
        return [told for told in self.told[first:] if isinstance(told, Answer)]

    def expected(self, vendor: Vendor) -> list[str]:
        old, new = self.but.get(vendor.name, ("", ""))
        lines = ("user.message", "status.running", *self.events)
        return [line.replace(old, new) if old else line for line in lines]


def _transient(name: str, told: Told, cause: str, **more: tuple[str, str]) -> Row:
    but = {vendor.replace("_", "-"): words for vendor, words in more.items()}
    return Row(name, (told, WHOLE), (f"status.rescheduling 1 {cause}", *AGAIN), but=but)


def _broken(name: str, fault: Fault, cause: str = "model_broken_stream", **more: tuple[str, str]) -> Row:
    return _transient(name, answer(Say("Hel", "lo"), fault=fault), cause, **more)


def _permanent(kind: ErrorKind, code: str, *, excluded: bool = False, **more: tuple[str, str]) -> Row:
    not_of = tuple(vendor for vendor in VENDORS if kind not in vendor.kinds)
    told, events = (error(kind),), (f"error {code}", "status.idle error")
    return Row(kind.replace("_", " "), told, events, excluded=excluded, not_of=not_of, but=more)


def _picture() -> content_pb2.Content:
    return content_pb2.Content(image=content_pb2.ImageContent(media_type="image/png", data=PICTURE))


ROWS = [
    Row("text", (WHOLE,), SAID),
    Row("slow text", (answer(Say("Hel", "lo"), fault=slow(0.05)),), SAID),
    Row("thinking", (answer(Think("let ", "me"), Say("so")),), THOUGHT, effort=agent_pb2.THINKING_EFFORT_LOW),
    Row("one tool", (answer(CALL), WHOLE), USED),
    Row(
        "thinking, text and a tool",
        (answer(Think("let ", "me"), Say("I look"), CALL), WHOLE),
        ("agent.thinking", "agent.message", *USED),
        effort=agent_pb2.THINKING_EFFORT_LOW,
    ),
    Row(
        "three parallel tools",
        (answer(CALL, Call("other"), CALL), WHOLE),
        (*["agent.custom_tool_use"] * 3, *["user.custom_tool_result"] * 3, *SAID),
    ),
    Row("image", (WHOLE,), SAID, content=(_picture(), content_pb2.Content(text=content_pb2.TextContent(text="this?")))),
    Row("max tokens", (answer(Say("Hel"), stop="max_tokens"),), ("agent.message", "status.idle max_tokens")),
    Row(
        "refusal",
        (answer(Say("I will not."), stop="refusal"),),
        ("agent.message", "status.idle refusal"),
        not_of=(OLLAMA,),
    ),
    Row(
        "filtered",
        (answer(Say("I wi"), stop="filtered"),),
        ("agent.message", "status.idle refusal"),
        not_of=(OLLAMA,),
    ),
    Row(
        "429 with a wait",
        (error("rate_limited", retry_after=RETRY_AFTER),),
        ("status.rescheduling 1 model_rate_limited", "user.interrupt", "status.idle interrupted"),
        retry_after=RETRY_AFTER,
    ),
    _transient("429 without one", error("rate_limited"), "model_rate_limited"),
    _transient("500", error("server_error"), "model_unavailable"),
    _transient("503 or 529", error("overloaded"), "model_unavailable"),
    _broken("silence before the first token", stalls_first(), "model_timeout"),
    _broken("silence between tokens", stalls_between(), "model_timeout"),
    _broken("reset", cut()),
    _broken("truncated", ends_early()),
    _broken("malformed", malformed()),
    _transient("half a tool call", answer(CALL, fault=half_a_call()), "model_broken_stream"),
    _broken(
        "error in the stream",
        error_in_stream(),
        "model_unavailable",
        # Its error is lost on the way: there is only an end.
        ollama=("model_unavailable", "model_broken_stream"),
    ),
    _broken(
        "failure in the stream",
        fails_in_stream("server_error"),
        "model_unavailable",
        ollama=("model_unavailable", "model_broken_stream"),
    ),
    _permanent("authentication", "model_authentication"),
    _permanent("permission", "model_authentication"),
    _permanent("quota", "model_quota"),
    _permanent("unknown_model", "model_not_found"),
    _permanent("content_rejected", "model_rejected", excluded=True),
    _permanent(
        "context_too_long",
        "model_context_too_long",
        excluded=True,
        # It says so in words only.
        ollama=("model_context_too_long", "model_rejected"),
    ),
    _permanent("bad_request", "model_rejected", excluded=True),
]
