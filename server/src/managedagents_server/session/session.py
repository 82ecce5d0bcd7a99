"""One session in memory: its state, and the one path by which anything gets into its log.

The path gives out seqs in memory, counting appends in flight, so that inbox and loop never collide; the expected head
in each append fences foreign writers only. After a failed commit nothing more is appended here: the session is read
anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from managedagents_server.log import AgentUsage, Append, EventRow, Log, LogConflict, SessionFields, VerbatimRow
from managedagents_server.providers.base import Verbatim
from managedagents_server.session.conversation import Conversation, rebuild
from managedagents_server.session.fold import apply
from managedagents_server.session.frames import Event, from_frame, to_row
from managedagents_server.session.pinned import Pinned
from managedagents_server.session.state import Spent, State
from managedagents_server.words.clock import Clock
from managedagents_server.words.request import KeptAnswer

if TYPE_CHECKING:
    from managedagents_server.session.live import LiveResponse
    from managedagents_server.session.mcp import Offered


def number(state: State, events: Sequence[Event], now: int, *, group: int) -> list[EventRow]:
    """Gives the events their seqs and their time, takes them into the state, and makes their rows."""
    rows = []
    for event in events:
        event.seq = state.head + 1
        event.create_time.FromNanoseconds(now)
        row = to_row(event, now, group)
        apply(state, event, len(row.frame))
        rows.append(row)
    return rows


def fields_of(state: State, wake_time: int | None) -> SessionFields:
    # Between two of an outcome's turns it still needs what its agent was given.
    open_turn = (state.turn > 0 or state.towards is not None) and not state.terminal
    return SessionFields(state.head, state.log_bytes, int(state.status), wake_time, state.dump(), open_turn)


class Session:
    def __init__(
        self,
        log: Log,
        clock: Clock,
        key: int,
        session_id: str,
        agent: Pinned,
        state: State,
        next_wake: Callable[[State], int | None],
        environment: bytes | None = None,
    ) -> None:
        """`environment`: a serialized EnvironmentConfig. None: there is none."""
        self.key = key
        self.session_id = session_id
        self.agent = agent
        self.definition = agent.definition
        self.toolbox = agent.toolbox
        """What the model may call, with what the MCP servers were last heard to offer."""
        self.offered: dict[str, Offered] = {}
        """By the names of the MCP servers that were asked."""
        self.environment = environment
        self.state = state
        """As of everything that was handed to the log, commits in flight included."""
        self.live: LiveResponse | None = None
        """The model response in the making."""
        self.loop: asyncio.Task[None] | None = None
        self.scope: asyncio.Timeout | None = None
        """Where an interrupt takes hold of what the loop waits for."""
        self.lost = False
        """A commit failed, or the session is deleted: whoever needs it reads it anew."""
        self._log = log
        self._clock = clock
        self._next_wake = next_wake
        self._conversation: Conversation | None = None
        self._in_flight: set[asyncio.Future[None]] = set()

    def append(
        self,
        events: Sequence[Event],
        *,
        verbatim: Verbatim | None = None,
        kept: Callable[[int], KeptAnswer | None] = lambda _: None,
    ) -> asyncio.Future[None]:
        """Logs the events in one write. They get their seqs at once; the future is done at the commit. LogConflict or
        LogUnavailable: nothing was written and the session is lost. The first event is the one that `verbatim` stands
        beside; `kept` makes the answer to keep from its seq."""
        head = self.state.head
        now = self._clock.wall()
        rows = number(self.state, events, now, group=head + 1)
        if self._conversation is not None:
            for event in events:
                self._conversation.add(event, verbatim if event.HasField("response") else None)
        fields = fields_of(self.state, self._next_wake(self.state))
        verbatim_row = None if verbatim is None else VerbatimRow(head + 1, verbatim.provider, verbatim.blob)
        usage = None
        if events[0].HasField("response"):
            usage = AgentUsage(self.agent.key, *Spent().plus(events[0].response.usage).values())
        append = Append(self.key, head, rows, fields, now, verbatim_row, kept(head + 1), usage)
        done = self._log.append(append)
        self._in_flight.add(done)
        done.add_done_callback(self._settled)
        return done

    def _settled(self, done: "asyncio.Future[None]") -> None:
        self._in_flight.discard(done)
        if not done.cancelled() and done.exception() is not None:
            self.lost = True

    @property
    def in_flight(self) -> bool:
        return bool(self._in_flight)

    async def settled(self) -> None:
        """Returns when no append is in flight, whatever became of them."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    @property
    def memory(self) -> int:
        """About what the session holds, in bytes."""
        return 4096 + self.agent.own_bytes + (self.state.log_bytes if self._conversation is not None else 0)

    @property
    def loaded_conversation(self) -> Conversation | None:
        """None: nobody needed it yet."""
        return self._conversation

    async def conversation(self) -> Conversation:
        """Read from the log at the first need, kept up by every append since."""
        if self._conversation is None:
            await self.settled()
            frames = await self._log.all_events(self.key)
            verbatims = await self._log.verbatims(self.key)
            by_seq = {row.seq: Verbatim(row.provider, row.blob) for row in verbatims}
            # A long log takes a while: in a thread, so that the other sessions have their turns meanwhile.
            conversation = await asyncio.to_thread(lambda: rebuild(map(from_frame, frames), by_seq))
            read = len(frames)
            # What was appended while the log was read is in the state already and in the log by now or soon.
            while read < self.state.head:
                await self.settled()
                if self.lost:
                    raise LogConflict("the session's log is not where it was")
                for row in await self._log.events(self.key, read, most_rows=10_000, most_bytes=1 << 24):
                    conversation.add(from_frame(row.frame), by_seq.get(row.seq))
                    read = row.seq
            self._conversation = conversation
        return self._conversation

    def interrupt(self) -> None:
        """Ends what the loop waits for, so that it looks at its state again."""
        if self.scope is not None and not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())
