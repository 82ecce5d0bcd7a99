"""Runs a scenario against a real server and gives its lines: README.md says what they mean.

`PYTHONPATH=tests python -m conformance.runner FILE...` prints the lines of each, with servers of its own.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from conformance.following import Following
from conformance.lines import Json, Names, dump
from conformance.requests import Requests
from conformance.running import run as run_turn
from conformance.servers import by_hand, server_of
from conformance.streams import Streams
from conformance.verbs import called
from managedagents import Client, ManagedAgentsError
from managedagents.v1 import service_pb2 as pb
from support.server import Server

PATIENCE = 60.0


async def run(scenario: Json, server: Server) -> list[str]:
    runner = Runner(scenario["agent"], server)
    try:
        async with asyncio.timeout(PATIENCE):
            await runner.connect()
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
        self._server = server
        self._names = Names()
        self._requests = Requests(agent)
        self._streams = Streams(self.lines, self._names, self._requests)
        self._following = Following(self.lines, self._names)
        self._sessions: list[str] = []
        self._client: Client | None = None

    async def connect(self, token: str | None = None, patience: float = 0.0) -> None:
        """Without patience a refusal is a line, also one that a client would ask again after."""
        await self.close()
        self._client = Client.connect(self._server.address, token=token, connect_timeout=patience, patience=patience)
        await self._streams.connect(self._server, token)

    async def close(self) -> None:
        await self._following.close()
        await self._streams.close()
        if self._client is not None:
            await self._client.close()

    async def step(self, verb: str, given: Json) -> None:
        given = self._names.ids(given)
        assert self._client is not None
        match verb:
            case "connect":
                await self.connect(**given)
            case "follow":
                await self._streams.follow({"from_seq": 0, **given})
            case "reconnect":
                await self._streams.follow({"from_seq": self._streams.last_seq, **given})
            case "wait_for":
                await self._streams.wait_for(given)
            case "replay":
                await self._streams.replay()
            case "keep_following":
                await self._following.go_on(self._client, self._requests.session_id, given)
            case "run":
                given = {"session_id": self._requests.session_id, **given}
                self.lines += await run_turn(self._client, self._names, given)
            case "kill" | "terminate" | "stop" | "start_again" | "by_hand":
                await self._to_the_server(verb, given)
            case _:
                await self._call(self._client, verb, given)

    async def _call(self, client: Client, verb: str, given: Json) -> None:
        try:
            response = await called(client, self._requests.of(verb, given))
        except ManagedAgentsError as error:
            self.lines.append(f"{verb} {self._names.failure(error)}")
            return
        if isinstance(response, pb.ListEventsResponse):
            self.lines += map(self._names.event, response.events)
            del response.events[:]
        self.lines.append(f"{verb} {dump(self._names.message(response))}")
        if isinstance(response, pb.CreateResponse):
            self._requests.agent_id = response.agent_id
        if isinstance(response, pb.StartSessionResponse) and response.session_id not in self._sessions:
            self._requests.session_id = response.session_id
            self._sessions.append(response.session_id)
            await self._following.close()
            self._streams.hang_up()
            self._streams.last_seq = 0

    async def _to_the_server(self, verb: str, given: Json) -> None:
        match verb:
            case "by_hand":
                await by_hand(self._server, given)
                self.lines.append(f"by_hand {given['does']}")
            case "start_again":
                await self._server.start()
                self.lines.append("start_again")
            case "stop":
                self._streams.hang_up()
                await self._server.kill()
                self.lines.append("stop")
            case "kill":
                self._streams.hang_up()
                await self._server.kill()
                self.lines.append("kill")
                await self._server.start()
                await self.connect()
            case "terminate":
                stopping = asyncio.create_task(self._server.terminate())
                if self._streams.is_open:
                    await self._streams.wait_for({"message": "ended"})
                self.lines.append(f"terminate {await stopping}")
                await self._server.start()
                await self.connect()

    async def tell_logs(self) -> None:
        for session_id in self._sessions:
            await self._streams.tell_log(session_id)


async def main(scenarios: list[Json]) -> None:
    for scenario in scenarios:
        with tempfile.TemporaryDirectory() as folder:
            server = server_of(scenario, Path(folder) / "log.db")
            await server.start()
            try:
                lines = await run(scenario, server)
            finally:
                await server.kill()
        sys.stdout.write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    asyncio.run(main([json.loads(Path(file).read_text("utf-8")) for file in sys.argv[1:]]))
