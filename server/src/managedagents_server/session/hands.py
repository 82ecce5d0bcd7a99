"""Running the tools that a model asked for: intent before effect, and the results in the order of the calls.

The use itself, and the confirmation that it waited for, are on the disk before anything runs; so is the start of a tool
that must not run twice.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from managedagents_server.log import LogConflict
from managedagents_server.session import events
from managedagents_server.session.around import Around
from managedagents_server.session.frames import from_row
from managedagents_server.session.interruptible import until_interrupted
from managedagents_server.session.plan import RunTools
from managedagents_server.session.session import Session
from managedagents_server.session.state import Next, State
from managedagents_server.session.toolbox import Builtin
from managedagents_server.tools import SkillError
from managedagents_server.tools.base import Outcome, Place, Tool, failed
from managedagents_server.tools.inputs import BadInput
from managedagents_server.words import failpoints

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    use_id: str
    tool: Tool
    given: dict[str, Any]

    @property
    def repeatable(self) -> bool:
        return self.tool.repeatable(self.given)


async def run_tools(session: Session, around: Around, step: RunTools) -> None:
    """Runs at once all that may run now. An interrupt ends those that are not done; the next step closes them."""
    if step.running:
        session.append([events.running(session.state.turn, 1)])
    await session.settled()
    if session.lost:
        raise LogConflict("what the tools were to rest on was not written")
    calls = [await _call(session, around, use_id) for use_id in _due(session.state)]
    starts = [
        events.tool_start(session.state.turn, call.use_id)
        for call in calls
        if isinstance(call, _Call) and not call.repeatable
    ]
    failpoints.hit("tool_start")
    if session.state.paused_seq or _is_over(session):
        return
    if starts:
        await session.append(starts)
    failpoints.hit("tool_run")
    if _is_over(session):
        return
    await until_interrupted(session, _run_all(session, around, calls))


def _is_over(session: Session) -> bool:
    """What came in since the step was chosen goes first."""
    return bool(session.state.interrupted) or session.state.terminal


def _due(state: State) -> list[str]:
    return [use_id for use_id, use in state.uses.items() if use.next == Next.RUN]


async def _call(session: Session, around: Around, use_id: str) -> "_Call | tuple[str, Outcome]":
    """As the log has it; or what is told at once of a call that this server cannot run any more."""
    seq, name = session.state.uses[use_id].seq, session.state.uses[use_id].name
    row = await around.log.event(session.key, seq)
    if row is None:
        raise LogConflict("a tool use is not in the log")
    entry = session.agent.toolbox.get(name)
    if not isinstance(entry, Builtin):
        return use_id, failed(f"The tool {name} is not there any more.")
    try:
        return _Call(use_id, entry.tool, entry.schema.read(from_row(row).agent_tool_use.input_json))
    except BadInput as fault:
        # It fitted the schema of the version of this server that took it.
        return use_id, failed(str(fault))


async def _run_all(session: Session, around: Around, calls: "list[_Call | tuple[str, Outcome]]") -> None:
    try:
        place = await around.tools.place(session.definition, session.session_id, session.key, session.environment)
    except SkillError as fault:
        told = failed(str(fault))
        if _is_over(session):
            return
        await session.append([events.ran(session.state.turn, _id_of(call), told) for call in calls])
        return
    logged: list[asyncio.Future[None]] = []
    async with asyncio.TaskGroup() as tasks:
        running = [(_id_of(call), tasks.create_task(_outcome(call, place))) for call in calls]
        for use_id, task in running:
            outcome = await task
            if _is_over(session):
                break
            logged.append(session.append([events.ran(session.state.turn, use_id, _fitting(session, around, outcome))]))
    # Not in the group, which would hide what they raise.
    for done in logged:
        await done
    failpoints.hit("tool_result")


def _id_of(call: "_Call | tuple[str, Outcome]") -> str:
    return call.use_id if isinstance(call, _Call) else call[0]


async def _outcome(call: "_Call | tuple[str, Outcome]", place: Place) -> Outcome:
    if not isinstance(call, _Call):
        return call[1]
    try:
        return await call.tool.run(call.given, place)
    except Exception:
        # A bug of the tool's is no bug of the session's: the model is told, and goes on.
        logger.exception("a tool failed", extra={"tool": call.tool.declaration.name})
        return failed("The tool failed inside the server; the server's log says more.")


def _fitting(session: Session, around: Around, outcome: Outcome) -> Outcome:
    """What the log takes."""
    limits, state = around.limits, session.state
    size = sum(block.ByteSize() for block in outcome.content)
    if size > limits.event_bytes - 4096:
        return failed(f"The result is too large to be kept ({size:,} bytes).")
    if state.log_bytes + size > limits.session_bytes - limits.reserve_bytes // 2:
        return failed("The session's log has no room for the result.")
    return outcome
