"""What all sessions of a server share."""

from dataclasses import dataclass, field

from managedagents_server.log import Log
from managedagents_server.providers import Providers
from managedagents_server.session.keys import Keys
from managedagents_server.session.plan import Step, plan, wake_time
from managedagents_server.session.slots import Slots
from managedagents_server.session.state import State
from managedagents_server.tools import Tools
from managedagents_server.words.clock import Clock
from managedagents_server.words.limits import Limits


@dataclass(slots=True, eq=False)
class Around:
    log: Log
    providers: Providers
    tools: Tools
    keys: Keys
    clock: Clock
    limits: Limits
    slots: Slots = field(init=False)
    draining: bool = False
    no_deadline_before: int = 0
    """Wall time in nanoseconds. A server that was down for an hour does not time out everyone who was waiting."""

    def __post_init__(self) -> None:
        most = self.limits.max_concurrent_turns
        # Never all: the share would protect nobody.
        self.slots = Slots(most, max(1, min(self.limits.endpoint_turns, most * 3 // 4)))

    def plan(self, state: State, token_budget: int | None) -> Step:
        return plan(state, self.clock.wall(), self.no_deadline_before, self.limits.tool_rounds, token_budget)

    def wake_time(self, state: State) -> int | None:
        """The same with and without a budget: to end a turn is as urgent as to ask in it."""
        return wake_time(self.plan(state, None))
