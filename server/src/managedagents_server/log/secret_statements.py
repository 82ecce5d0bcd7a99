"""Every statement on inline keys, which are encrypted by the time that they come here. All run inside the writer's
transaction, but `secret` and `to_erase`."""

from collections.abc import Mapping

from managedagents_server.log.database import Db

_OF_ARCHIVED = (
    "agent = (SELECT agent FROM agents WHERE tenant = :tenant AND agent_id = :agent_id AND archive_time IS NOT NULL)"
)
_NO_OPEN_TURN = (
    "NOT EXISTS (SELECT 1 FROM sessions WHERE tenant = :tenant AND agent_id = :agent_id"
    " AND open_turn = 1 AND deleted = 0)"
)


def add(db: Db, agent: int, version: int, session: int, ciphertext: bytes) -> None:
    db.execute(
        "INSERT INTO secrets (agent, version, session, ciphertext) VALUES (?, ?, ?, ?)",
        (agent, version, session, ciphertext),
    )


def secret(db: Db, agent: int, version: int, session: int) -> bytes | None:
    row = db.execute(
        "SELECT ciphertext FROM secrets WHERE agent = ? AND version = ? AND session = ?", (agent, version, session)
    ).fetchone()
    return None if row is None else row[0]


def erase_agent(db: Db, tenant: str, agent_id: str) -> int | None:
    """How many keys of an archived agent were erased. None: none, because a turn is open that may need one."""
    values = {"tenant": tenant, "agent_id": agent_id}
    if db.execute(f"SELECT 1 FROM secrets WHERE {_OF_ARCHIVED} LIMIT 1", values).fetchone() is None:
        return 0
    return _erase(db, f"{_OF_ARCHIVED} AND {_NO_OPEN_TURN}", values) or None


def erase_session(db: Db, session: int) -> None:
    _erase(db, "session = :session AND session > 0", {"session": session})


def to_erase(db: Db) -> list[tuple[str, str]]:
    return db.execute(
        "SELECT tenant, agent_id FROM agents WHERE archive_time IS NOT NULL AND agent IN (SELECT agent FROM secrets)"
    ).fetchall()


def _erase(db: Db, where: str, values: Mapping[str, str | int]) -> int:
    # Zeros are written over what is deleted. Not always on: purges would write every page that they free.
    db.execute("PRAGMA secure_delete = ON")
    count = db.execute(f"DELETE FROM secrets WHERE {where}", values).rowcount
    db.execute("PRAGMA secure_delete = OFF")
    return count
