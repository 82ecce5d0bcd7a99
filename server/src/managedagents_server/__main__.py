"""The command line."""

import asyncio
import logging
import sys

from managedagents_server import config
from managedagents_server.app import ListenFault, serve
from managedagents_server.log import DatabaseFault, backup, restore
from managedagents_server.providers import ProvidersFault
from managedagents_server.rpc.auth import TokenFileFault
from managedagents_server.session import KeyringFault
from managedagents_server.tools import McpServersFault


def main() -> int:
    """Gives the exit code."""
    command = config.read()
    config.forget_variables()
    try:
        match command:
            case config.Serve():
                asyncio.run(serve(command))
            case config.Backup(db, to):
                backup(db, to)
                _say(f"copied {db} to {to}")
            case config.Restore(db, source):
                log_id = restore(db, source)
                _say(f"restored {db} from {source}; its log id is now {log_id}")
    except (DatabaseFault, KeyringFault, ListenFault, McpServersFault, ProvidersFault, TokenFileFault) as fault:
        sys.stderr.write(f"{config.PROGRAM}: {fault}\n")
        return 1
    except Exception:
        logging.getLogger(__name__).critical("the server failed", exc_info=True)
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
