"""How a session begins: with the agent that it pins, its overrides and its first events."""

from managedagents.v1 import service_pb2 as pb
from managedagents.v1 import session_pb2
from managedagents_server.log import AgentConflict, NewSession
from managedagents_server.session import inbox, views
from managedagents_server.session.around import Around
from managedagents_server.session.keys import Owner, take_key
from managedagents_server.session.loops import Loops
from managedagents_server.session.pinned import Pinned
from managedagents_server.session.registry import Registry
from managedagents_server.session.session import fields_of, number
from managedagents_server.session.state import State
from managedagents_server.words import ids
from managedagents_server.words.errors import (
    AgentArchived,
    AgentNotFound,
    LimitExceeded,
    RuntimeFault,
    ToolUseClosed,
    ToolUseNotFound,
)
from managedagents_server.words.request import TENANT, KeptAnswer, RequestKey


class Starts:
    def __init__(self, around: Around, registry: Registry, loops: Loops) -> None:
        self._around = around
        self._registry = registry
        self._loops = loops

    async def start_session(self, request: pb.StartSessionRequest, key: RequestKey | None) -> pb.StartSessionResponse:
        around = self._around
        version = request.version if request.HasField("version") else None
        row = await around.log.agent(TENANT, request.agent_id, version)
        if row is None:
            raise AgentNotFound.of(request.agent_id, version)
        if row.archive_time is not None:
            raise AgentArchived.of(request.agent_id)
        session_id = ids.session_id()
        overrides, model_key = _overrides(request)
        agent = await self._registry.pinned(request.agent_id, row.version, overrides)
        await self._check(agent)
        state = State()
        now = around.clock.wall()
        rows = []
        for user_event in request.initial_events:
            refused = inbox.refusal(state, user_event, around.limits)
            if refused is not None:
                raise _never_was(refused)
            rows += number(state, inbox.logged(state, user_event), now, group=1)
        secret = None
        if model_key:
            owner = Owner.of(agent.definition.model, agent.agent_id, agent.version, session_id)
            secret = await around.keys.sealed(model_key, owner)
        response = pb.StartSessionResponse(session_id=session_id, head_seq=state.head)
        new = NewSession(
            TENANT,
            session_id,
            agent.agent_id,
            agent.version,
            views.dump_metadata(request.metadata),
            now,
            rows,
            fields_of(state, around.wake_time(state)),
            KeptAnswer.of(key, response),
            overrides,
            secret,
            request.environment.SerializeToString() if request.HasField("environment") else None,
        )
        try:
            session_key = await around.log.start_session(new)
        except AgentConflict as error:
            raise AgentArchived.of(request.agent_id) from error
        self._loops.start(self._registry.add(session_key, session_id, agent, state, new.environment))
        return response

    async def _check(self, agent: Pinned) -> None:
        """What shows only once the overrides stand in the definition."""
        if not agent.own_bytes:
            return
        most = self._around.limits.definition_bytes
        if agent.own_bytes > most:
            raise LimitExceeded(
                f"the size of the definition with the overrides is {agent.own_bytes:,} bytes; at most {most:,}",
                limit="definition_bytes",
                value=most,
            )
        self._around.providers.check(agent.definition, "overrides")
        await self._around.tools.check(agent.definition, "overrides.tools.tools")


def _overrides(request: pb.StartSessionRequest) -> tuple[bytes | None, str]:
    """As they are stored, and the inline key that was in them."""
    if not request.HasField("overrides"):
        return None, ""
    overrides = session_pb2.SessionOverrides()
    overrides.CopyFrom(request.overrides)
    key = take_key(overrides.model)
    return overrides.SerializeToString(), key


def _never_was(refused: RuntimeFault) -> RuntimeFault:
    if isinstance(refused, ToolUseClosed):
        return ToolUseNotFound("a new session has no tool uses")
    return refused
