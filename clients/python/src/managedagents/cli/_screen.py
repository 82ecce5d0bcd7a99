"""What a chat shows: text as it comes, and everything else discreetly."""

import sys

import click

from managedagents._events import stop_reason_of, text_of
from managedagents._follow import FollowItem
from managedagents.cli._phrases import (
    advice,
    decision_words,
    result_words,
    retry_words,
    shortened,
    stop_words,
    usage_words,
    verdict_words,
)
from managedagents.cli._render import code_name, words_of
from managedagents.cli._terminal import has_colours, plain
from managedagents.cli._uses import use_of
from managedagents.v1 import event_pb2, status_event_pb2, stream_pb2

# Nothing to show: the prompt, or what stands beside it, says it already.
_SILENT = frozenset({"status_running", "user_interrupt"})


class Screen:
    """Prints items in order. A text that was streamed is not printed again when its event comes.

    What the agent says goes to stdout. All else is beside it on a terminal, and goes to stderr where stdout is none.
    `quiet`: neither thinking nor usage nor retries nor the starts of tools are shown.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        # Only colours tell thinking from the answer.
        self._shows_thinking = has_colours() and not quiet
        self.elsewhere = not sys.stdout.isatty()
        """What stands beside the answer goes to stderr."""
        self._streamed: dict[int, str] = {}
        self._tools: dict[str, str] = {}
        self._in_line = False

    def show(self, item: FollowItem, *, own: bool = False) -> None:
        """Print an item. `own`: an event that was typed here."""
        if isinstance(item, stream_pb2.StreamDelta):
            self._stream(item)
        elif isinstance(item, stream_pb2.StreamDeltaDiscarded):
            if self._streamed:
                self.notice("the answer starts over")
            self._streamed.clear()
        elif not own:
            self._event(item)

    def end_line(self) -> None:
        """Begin a new line, if there is something on this one."""
        if self._in_line:
            click.echo()
            self._in_line = False

    def notice(self, words: str, fg: str | None = None) -> None:
        """Print a line beside the answer."""
        self.end_line()
        words = plain(" ".join(words.split()), err=self.elsewhere)
        click.secho(f"· {words}", dim=fg is None, fg=fg, err=self.elsewhere)

    def _stream(self, delta: stream_pb2.StreamDelta) -> None:
        thinks = bool(delta.thinking)
        words = delta.thinking or delta.text
        if not words or (thinks and not self._shows_thinking):
            return
        if delta.part not in self._streamed:
            self.end_line()
        self._streamed[delta.part] = self._streamed.get(delta.part, "") + words
        self._write(words, dim=thinks)

    def _write(self, words: str, *, dim: bool = False) -> None:
        shown = plain(words)
        click.echo(click.style(shown, dim=True) if dim and shown else shown, nl=False)
        self._in_line = not words.endswith("\n") if words else self._in_line

    def _event(self, event: event_pb2.SessionEvent) -> None:
        which = event.WhichOneof("payload")
        if which == "agent_message":
            self._said(text_of(event.agent_message.content))
        elif which == "agent_thinking":
            if self._shows_thinking and event.agent_thinking.text:
                self._said(event.agent_thinking.text, dim=True)
        else:
            if not event.response_id:
                self._streamed.clear()
            self._beside(event, which)

    def _said(self, words: str, *, dim: bool = False) -> None:
        part = next((part for part, streamed in sorted(self._streamed.items()) if words.startswith(streamed)), None)
        if part is None:
            self.end_line()
        else:
            words = words.removeprefix(self._streamed.pop(part))
            if any(later > part for later in self._streamed) and (dim or not words):
                # What comes after it has begun on this line.
                return
        self._write(words, dim=dim)
        self.end_line()

    def _beside(self, event: event_pb2.SessionEvent, which: str | None) -> None:
        use = use_of(event)
        if use is not None:
            self._tools[use.id] = use.name
            self.notice(shortened(f"{use.name} {use.input_json}"), fg="yellow")
        elif which == "user_message":
            self.end_line()
            words = plain(text_of(event.user_message.content), err=self.elsewhere)
            click.echo(f"{click.style('>', fg='cyan')} {words}", err=self.elsewhere)
        elif self._of_tools(event, which):
            return
        elif which == "status_idle":
            self._idle(event.status_idle)
        elif which == "user_define_outcome":
            self.notice(f"outcome: {event.user_define_outcome.criteria}")
        elif which == "outcome_evaluated":
            self.notice(verdict_words(event.outcome_evaluated), fg="magenta")
        elif which == "status_rescheduling":
            self._unless_quiet(retry_words(event.status_rescheduling))
        elif which == "agent_context_compacted":
            size = len(event.agent_context_compacted.summary)
            self._unless_quiet(f"older turns were folded into a summary ({size} characters)")
        elif which == "error":
            self._error(event.error)
        elif which is not None and which not in _SILENT:
            self.notice(f"{which.partition('_')[2].replace('_', ' ')} {words_of(event)}".strip())

    def _of_tools(self, event: event_pb2.SessionEvent, which: str | None) -> bool:
        """What becomes of a use. False: the event tells something else."""
        if which == "user_custom_tool_result":
            self.notice(shortened(f"answered: {text_of(event.user_custom_tool_result.content)}"))
        elif which == "user_tool_result":
            self.notice(shortened(f"answered: {text_of(event.user_tool_result.content)}"))
        elif which == "user_tool_confirmation":
            decided = event.user_tool_confirmation
            self.notice(decision_words(self._tool(decided.tool_use_id), decided))
        elif which == "agent_tool_start":
            self._unless_quiet(f"{self._tool(event.agent_tool_start.tool_use_id)} runs")
        elif which == "agent_tool_result":
            self.notice(result_words(self._tool(event.agent_tool_result.tool_use_id), event.agent_tool_result))
        elif which == "agent_mcp_tool_result":
            self.notice(result_words(self._tool(event.agent_mcp_tool_result.tool_use_id), event.agent_mcp_tool_result))
        else:
            return False
        return True

    def _tool(self, use_id: str) -> str:
        """Its name, where its use was shown here."""
        return self._tools.get(use_id, "a tool")

    def _idle(self, idle: status_event_pb2.StatusIdle) -> None:
        reason = stop_reason_of(idle)
        words = stop_words(reason)
        if words:
            self.notice(words)
        if idle.usage.requests and reason != "requires_action":
            self._unless_quiet(usage_words(idle.usage))
        self.end_line()

    def _error(self, error: status_event_pb2.ErrorEvent) -> None:
        self.end_line()
        words = f"{code_name(error.code)}: {plain(error.message, err=True)}"
        click.echo(f"{click.style('error:', fg='red')} {words}", err=True)
        if advice(error):
            click.secho(f"· {advice(error)}", dim=True, err=True)

    def _unless_quiet(self, words: str) -> None:
        if not self._quiet:
            self.notice(words)
