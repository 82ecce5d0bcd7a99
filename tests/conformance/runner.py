"""Runs a scenario against a real server and gives its lines: README.md says what they mean.

`PYTHONPATH=tests python -m conformance.runner FILE...` prints the lines of each, with servers of its own.
"""

import asyncio
import json
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
from google.protobuf import json_format
from google.protobuf.message import Message

from conformance.lines import Json, Names, dump, has
from conformance.verbs import called, run_of
from managedagents import Client, ManagedAgentsError
from managedagents._status import error_of
from managedagents.v1 import event_pb2, status_event_pb2
from managedagents.v1 import service_pb2 as pb
from support.calls import kind
from support.server import Server, Stub

PATIENCE = 20.0

_METHODS = {
    "create": "Create",
    "start": "StartSession",
    "send": "SendEvent",
    "answer": "SendEvent",
    "confirm": "SendEvent",
    "result": "SendEvent",
    "interrupt": "Interrupt",
    "pause": "Pause",
    "resume": "Resume",
    "status": "Status",
    "archive": "Archive",
    "delete": "DeleteSession",
    "get_agent": "GetAgent",
    "list_agents": "ListAgents",
    "update_agent": "UpdateAgent",
    "archive_agent": "ArchiveAgent",
    "get_session": "GetSession",
    "list_sessions": "ListSessions",
    "list_events": "ListEvents",
}


def flags(scenario: Json) -> tuple[str, ...]:
    """How its server is started."""
    limits = scenario.get("server", {}).get("limits", {})
    return tuple(f"--limit={name}={value}" for name, value in limits.items())


def stops_its_server(scenario: Json) -> bool:
    return any("kill" in step or "terminate" in step for step in scenario["steps"])


async def run(scenario: Json, server: Server) -> list[str]:
    runner = Runner(scenario["agent"], server)
    try:
        async with asyncio.timeout(PATIENCE):
            for step in scenario["steps"]:
                ((verb, given),) = step.items()
                await runner.step(verb, given)
            await runner.tell_logs()
    except TimeoutError:
        runner.lines.append("timeout")
    finally:
        await runner.close()
    return runner.lines


