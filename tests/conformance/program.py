"""What every runner starts as its server, in any language, with the real server's command in front of its own words:

    python program.py COMMAND... --listen HOST:PORT --db FILE [--as=WHAT] FLAG...
    python program.py COMMAND... --by-hand JSON --db FILE --address HOST:PORT

The first becomes the server, or what stands in its place: README.md tells of both. `{conformance}` in a flag is this
folder.
"""

import argparse
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent

# A file system of its own over the folder of the log, which nobody else sees: it needs no privilege.
_DISK_BYTES = 2 * 1024 * 1024
_ON_A_SMALL_DISK = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


def main(words: list[str]) -> None:
    first = next(at for at, word in enumerate(words) if word.startswith("--"))
    command, given = words[:first], [word.replace("{conformance}", str(HERE)) for word in words[first:]]
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--db", required=True)
    parser.add_argument("--as", dest="what", default="")
    parser.add_argument("--by-hand")
    parser.add_argument("--address")
    known, rest = parser.parse_known_args(given)
    if known.by_hand is not None:
        _become([sys.executable, str(HERE / "hands.py"), known.by_hand, known.db, known.address, *command])
    server = [*command, "--db", known.db, *rest]
    # For the hands: a process keeps its id whatever it becomes.
    Path(f"{known.db}.pid").write_text(str(os.getpid()))
    match known.what:
        case "":
            _become(server)
        case "stranger" | "garbled" as program:
            _become([sys.executable, str(HERE / f"{program}.py"), *server])
        case "on_a_small_disk":
            small = [_ON_A_SMALL_DISK, "sh", str(_DISK_BYTES), str(Path(known.db).parent)]
            _become(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", *small, *server])
        case unknown:
            sys.exit(f"there is no {unknown} to start")


def _become(command: list[str]) -> None:
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
