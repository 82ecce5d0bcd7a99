"""Agents: declared once, kept under their version."""

from managedagents.v1 import agent_pb2
from managedagents.v1 import service_pb2 as pb
from managedagents_server.log import AgentRow
from managedagents_server.session import views
from managedagents_server.session.around import Around
from managedagents_server.words import ids
from managedagents_server.words.errors import AgentNotFound
from managedagents_server.words.request import TENANT, KeptAnswer, RequestKey


class Agents:
    def __init__(self, around: Around) -> None:
        self._around = around

    async def create(self, request: pb.CreateRequest, key: RequestKey | None) -> pb.CreateResponse:
        response = pb.CreateResponse(agent_id=ids.agent_id(), version=1)
        now = self._around.clock.wall()
        row = AgentRow(
            key=0,
            tenant=TENANT,
            agent_id=response.agent_id,
            version=response.version,
            definition=request.definition.SerializeToString(),
            metadata=views.dump_metadata(request.definition.metadata),
            create_time=now,
            update_time=now,
            archive_time=None,
        )
        await self._around.log.create_agent(row, KeptAnswer.of(key, response))
        return response

    async def archive(self, request: pb.ArchiveAgentRequest, key: RequestKey | None) -> pb.ArchiveAgentResponse:
        await self._row(request.agent_id)
        response = pb.ArchiveAgentResponse()
        kept = KeptAnswer.of(key, response)
        await self._around.log.archive_agent(TENANT, request.agent_id, self._around.clock.wall(), kept)
        return response

    async def get(self, request: pb.GetAgentRequest) -> pb.GetAgentResponse:
        row = await self._row(request.agent_id)
        if request.HasField("version") and request.version != row.version:
            raise AgentNotFound(
                f"the agent {request.agent_id} has no version {request.version}", agent_id=request.agent_id
            )
        return pb.GetAgentResponse(agent=_agent(row))

    async def list(self, request: pb.ListAgentsRequest) -> pb.ListAgentsResponse:
        size, before = views.page(request)
        rows = await self._around.log.agents(
            TENANT, before=before, metadata=request.metadata, archived=request.include_archived, most=size + 1
        )
        token = views.next_token(request, rows[size - 1].key) if len(rows) > size else ""
        return pb.ListAgentsResponse(agents=[_agent(row) for row in rows[:size]], next_page_token=token)

    async def _row(self, agent_id: str) -> AgentRow:
        row = await self._around.log.agent(TENANT, agent_id)
        if row is None:
            raise AgentNotFound(f"there is no agent {agent_id}", agent_id=agent_id)
        return row


def _agent(row: AgentRow) -> agent_pb2.Agent:
    agent = agent_pb2.Agent(
        agent_id=row.agent_id,
        version=row.version,
        definition=agent_pb2.AgentDefinition.FromString(row.definition),
    )
    agent.create_time.FromNanoseconds(row.create_time)
    agent.update_time.FromNanoseconds(row.update_time)
    if row.archive_time is not None:
        agent.archive_time.FromNanoseconds(row.archive_time)
    return agent
