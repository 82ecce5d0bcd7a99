"""`make demo`: sets the stage, plays the story, and says whether it went as told."""

import asyncio
import sys
import tempfile
from pathlib import Path

from demo.screen import Screen
from demo.story import StoryFault, play
from support.server import Server
from support.small_model import small_model


async def main() -> int:
    screen = Screen()
    failed = False
    with tempfile.TemporaryDirectory(prefix="managedagents-demo-") as folder:
        server = Server(Path(folder) / "demo.db", ("--allow-address", "127.0.0.1"))
        async with small_model() as base_url:
            try:
                await play(server, base_url, screen)
            except* StoryFault as faults:
                screen.say()
                for fault in faults.exceptions:
                    screen.say(f"The story went wrong: {fault}")
                screen.say(f"The server's own log:\n{server.stderr()}")
                failed = True
            finally:
                await server.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
