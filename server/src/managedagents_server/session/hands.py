"""Running the tools that a model asked for: intent before effect, and the results in the order of the calls.

The use itself, and the confirmation that it waited for, are on the disk before anything runs; so is the start of a tool
that must not run twice.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from managedagents.v1 import agent_event_pb2
from managedagents_server.log import LogConflict
from managedagents_server.session import events, mcp
from managedagents_server.session.around import Around
from managedagents_server.session.frames import Event, from_row
from managedagents_server.session.interruptible import until_interrupted
from managedagents_server.session.plan import RunTools
from managedagents_server.session.session import Session
from managedagents_server.session.state import Next, State
from managedagents_server.session.toolbox import Builtin, Mcp
from managedagents_server.tools import SkillError
from managedagents_server.tools.base import Outcome, Place, failed
from managedagents_server.tools.inputs import BadInput
from managedagents_server.words import failpoints
from managedagents_server.words.mcp_names import shown_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Call:
    """A use that is due, as the log has it."""

    use_id: str
    name: str
    mcp: bool
    repeatable: bool
    run: Callable[[Place], Awaitable[Outcome]]


async def run_tools(session: Session, around: Around, step: RunTools) -> None:
    """Runs at once all that may run now. An interrupt ends those that are not done; the next step closes them."""
    if step.running:
        session.append([events.running(session.state.turn, 1)])
    await session.settled()
    if session.lost:
        raise LogConflict("what the tools were to rest on was not written")
    calls = await until_interrupted(session, _calls(session, around))
    if calls is None:
        return
    starts = [events.tool_start(session.state.turn, call.use_id) for call in calls if not call.repeatable]
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


async def _calls(session: Session, around: Around) -> list[_Call]:
    due = _due(session.state)
    fault = ""
    if any(session.state.uses[use_id].mcp for use_id in due):
        try:
            await mcp.refresh(session, around)
        except SkillError as error:
            fault = str(error)
    calls = []
    for use_id in due:
        row = await around.log.event(session.key, session.state.uses[use_id].seq)
        if row is None:
            raise LogConflict("a tool use is not in the log")
        event = from_row(row)
        if event.HasField("agent_mcp_tool_use"):
            calls.append(_mcp_call(session, use_id, event.agent_mcp_tool_use, fault))
        else:
            calls.append(_builtin_call(session, use_id, event.agent_tool_use))
    return calls


def _builtin_call(session: Session, use_id: str, use: agent_event_pb2.AgentToolUse) -> _Call:
    entry = session.toolbox.get(use.name)
    if not isinstance(entry, Builtin):
        return _told(use_id, use.name, f"The tool {use.name} is not there any more.")
    try:
        given = entry.schema.read(use.input_json)
    except BadInput as fault:
        # It fitted the schema of the version of this server that took it.
        return _told(use_id, use.name, str(fault))
    return _Call(use_id, use.name, False, entry.tool.repeatable(given), partial(entry.tool.run, given))


def _mcp_call(session: Session, use_id: str, use: agent_event_pb2.AgentMcpToolUse, fault: str) -> _Call:
    name = shown_name(use.server_name, use.name)
    entry = session.toolbox.get(name)
    if not isinstance(entry, Mcp):
        gone = f"The MCP server {use.server_name} has no tool {use.name} any more."
        return _told(use_id, name, fault or mcp.why_unusable(session, use.server_name) or gone, mcp=True)

    async def run(place: Place) -> Outcome:
        return await entry.connection.call(use.name, json.loads(use.input_json), place.bounds.wall_time)

    return _Call(use_id, name, True, entry.tool.repeatable, run)


def _told(use_id: str, name: str, words: str, *, mcp: bool = False) -> _Call:
    """One that this server cannot run any more."""

    async def run(_: Place) -> Outcome:
        return failed(words)

    return _Call(use_id, name, mcp, True, run)


async def _run_all(session: Session, around: Around, calls: Sequence[_Call]) -> None:
    try:
        place = await around.tools.place(session.definition, session.session_id, session.key, session.environment)
    except SkillError as fault:
        if _is_over(session):
            return
        await session.append([_ran(session, call, failed(str(fault))) for call in calls])
        return
    logged: list[asyncio.Future[None]] = []
    async with asyncio.TaskGroup() as tasks:
        running = [(call, tasks.create_task(_outcome(call, place))) for call in calls]
        for call, task in running:
            outcome = await task
            if _is_over(session):
                break
            logged.append(session.append([_ran(session, call, _fitting(session, around, outcome))]))
    # Not in the group, which would hide what they raise.
    for done in logged:
        await done
    failpoints.hit("tool_result")


def _ran(session: Session, call: _Call, outcome: Outcome) -> Event:
    return events.ran(session.state.turn, call.use_id, outcome, mcp=call.mcp)


async def _outcome(call: _Call, place: Place) -> Outcome:
    try:
        return await call.run(place)
    except Exception:
        # A bug of the tool's is no bug of the session's: the model is told, and goes on.
        logger.exception("a tool failed", extra={"tool": call.name})
        return failed("The tool failed inside the server; the server's log says more.")


def _fitting(session: Session, around: Around, outcome: Outcome) -> Outcome:
    """What the log takes."""
    limits, state = around.limits, session.state
    size = sum(block.ByteSize() for block in outcome.content) + len(outcome.structured_content_json.encode())
    if size > limits.event_bytes - 4096:
        return failed(f"The result is too large to be kept ({size:,} bytes).")
    if state.log_bytes + size > limits.session_bytes - limits.reserve_bytes // 2:
        return failed("The session's log has no room for the result.")
    return outcome
