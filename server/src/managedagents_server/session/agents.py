"""Agents: declared, replaced by a new version, read, archived. A version never changes."""

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from managedagents_server.log import AgentConflict, AgentRow, NewVersion
from managedagents_server.session import views
from managedagents_server.session.around import Around
from managedagents_server.session.housekeeping import Housekeeping
from managedagents_server.session.keys import Owner, has_key, same_place, take_key
from managedagents_server.words import ids
from managedagents_server.words.errors import AgentArchived, AgentNotFound, InvalidRequest, VersionConflict, Violation
from managedagents_server.words.request import TENANT, KeptAnswer, RequestKey

_KEY = "definition.model.provider_model.api_key"


class Agents:
    def __init__(self, around: Around, housekeeping: Housekeeping) -> None:
        self._around = around
        self._housekeeping = housekeeping

    async def create(self, request: pb.CreateRequest, key: RequestKey | None) -> pb.CreateResponse:
        response = pb.CreateResponse(agent_id=ids.agent_id(), version=1)
        new = await self._new_version(response.agent_id, request.definition, None)
        await self._around.log.create_agent(new, KeptAnswer.of(key, response))
        return response

    async def update(self, request: pb.UpdateAgentRequest, key: RequestKey | None) -> pb.UpdateAgentResponse:
        replaced = await self._replaceable(request)
        new = await self._new_version(request.agent_id, request.definition, replaced)
        response = pb.UpdateAgentResponse(version=new.version)
        try:
            await self._around.log.update_agent(new, KeptAnswer.of(key, response))
        except AgentConflict:
            # Somebody was faster: now it is refused by what that one left.
            await self._replaceable(request)
            raise
        return response

    async def archive(self, request: pb.ArchiveAgentRequest, key: RequestKey | None) -> pb.ArchiveAgentResponse:
        agent_id = (await self._row(request.agent_id)).agent_id
        response = pb.ArchiveAgentResponse()
        kept = KeptAnswer.of(key, response)
        if not await self._around.log.archive_agent(TENANT, agent_id, self._around.clock.wall(), kept):
            self._housekeeping.archived(agent_id)
        return response

    async def get(self, request: pb.GetAgentRequest) -> pb.GetAgentResponse:
        version = request.version if request.HasField("version") else None
        return pb.GetAgentResponse(agent=views.agent(await self._row(request.agent_id, version)))

    async def list(self, request: pb.ListAgentsRequest) -> pb.ListAgentsResponse:
        size, before = views.page(request)
        rows, more = await self._around.log.agents(
            TENANT,
            before=before,
            metadata=request.metadata,
            archived=request.include_archived,
            most_rows=size,
            most_bytes=views.PAGE_BYTES,
        )
        token = views.next_token(request, rows[-1].key) if more else ""
        return pb.ListAgentsResponse(agents=map(views.agent, rows), next_page_token=token)

    async def _row(self, agent_id: str, version: int | None = None) -> AgentRow:
        row = await self._around.log.agent(TENANT, agent_id, version)
        if row is None:
            raise AgentNotFound.of(agent_id, version)
        return row

    async def _replaceable(self, request: pb.UpdateAgentRequest) -> AgentRow:
        """The newest version, which must be the one that the request replaces."""
        row = await self._row(request.agent_id)
        if row.archive_time is not None:
            raise AgentArchived.of(row.agent_id)
        if row.version != request.version:
            raise VersionConflict(
                f"the agent {row.agent_id} is of version {row.version}, not {request.version}",
                agent_id=row.agent_id,
                version=row.version,
            )
        return row

    async def _new_version(
        self, agent_id: str, given: agent_pb2.AgentDefinition, replaced: AgentRow | None
    ) -> NewVersion:
        definition = agent_pb2.AgentDefinition()
        definition.CopyFrom(given)
        self._around.providers.check(definition)
        await self._around.tools.check(definition, "definition.tools")
        version = 1 if replaced is None else replaced.version + 1
        secret = None
        if has_key(definition.model):
            key = take_key(definition.model) or await self._key_of(replaced, definition.model)
            secret = await self._around.keys.sealed(key, Owner.of(definition.model, agent_id, version))
        return NewVersion(
            TENANT,
            agent_id,
            version,
            definition.SerializeToString(),
            views.dump_metadata(definition.metadata),
            self._around.clock.wall(),
            secret,
        )

    async def _key_of(self, replaced: AgentRow | None, model: agent_pb2.Model) -> str:
        """The key of the version that is replaced, which goes on to the same address only."""
        if replaced is None:
            raise _no_key("is empty")
        before = agent_pb2.AgentDefinition.FromString(replaced.definition).model
        if not has_key(before):
            raise _no_key(f"is empty, and version {replaced.version} has no key to keep")
        if not same_place(before, model):
            raise _no_key(f"is empty, and the key of version {replaced.version} is for another provider or address")
        ciphertext = await self._around.log.secret(replaced.key, replaced.version, 0)
        owner = Owner.of(before, replaced.agent_id, replaced.version)
        key = None if ciphertext is None else self._around.keys.opened(ciphertext, owner)
        if key is None:
            raise _no_key(f"is empty, and the server cannot decrypt the key of version {replaced.version} any more")
        return key


def _no_key(why: str) -> InvalidRequest:
    return InvalidRequest.of(Violation(_KEY, why))
