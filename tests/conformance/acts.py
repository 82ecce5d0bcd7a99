"""What the runner of each language can do beside scenarios, for tests in which several of them meet: README.md.

`PYTHONPATH=tests python -m conformance.acts ACT ADDRESS SESSION ...`
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from managedagents import Client, Handler, kind_of, text
from managedagents.v1 import stream_pb2, user_event_pb2


async def follow(client: Client, session: str, count: str) -> int:
    begun = asyncio.Barrier(int(count) + 1)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_seqs(client, session, begun)) for _ in range(int(count))]
        await begun.wait()
        sys.stdout.write("following\n")
        sys.stdout.flush()
    seen = [task.result() for task in tasks]
    last = len(seen[0])
    wrong = [number for number, seqs in enumerate(seen) if seqs != list(range(1, last + 1))]
    sys.stdout.write(f"followers {wrong} saw something else\n" if wrong else f"{count} followers, {last} events each\n")
    return 1 if wrong else 0


async def _seqs(client: Client, session: str, begun: asyncio.Barrier) -> list[int]:
    seqs: list[int] = []
    async for event in client.follow(session, 0):
        seqs.append(event.seq)
        if len(seqs) == 1:
            await begun.wait()
    return seqs


async def run(client: Client, session: str, words: str, *tools: str) -> int:
    handlers = {name: _returns(value) for name, _, value in (tool.partition("=") for tool in tools)}
    result = await client.run(session, words, tools=handlers)
    sys.stdout.write(f"{result.stop_reason} {result.text}\n")
    return 0


def _returns(value: str) -> Handler:
    return lambda _: value


async def answer(client: Client, session: str, value: str) -> int:
    async for event in client.follow(session, 0):
        if event.HasField("agent_custom_tool_use"):
            use = event.agent_custom_tool_use.custom_tool_use_id
            result = user_event_pb2.UserCustomToolResult(custom_tool_use_id=use, content=[text(value)])
            await client.send(session, user_event_pb2.UserEvent(user_custom_tool_result=result))
            sys.stdout.write(f"answered {use}\n")
            return 0
    return 1


async def log(client: Client, session: str) -> int:
    events = client.follow(session, 0)
    async for event in events:
        sys.stdout.write(f"{event.seq} {kind_of(event)}\n")
    if events.ended is None:
        return 1
    reason = stream_pb2.StreamEndReason.Name(events.ended.reason).removeprefix("STREAM_END_REASON_").lower()
    sys.stdout.write(f"ended {reason} {events.ended.last_seq}\n")
    return 0


_ACTS: dict[str, Callable[..., Awaitable[int]]] = {"follow": follow, "run": run, "answer": answer, "log": log}


async def main(act: str, address: str, *given: str) -> int:
    async with Client.connect(address) as client:
        return await _ACTS[act](client, *given)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
