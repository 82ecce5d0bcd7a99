"""`make demo`: sets the stage, plays the story in two acts, and says whether it went as told."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from demo import hands, story
from demo.screen import Screen
from demo.story import StoryFault
from support import mcp_servers
from support.server import Server
from support.small_model import small_model


async def main() -> int:
    screen = Screen()
    failed = False
    with tempfile.TemporaryDirectory(prefix="managedagents-demo-") as folder:
        file = Path(folder) / "mcp.toml"
        program, *arguments = await mcp_servers.everything()
        file.write_text(f"[servers.everything]\ncommand = {json.dumps(program)}\nargs = {json.dumps(arguments)}\n")
        server = Server(Path(folder) / "demo.db", ("--allow-address", "127.0.0.1", "--mcp-servers", str(file)))
        async with small_model() as base_url:
            try:
                await story.play(server, base_url, screen)
                await hands.play(server, screen)
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
