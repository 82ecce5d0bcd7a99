"""A real server behind a bad line: wherever a caller says GARBLED, the server gets bytes that are no UTF-8.

`python garbled.py COMMAND... --listen HOST:PORT ...`, which is what starts the server.
"""

import asyncio
import sys
from contextlib import suppress

SAID = b"GARBLED"
HEARD = b"\xff" * len(SAID)


async def main(words: list[str]) -> None:
    at = words.index("--listen") + 1
    host, _, port = words[at].rpartition(":")
    words[at] = f"{host}:0"
    # However this process ends, the server does not outlive it.
    server = await asyncio.create_subprocess_exec(
        "setpriv", "--pdeathsig", "KILL", *words, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    line = (await server.stdout.readline()).decode()
    if not line.startswith("listening on "):
        sys.exit(await server.wait())
    _, _, server_port = line.strip().rpartition(":")

    async def relay(caller: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        called, onward = await asyncio.open_connection(host, int(server_port))
        async with asyncio.TaskGroup() as both:
            both.create_task(pass_on(caller, onward, garbling=True))
            both.create_task(pass_on(called, answers))

    listener = await asyncio.start_server(relay, host, int(port))
    async with listener:
        sys.stdout.write(f"listening on {host}:{listener.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        sys.exit(await server.wait())


async def pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter, *, garbling: bool = False) -> None:
    kept = b""
    with suppress(ConnectionError):
        while piece := await source.read(65536):
            kept = (kept + piece).replace(SAID, HEARD) if garbling else piece
            # The rest of the word may come with the next piece.
            left = next((n for n in range(len(SAID) - 1, 0, -1) if kept.endswith(SAID[:n])), 0) if garbling else 0
            to.write(kept[: len(kept) - left])
            kept = kept[len(kept) - left :]
            await to.drain()
        to.write(kept)
    to.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