class Runner:
    def __init__(self, agent: Json, server: Server) -> None:
        self.lines: list[str] = []
        self._agent = agent
        self._server = server
        self._names = Names()
        self._current = {"agent_id": "", "session_id": ""}
        self._sessions: list[str] = []
        self._stream: Any = None
        self._last_seq = 0
        self._unread: deque[tuple[str, Message]] = deque()
        self._connect()

    def _connect(self) -> None:
        # No retries: a refusal is a line.
        self._client = Client.connect(self._server.address, patience=0.0)
        # Its follow hides where one stream ends and the next begins, which is what is looked at here.
        self._channel = self._server.channel()
        self._stub: Stub = Stub(self._channel)

    async def close(self) -> None:
        self._hang_up()
        await self._client.close()
        await self._channel.close()

    def _say(self, line: str) -> None:
        self.lines.append(line)

    async def step(self, verb: str, given: Json) -> None:
        given = self._names.ids(given)
        match verb:
            case "follow":
                await self._follow({"from_seq": 0, **given})
            case "reconnect":
                await self._follow({"from_seq": self._last_seq, **given})
            case "wait_for":
                await self._wait_for(given)
            case "replay":
                await self._replay()
            case "kill":
                self._hang_up()
                await self._server.kill()
                self._say("kill")
                await self._start_again()
            case "terminate":
                await self._terminate()
            case "run":
                await self._run({"session_id": self._current["session_id"], **given})
            case _:
                await self._call(verb, self._spelt_out(verb, given))

    # Calls.

    def _spelt_out(self, verb: str, given: Json) -> Json:
        """The request, as JSON."""
        match verb:
            case "create":
                return {"definition": self._agent, **given}
            case "start" if "texts" in given:
                given["initial_events"] = [_user_message(text) for text in given.pop("texts")]
            case "send" if "text" in given:
                given["event"] = _user_message(given.pop("text"))
            case "answer":
                result = {"custom_tool_use_id": given.pop("use"), "content": _content(given.pop("text"))}
                if "is_error" in given:
                    result["is_error"] = given.pop("is_error")
                given["event"] = {"user_custom_tool_result": result}
            case "confirm":
                given["event"] = {"user_tool_confirmation": _decided(given)}
            case "result":
                result = {"tool_use_id": given.pop("use"), "content": _content(given.pop("text"))}
                if "is_error" in given:
                    result["is_error"] = given.pop("is_error")
                given["event"] = {"user_tool_result": result}
        return given

    def _message(self, method: str, given: Json) -> Any:
        """What a step leaves out is the last agent and the last session."""
        request = getattr(pb, f"{method}Request")()
        defaults = {name: id_ for name, id_ in self._current.items() if name in request.DESCRIPTOR.fields_by_name}
        return json_format.ParseDict({**defaults, **given}, request)

    async def _call(self, verb: str, given: Json) -> None:
        request = self._message(_METHODS[verb], given)
        try:
            response = await called(self._client, request)
        except ManagedAgentsError as error:
            self._say(f"{verb} {self._names.refusal(error)}")
            return
        if isinstance(response, pb.ListEventsResponse):
            self.lines.extend(map(self._names.event, response.events))
            del response.events[:]
        self._say(f"{verb} {dump(self._names.message(response))}")
        if verb == "create":
            self._current["agent_id"] = response.agent_id
        if verb == "start" and response.session_id not in self._sessions:
            self._current["session_id"] = response.session_id
            self._sessions.append(response.session_id)
            self._hang_up()
            self._last_seq = 0

    def _refusal(self, error: grpc.aio.AioRpcError) -> str:
        return self._names.refusal(error_of(error, self._server.address, answered=True))

    # Following.

    async def _follow(self, given: Json) -> None:
        self._hang_up()
        self._stream = self._stub.StreamEvents(self._message("StreamEvents", given))
        try:
            first = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            self._say(f"follow {self._refusal(error)}")
        else:
            self._say(f"follow {self._names.stable(first.opened.log_id, 'logId')}")

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
        self._stream = None
        self._unread.clear()

    async def _wait_for(self, given: Json) -> None:
        if self._stream is None:
            await self._follow({"from_seq": 0})
        wanted = given.get("has", {})
        async for field, item in self._read():
            if isinstance(item, event_pb2.SessionEvent):
                self._say(self._names.event(item))
                if kind(item) == given.get("kind") and has(self._names.payload(item), wanted):
                    return
                continue
            if field not in ("ended", given.get("message")):
                continue  # Nothing of it is named: whether it came is a matter of chance.
            said = self._names.message(item)
            if field == "ended" or has(said, wanted):
                if field == "delta":  # How much of the answer is in it is a matter of chance.
                    said = {name: said[name] for name in ("attempt", "responseId")}
                self._say(f"{field} {dump(said)}")
                return
        self._say("cut")

    async def _read(self) -> AsyncIterator[tuple[str, Message]]:
        """Events one by one, and whole messages of the other kinds, until the stream is over."""
        while True:
            while self._unread:
                field, item = self._unread.popleft()
                if isinstance(item, event_pb2.SessionEvent):
                    self._last_seq = item.seq
                yield field, item
            try:
                message = await self._stream.read()
            except grpc.aio.AioRpcError:
                return
            if message is grpc.aio.EOF:
                return
            field = message.WhichOneof("message")
            if field == "batch":
                self._unread.extend(("event", event) for event in message.batch.events)
            else:
                self._unread.append((field, getattr(message, field)))

    async def _replay(self) -> None:
        """From every position what comes is the rest of the log."""
        log = await self._log(self._current["session_id"])
        for start in range(len(log) + 1):
            lines: list[str] = []
            async for reply in self._stub.StreamEvents(self._message("StreamEvents", {"from_seq": start})):
                lines.extend(map(self._names.event, reply.batch.events))
                if reply.HasField("caught_up"):
                    break
            if lines != log[start:]:
                self._say(f"replay differs from {start}")
        self._say(f"replay {len(log)} events")

    async def _log(self, session_id: str) -> list[str]:
        lines: list[str] = []
        given = {"session_id": session_id, "page_size": 1000, "page_token": ""}
        while True:
            page = await self._stub.ListEvents(self._message("ListEvents", given))
            lines.extend(map(self._names.event, page.events))
            given["page_token"] = page.next_page_token
            if not page.next_page_token:
                return lines

    async def tell_logs(self) -> None:
        """How many events each session's log has in the end, and those that were not told before."""
        for session_id in self._sessions:
            name = self._names.stable(session_id)
            try:
                log = await self._log(session_id)
            except grpc.aio.AioRpcError as error:
                self._say(f"log {name} {self._refusal(error)}")
                continue
            told = set(self.lines)
            self._say(f"log {name} {len(log)} events")
            self.lines.extend(line for line in log if line not in told)

    # Running.

    async def _run(self, given: Json) -> None:
        try:
            async with asyncio.timeout(given.get("within")):
                result = await run_of(self._client, given)
        except TimeoutError:
            self._say("run gave up")
            return
        except ManagedAgentsError as error:
            self._say(f"run {self._names.refusal(error)}")
            return
        self.lines.extend(map(self._names.event, result.events))
        said: Json = {"stopReason": result.stop_reason, "text": result.text}
        if result.waits_for:
            said["waitsFor"] = list(result.waits_for)
        if result.error is not None:
            said["error"] = status_event_pb2.ErrorCode.Name(result.error.code)
        self._say(f"run {dump(self._names.stable(said))}")

    # The server.

    async def _terminate(self) -> None:
        stopping = asyncio.create_task(self._server.terminate())
        if self._stream is not None:
            await self._wait_for({"message": "ended"})
        self._say(f"terminate {await stopping}")
        self._hang_up()
        await self._start_again()

    async def _start_again(self) -> None:
        await self.close()
        await self._server.start()
        self._connect()


def _content(text: str) -> Json:
    return [{"text": {"text": text}}]


def _decided(given: Json) -> Json:
    """The confirmation that a step is short for; takes what it uses."""
    decision = "TOOL_CONFIRMATION_ALLOW" if given.pop("allow") else "TOOL_CONFIRMATION_DENY"
    decided = {"tool_use_id": given.pop("use"), "decision": decision}
    if "message" in given:
        decided["deny_message"] = given.pop("message")
    return decided


def _user_message(text: str) -> Json:
    return {"user_message": {"content": _content(text)}}


async def main(scenarios: list[Json]) -> None:
    for scenario in scenarios:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(Path(folder) / "log.db", flags(scenario))
            await server.start()
            try:
                lines = await run(scenario, server)
            finally:
                await server.kill()
        sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    asyncio.run(main([json.loads(Path(file).read_text("utf-8")) for file in sys.argv[1:]]))
