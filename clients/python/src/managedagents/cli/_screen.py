"""What a chat shows: text as it comes, and everything else discreetly."""

import click

from managedagents._events import text_of
from managedagents._follow import FollowItem
from managedagents._uses import use_of
from managedagents.cli._output import plain
from managedagents.cli._render import code_name, words_of
from managedagents.v1 import event_pb2, stream_pb2

# Nothing to show: the prompt, or what stands beside it, says it already.
_SILENT = frozenset({"status_running", "user_interrupt", "agent_tool_start"})
_ENDS_WELL = frozenset({"end_turn", "requires_action", "error", "retries_exhausted"})


class Screen:
    """Prints items in order. A text that was streamed is not printed again when its event comes."""

    def __init__(self) -> None:
        self._streamed: dict[int, str] = {}
        self._in_line = False

    def show(self, item: FollowItem, *, own: bool = False) -> None:
        """Print an item. `own`: an event that was typed here."""
        if isinstance(item, stream_pb2.StreamDelta):
            self._stream(item)
        elif isinstance(item, stream_pb2.StreamDeltaDiscarded):
            if self._streamed:
                self._notice("the answer starts over")
            self._streamed.clear()
        elif not own:
            self._event(item)

    def end_line(self) -> None:
        """Begin a new line, if there is something on this one."""
        if self._in_line:
            click.echo()
            self._in_line = False

    def _stream(self, delta: stream_pb2.StreamDelta) -> None:
        if not delta.text:
            return
        if delta.part not in self._streamed:
            self.end_line()
        self._streamed[delta.part] = self._streamed.get(delta.part, "") + delta.text
        self._write(delta.text)

    def _write(self, words: str) -> None:
        click.echo(plain(words), nl=False)
        self._in_line = not words.endswith("\n") if words else self._in_line

    def _event(self, event: event_pb2.SessionEvent) -> None:
        which = event.WhichOneof("payload")
        if which == "agent_message":
            self._message(text_of(event.agent_message.content))
            return
        if not event.response_id:
            self._streamed.clear()
        use = use_of(event)
        if use is not None:
            self._notice(f"{use.name} {use.input_json}", fg="yellow")
        elif which == "user_message":
            self.end_line()
            click.echo(f"{click.style('>', fg='cyan')} {plain(text_of(event.user_message.content))}")
        elif which == "user_custom_tool_result":
            self._notice(f"answered: {text_of(event.user_custom_tool_result.content)}")
        elif which == "status_idle":
            reason = event.status_idle.stop_reason.WhichOneof("reason") or ""
            if reason not in _ENDS_WELL:
                self._notice(reason.replace("_", " "))
            self.end_line()
        elif which == "error":
            self.end_line()
            words = f"{code_name(event.error.code)}: {plain(event.error.message)}"
            click.echo(f"{click.style('error:', fg='red')} {words}", err=True)
        elif which is not None and which not in _SILENT:
            self._notice(f"{which.partition('_')[2].replace('_', ' ')} {words_of(event)}".strip())

    def _message(self, words: str) -> None:
        for part, streamed in sorted(self._streamed.items()):
            if words.startswith(streamed):
                del self._streamed[part]
                self._write(words[len(streamed) :])
                break
        else:
            self.end_line()
            self._write(words)
        self.end_line()

    def _notice(self, words: str, fg: str | None = None) -> None:
        self.end_line()
        click.secho(f"· {plain(' '.join(words.split()))}", dim=fg is None, fg=fg)
