"""What a chat shows of what happens, on a terminal and elsewhere."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format

from managedagents.cli._phrases import advice
from managedagents.cli._screen import Screen
from managedagents.v1 import event_pb2, status_event_pb2, stream_pb2

ESCAPE = "\x1b["
DIM, RESET = "\x1b[2m", "\x1b[0m"

Shown = Callable[..., tuple[str, str]]


def event(response_id: str = "", **payload: Any) -> event_pb2.SessionEvent:
    return json_format.ParseDict({"response_id": response_id, **payload}, event_pb2.SessionEvent())


def delta(part: int, *, text: str = "", thinking: str = "") -> stream_pb2.StreamDelta:
    if thinking:
        return stream_pb2.StreamDelta(response_id="r", part=part, thinking=thinking)
    return stream_pb2.StreamDelta(response_id="r", part=part, text=text)


def said(text: str) -> event_pb2.SessionEvent:
    return event("r", agent_message={"content": [{"text": {"text": text}}]})


def idle(reason: str, **usage: Any) -> event_pb2.SessionEvent:
    return event(status_idle={"stop_reason": {reason: {}}, "usage": usage})


def discarded() -> stream_pb2.StreamDeltaDiscarded:
    return stream_pb2.StreamDeltaDiscarded(response_id="r")


ANSWER = (delta(0, thinking="Let me "), delta(0, thinking="see."), delta(1, text="It is "), delta(1, text="warm."))
EVENTS = (event("r", agent_thinking={"text": "Let me see."}), said("It is warm."))
COST = {"input_tokens": 120, "cache_read_tokens": 90, "output_tokens": 30, "reasoning_tokens": 10, "requests": 2}


@pytest.fixture
def piped(capsys: pytest.CaptureFixture[str]) -> Shown:
    """What comes on stdout and on stderr where neither is a terminal."""

    def show(*items: Any, quiet: bool = False) -> tuple[str, str]:
        screen = Screen(quiet=quiet)
        for item in items:
            screen.show(item)
        captured = capsys.readouterr()
        return captured.out, captured.err

    return show


@pytest.fixture
def on_terminal(piped: Shown, monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def show(*items: Any, quiet: bool = False) -> tuple[str, str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        return piped(*items, quiet=quiet)

    return show


def test_thinking_is_streamed_dim_above_the_answer(on_terminal: Shown) -> None:
    out, err = on_terminal(*ANSWER, *EVENTS)
    assert out == f"{DIM}Let me {RESET}{DIM}see.{RESET}\nIt is warm.\n"
    assert err == ""


def test_an_answer_that_was_streamed_in_part_goes_on_in_its_line(on_terminal: Shown) -> None:
    out, _ = on_terminal(*ANSWER[:3], *EVENTS)
    assert out.replace(RESET, "") == f"{DIM}Let me {DIM}see.\nIt is warm.\n"
    out, _ = on_terminal(ANSWER[0], ANSWER[2], *EVENTS)
    assert out.replace(RESET, "") == f"{DIM}Let me \nIt is warm.\n"


def test_thinking_that_was_not_streamed_is_shown_whole(on_terminal: Shown) -> None:
    out, _ = on_terminal(*EVENTS)
    assert out.replace(RESET, "") == f"{DIM}Let me see.\nIt is warm.\n"


def test_thinking_that_the_provider_hides_is_nothing_to_show(on_terminal: Shown) -> None:
    assert on_terminal(event("r", agent_thinking={}), said("Warm."))[0].replace(RESET, "") == "Warm.\n"


def test_thinking_is_shown_only_where_colours_tell_it_from_the_answer(
    on_terminal: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "see" not in on_terminal(*ANSWER, *EVENTS)[0]


def test_what_is_piped_is_the_answer_alone(piped: Shown) -> None:
    use = {"custom_tool_use_id": "use_1", "name": "weather", "input_json": "{}"}
    items = (*ANSWER, *EVENTS, event("r", agent_custom_tool_use=use), idle("end_turn", **COST))
    out, err = piped(*items)
    assert out == "It is warm.\n"
    assert err == "· weather {}\n· 120 tokens in (90 cached), 30 out (10 reasoning), 2 requests\n"


def test_an_outcome_and_its_verdicts_are_a_line_each(piped: Shown) -> None:
    verdicts = [
        event("g", outcome_evaluated={"iteration": 1, "reason": "it has no end"}),
        event("g", outcome_evaluated={"iteration": 2, "met": True}),
    ]
    _, err = piped(event(user_define_outcome={"criteria": "a story"}), *verdicts, event(status_completed={}))
    assert err == "· outcome: a story\n· iteration 1: not met: it has no end\n· iteration 2: met\n· completed\n"
    assert piped(idle("max_outcome_iterations"))[1] == "· stopped: the outcome was not met within its iterations\n"


def test_quiet_leaves_out_thinking_usage_retries_and_summaries(on_terminal: Shown) -> None:
    again = event(status_rescheduling={"attempt": 1, "delay": "1s"})
    folded = event("s", agent_context_compacted={"summary": "x"})
    out, err = on_terminal(*ANSWER, *EVENTS, again, folded, idle("max_tokens", **COST), quiet=True)
    assert out.startswith("It is warm.\n")
    assert out.count("\n") == 2, "how the turn ended is said still"
    assert "cut off" in out
    assert not err


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ({"requests": 1}, "0 tokens in, 0 out, 1 request"),
        ({"requests": 3, "input_tokens": 5, "output_tokens": 6}, "5 tokens in, 6 out, 3 requests"),
        ({"requests": 1, "model_time": "1.84s"}, "0 tokens in, 0 out, 1 request, 1.8 s"),
    ],
)
def test_a_turn_ends_with_a_line_of_what_it_cost(piped: Shown, usage: dict[str, Any], words: str) -> None:
    assert piped(idle("end_turn", **usage)) == ("", f"· {words}\n")


def test_a_turn_that_waits_or_cost_nothing_says_no_usage(piped: Shown) -> None:
    assert piped(idle("requires_action", requests=1), idle("end_turn")) == ("", "")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        ("MODEL_UNAVAILABLE", "the provider fails or is overloaded; attempt 3 in 10 s"),
        ("MODEL_RATE_LIMITED", "the provider asks to slow down; attempt 3 in 10 s"),
        ("UNSPECIFIED", "the model request failed; attempt 3 in 10 s"),
    ],
)
def test_a_retry_is_one_line(piped: Shown, cause: str, words: str) -> None:
    again = {"attempt": 2, "delay": "10s", "cause": f"ERROR_CODE_{cause}", "message": "HTTP 529: a long story"}
    assert piped(event(status_rescheduling=again)) == ("", f"· {words}\n")


def test_an_answer_that_broke_off_starts_over_below_its_retry(piped: Shown) -> None:
    again = {"attempt": 1, "delay": "0.5s", "cause": "ERROR_CODE_MODEL_BROKEN_STREAM"}
    out, err = piped(
        delta(0, text="It is w"),
        discarded(),
        event(status_rescheduling=again),
        event(status_running={"attempt": 2}),
        delta(0, text="It is "),
        said("It is warm."),
    )
    assert out == "It is w\nIt is warm.\n"
    assert err == "· the answer starts over\n· the answer broke off; attempt 2 in 0.5 s\n"


def test_a_summary_is_told_by_its_size_and_not_shown(piped: Shown) -> None:
    folded = event("r", agent_context_compacted={"summary": "secret plans", "last_turn": "9"})
    assert piped(folded) == ("", "· older turns were folded into a summary (12 characters)\n")


def test_an_error_says_what_can_be_done(piped: Shown) -> None:
    quota = {"code": "ERROR_CODE_MODEL_QUOTA", "message": "HTTP 429", "next": "ERROR_NEXT_TURN_ENDS"}
    _, err = piped(event(error=quota), idle("error"))
    assert err == "error: model_quota: HTTP 429\n· raise the quota at the provider, then send the message again\n"


def test_every_error_that_a_model_can_give_has_an_advice() -> None:
    codes = {name: number for name, number in status_event_pb2.ErrorCode.items() if "_MODEL_" in name}
    assert len(codes) > 9
    assert all(advice(status_event_pb2.ErrorEvent(code=number)) for number in codes.values())


def test_an_error_that_the_turn_outlives_says_so() -> None:
    goes_on = status_event_pb2.ErrorEvent(
        code=status_event_pb2.ERROR_CODE_MODEL_QUOTA, next=status_event_pb2.ERROR_NEXT_TURN_GOES_ON
    )
    assert advice(goes_on) == "the turn goes on without it"


def used(name: str = "bash", input_json: str = "{}") -> event_pb2.SessionEvent:
    return event("r", agent_tool_use={"tool_use_id": "use_1", "name": name, "input_json": input_json})


def ended(cause: str, *texts: str, is_error: bool = False) -> event_pb2.SessionEvent:
    content = [{"text": {"text": text}} for text in texts]
    told = {"tool_use_id": "use_1", "content": content, "is_error": is_error, "cause": f"TOOL_RESULT_CAUSE_{cause}"}
    return event(agent_tool_result=told)


def test_a_tool_at_the_server_is_a_line_for_its_use_its_start_and_its_result(piped: Shown) -> None:
    start = event(agent_tool_start={"tool_use_id": "use_1"})
    shown = (used(input_json='{"command": "ls"}'), start, ended("RAN", "a.txt\nb.txt\n"))
    assert piped(*shown)[1] == '· bash {"command": "ls"}\n· bash runs\n· bash: a.txt b.txt\n'
    assert piped(*shown, quiet=True)[1] == '· bash {"command": "ls"}\n· bash: a.txt b.txt\n'


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (ended("RAN"), "bash is done"),
        (ended("RAN", "[exit status 2]", is_error=True), "bash failed: [exit status 2]"),
        (ended("DENIED", "Not on a Friday.", is_error=True), "bash denied: Not on a Friday."),
        (ended("INTERRUPTED", "The user was faster.", is_error=True), "bash interrupted: The user was faster."),
        (ended("TIMED_OUT", "half", is_error=True), "bash took too long: half"),
        (ended("EFFECT_UNKNOWN", "Look first.", is_error=True), "bash broke off: Look first."),
    ],
)
def test_a_result_says_in_one_line_how_the_tool_ended(piped: Shown, result: event_pb2.SessionEvent, line: str) -> None:
    assert piped(used(), result)[1].splitlines()[1:] == [f"· {line}"]


def test_a_picture_in_a_result_is_named(piped: Shown) -> None:
    drawn = ended("RAN", "done")
    drawn.agent_tool_result.content.add().image.media_type = "image/png"
    assert piped(used("code_execution"), drawn)[1].splitlines()[1:] == ["· code_execution: done [image]"]


def test_a_long_input_and_a_long_result_are_cut(piped: Shown) -> None:
    shown = piped(used(input_json=f'{{"command": "{"x" * 5000}"}}'), ended("RAN", "y\n" * 5000))[1].splitlines()
    assert len(shown) == 2
    assert all(len(line) < 130 and line.endswith("…") for line in shown)


@pytest.mark.parametrize(
    ("decided", "line"),
    [
        ({"decision": "TOOL_CONFIRMATION_ALLOW"}, "bash allowed"),
        ({"decision": "TOOL_CONFIRMATION_DENY"}, "bash not allowed"),
        ({"decision": "TOOL_CONFIRMATION_DENY", "deny_message": "Not now."}, "bash not allowed: Not now."),
    ],
)
def test_what_somebody_else_decided_is_told(piped: Shown, decided: dict[str, str], line: str) -> None:
    decision = event(user_tool_confirmation={"tool_use_id": "use_1", **decided})
    assert piped(used(), decision)[1].splitlines()[1:] == [f"· {line}"]


def test_what_somebody_else_answered_for_a_tool_at_the_client_is_told(piped: Shown) -> None:
    answered = event(user_tool_result={"tool_use_id": "use_1", "content": [{"text": {"text": "ok"}}]})
    assert piped(used(), answered)[1].splitlines()[1:] == ["· answered: ok"]


def test_a_result_whose_use_was_not_shown_is_a_tools(piped: Shown) -> None:
    assert piped(ended("RAN", "ok")) == ("", "· a tool: ok\n")


def test_a_model_cannot_drive_the_terminal(on_terminal: Shown) -> None:
    evil = "\x1b]0;x\x07"
    out, _ = on_terminal(
        delta(0, thinking=evil),
        event("r", agent_thinking={"text": evil}),
        said(evil),
        event(user_message={"content": [{"text": {"text": evil}}]}),
    )
    assert "\x1b]" not in out
    assert "\x07" not in out


def test_beside_a_pipe_a_terminal_on_stderr_is_not_driven_either(piped: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    use = {"custom_tool_use_id": "use_1", "name": "x", "input_json": "\x1b]0;x\x07"}
    out, err = piped(event("r", agent_custom_tool_use=use), said("\x1b]"))
    assert "\x1b]" not in err
    assert out == "\x1b]\n", "a pipe gets the text as it is"
