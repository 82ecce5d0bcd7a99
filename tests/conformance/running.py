"""The verb `run`: a message to the end of its turn, by what the client has for that."""

import asyncio
from typing import Any

from conformance.lines import Json, Names, dump
from managedagents import Client, Handler, ManagedAgentsError, RunResult
from managedagents.v1 import status_event_pb2


async def run(client: Client, names: Names, given: Json) -> list[str]:
    """Its lines."""
    try:
        async with asyncio.timeout(given.get("within")):
            result = await _result(client, given)
    except TimeoutError:
        return ["run gave up"]
    except ManagedAgentsError as error:
        return [f"run {names.failure(error)}"]
    said: Json = {"stopReason": result.stop_reason, "text": result.text}
    if result.waits_for:
        said["waitsFor"] = list(result.waits_for)
    if result.error is not None:
        said["error"] = status_event_pb2.ErrorCode.Name(result.error.code)
    return [*map(names.event, result.events), f"run {dump(names.stable(said))}"]


async def _result(client: Client, given: Json) -> RunResult:
    decision = given.get("confirm")
    return await client.run(
        given["session_id"],
        given["text"],
        tools={name: _handler(told) for name, told in given.get("tools", {}).items()},
        confirm=None if decision is None else lambda _: decision,
    )


def _handler(told: Json) -> Handler:
    async def handler(_: Any) -> Any:
        match told:
            case {"fails": words}:
                raise ValueError(words)
            case {"hangs": True}:
                await asyncio.Event().wait()
            case {"returns_no_json": True}:
                return object()
        return told["returns"]

    return handler
