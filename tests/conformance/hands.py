"""What is done to a scenario's server from outside, for every language by this one program.

`python hands.py JSON FILE HOST:PORT COMMAND...` does what the JSON says; COMMAND is the server's.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Hands:
    db: Path
    address: str
    command: tuple[str, ...]

    # To a server that runs, or not.

    def back_up(self) -> None:
        self._run("backup", "--to", str(self._backup))

    # To a server that is stopped.

    def restore(self) -> None:
        """As an operator should."""
        self._run("restore", "--from", str(self._backup))

    def put_back(self) -> None:
        """As an operator should not: the old file under its old name."""
        for ending in ("-wal", "-shm"):
            Path(f"{self.db}{ending}").unlink(missing_ok=True)
        shutil.copyfile(self._backup, self.db)

    def break_event(self, seq: int) -> None:
        self._change("UPDATE events SET frame = zeroblob(length(frame)) WHERE seq = ?", seq)

    def break_agents(self) -> None:
        """Their definitions are no messages any more."""
        self._change("UPDATE agent_versions SET definition = x'ff'")

    # To a server that runs.

    def begin_to_stop(self) -> None:
        """SIGTERM, and comes back when the server has begun. It must have a turn to wait for."""
        # It takes longer than all that the others do.
        import grpc
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        with grpc.insecure_channel(self.address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            for answer in stub.Watch(health_pb2.HealthCheckRequest()):
                if answer.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                    return
                self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Of a server that was started on a small one."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"\0" * 4096)

    def free_disk(self) -> None:
        self._ballast.unlink()

    @property
    def _backup(self) -> Path:
        return Path(f"{self.db}.backup")

    @property
    def _pid(self) -> int:
        return int(Path(f"{self.db}.pid").read_text())

    @property
    def _ballast(self) -> Path:
        """On the disk as the server sees it."""
        return Path(f"/proc/{self._pid}/root{self.db.parent}/ballast")

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    def _run(self, name: str, *given: str) -> None:
        subprocess.run([*self.command, name, "--db", str(self.db), *given], check=True)

    def _change(self, statement: str, *values: int) -> None:
        with closing(sqlite3.connect(self.db)) as db, db:
            db.execute(statement, values)


def main(said: str, db: str, address: str, *command: str) -> None:
    given = json.loads(said)
    getattr(Hands(Path(db), address, command), given.pop("does"))(**given)


if __name__ == "__main__":
    main(*sys.argv[1:])
