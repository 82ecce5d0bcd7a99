"""The calls of a scenario, through the client."""

from collections.abc import Awaitable, Callable
from typing import Any

from managedagents import Client
from managedagents.v1 import service_pb2 as pb

# What the client gives as a number, a message or nothing is put back into the response that it came in. The lists are
# asked for page by page, by its stub: as iterators they hide the tokens.
_CALLS: dict[type, Callable[[Client, Any], Awaitable[Any]]] = {}


def _call(request: type) -> Callable[[Callable[[Client, Any], Awaitable[Any]]], None]:
    def add(call: Callable[[Client, Any], Awaitable[Any]]) -> None:
        _CALLS[request] = call

    return add


async def called(client: Client, request: Any) -> Any:
    """The response. Raises ManagedAgentsError."""
    if "definition" in request.DESCRIPTOR.fields_by_name and not request.HasField("definition"):
        # With the client there is always one.
        return await _bare(client, request)
    return await _CALLS[type(request)](client, request)


async def _bare(client: Client, request: Any) -> Any:
    method = type(request).__name__.removesuffix("Request")
    return await client._calls.unary(getattr(client._stub, method), request)  # noqa: SLF001 - see above


@_call(pb.CreateRequest)
async def _create(client: Client, request: pb.CreateRequest) -> pb.CreateResponse:
    return await client.create(request.definition, request_id=request.request_id)


@_call(pb.StartSessionRequest)
async def _start(client: Client, request: pb.StartSessionRequest) -> pb.StartSessionResponse:
    return await client.start_session(
        request.agent_id,
        initial=request.initial_events,
        version=request.version if request.HasField("version") else None,
        overrides=request.overrides if request.HasField("overrides") else None,
        environment=request.environment if request.HasField("environment") else None,
        metadata=request.metadata,
        request_id=request.request_id,
    )


@_call(pb.SendEventRequest)
async def _send(client: Client, request: pb.SendEventRequest) -> pb.SendEventResponse:
    seq = await client.send(request.session_id, request.event, request_id=request.request_id)
    return pb.SendEventResponse(seq=seq)


@_call(pb.InterruptRequest)
async def _interrupt(client: Client, request: pb.InterruptRequest) -> pb.InterruptResponse:
    return await client.interrupt(request.session_id, drop_queued=request.drop_queued, request_id=request.request_id)


@_call(pb.PauseRequest)
async def _pause(client: Client, request: pb.PauseRequest) -> pb.PauseResponse:
    return await client.pause(request.session_id, request_id=request.request_id)


@_call(pb.ResumeRequest)
async def _resume(client: Client, request: pb.ResumeRequest) -> pb.ResumeResponse:
    return await client.resume(request.session_id, request_id=request.request_id)


@_call(pb.StatusRequest)
async def _status(client: Client, request: pb.StatusRequest) -> pb.StatusResponse:
    return await client.status(request.session_id)


@_call(pb.ArchiveRequest)
async def _archive(client: Client, request: pb.ArchiveRequest) -> pb.ArchiveResponse:
    return pb.ArchiveResponse(seq=await client.archive(request.session_id, request_id=request.request_id))


@_call(pb.DeleteSessionRequest)
async def _delete(client: Client, request: pb.DeleteSessionRequest) -> pb.DeleteSessionResponse:
    await client.delete_session(request.session_id, request_id=request.request_id)
    return pb.DeleteSessionResponse()


@_call(pb.GetAgentRequest)
async def _get_agent(client: Client, request: pb.GetAgentRequest) -> pb.GetAgentResponse:
    version = request.version if request.HasField("version") else None
    return pb.GetAgentResponse(agent=await client.get_agent(request.agent_id, version=version))


@_call(pb.UpdateAgentRequest)
async def _update_agent(client: Client, request: pb.UpdateAgentRequest) -> pb.UpdateAgentResponse:
    version = await client.update_agent(
        request.agent_id, request.version, request.definition, request_id=request.request_id
    )
    return pb.UpdateAgentResponse(version=version)


@_call(pb.ArchiveAgentRequest)
async def _archive_agent(client: Client, request: pb.ArchiveAgentRequest) -> pb.ArchiveAgentResponse:
    await client.archive_agent(request.agent_id, request_id=request.request_id)
    return pb.ArchiveAgentResponse()


@_call(pb.GetSessionRequest)
async def _get_session(client: Client, request: pb.GetSessionRequest) -> pb.GetSessionResponse:
    return pb.GetSessionResponse(session=await client.get_session(request.session_id))


for _paged in (pb.ListAgentsRequest, pb.ListSessionsRequest, pb.ListEventsRequest):
    _call(_paged)(_bare)
