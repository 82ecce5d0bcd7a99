"""Unique: no event comes twice."""

import asyncio
from contextlib import AsyncExitStack

from managedagents.v1 import service_pb2 as pb
from support import promises
from support.busy import MANNERS, Recording
from support.calls import scripted, send, start
from support.recording import following
from support.server import Stub


def test_no_follower_gets_an_event_twice(recording: Recording) -> None:
    for stream, _ in recording.of(*MANNERS):
        promises.unique(stream.messages)


def test_who_comes_back_with_the_last_seq_gets_nothing_again(recording: Recording) -> None:
    for followed in recording.followed:
        if followed.manner == "resuming":
            promises.unique([message for stream in followed.streams for message in stream.messages])


async def test_followers_that_join_while_events_come_get_each_of_them_once(stub: Stub) -> None:
    """Where reading from the file passes into what comes live, an event could come from both."""
    session_id = await start(stub, scripted({"text": "ok"}), "begin")
    async with AsyncExitStack() as stack:
        followers = []
        for number in range(30):
            sending = asyncio.create_task(send(stub, session_id, f"message {number}"))
            joining = following(stub, session_id, from_seq=number)
            followers.append((number, await stack.enter_async_context(joining)))
            await sending
        await stub.Archive(pb.ArchiveRequest(session_id=session_id))
        for from_seq, follower in followers:
            messages = await follower.ended()
            promises.unique(messages)
            assert promises.seqs(messages) == list(range(from_seq + 1, messages[-1].ended.last_seq + 1))
