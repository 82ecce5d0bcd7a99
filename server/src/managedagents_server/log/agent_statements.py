"""Every statement on agents, each in a function of its own. Writing ones run inside the writer's transaction."""

from contextlib import closing
from typing import Any

from managedagents_server.log import secret_statements
from managedagents_server.log.database import Db
from managedagents_server.log.faults import AgentConflict
from managedagents_server.log.records import AgentRow, AgentUsage, NewVersion
from managedagents_server.log.statements import HAS_METADATA, keep, page
from managedagents_server.words.request import KeptAnswer

_USAGE = ", ".join(f"coalesce({name}, 0)" for name in AgentUsage._fields[1:])
_AGENT = (
    "SELECT agent, tenant, agent_id, agents.create_time, archive_time, agent_versions.version, definition,"
    f" agent_versions.create_time, {_USAGE} FROM agents JOIN agent_versions USING (agent)"
    " LEFT JOIN agent_usage USING (agent)"
)


def create_agent(db: Db, new: NewVersion, kept: KeptAnswer | None) -> None:
    agent = db.execute(
        "INSERT INTO agents (tenant, agent_id, version, metadata, create_time) VALUES (?, ?, ?, ?, ?)",
        (new.tenant, new.agent_id, new.version, new.metadata, new.create_time),
    ).lastrowid
    assert agent is not None
    _add_version(db, agent, new, kept)


def update_agent(db: Db, new: NewVersion, kept: KeptAnswer | None) -> None:
    updated = db.execute(
        "UPDATE agents SET version = ?, metadata = ?"
        " WHERE tenant = ? AND agent_id = ? AND version = ? AND archive_time IS NULL RETURNING agent",
        (new.version, new.metadata, new.tenant, new.agent_id, new.version - 1),
    ).fetchone()
    if updated is None:
        raise AgentConflict(f"the agent's version is not {new.version - 1}, or it is archived")
    _add_version(db, updated[0], new, kept)


def _add_version(db: Db, agent: int, new: NewVersion, kept: KeptAnswer | None) -> None:
    db.execute(
        "INSERT INTO agent_versions (agent, version, definition, create_time) VALUES (?, ?, ?, ?)",
        (agent, new.version, new.definition, new.create_time),
    )
    if new.secret is not None:
        secret_statements.add(db, agent, new.version, 0, new.secret)
    if kept is not None:
        keep(db, kept, new.create_time)


def archive_agent(db: Db, tenant: str, agent_id: str, now: int, kept: KeptAnswer | None) -> int | None:
    """Gives what `erase_agent` gives."""
    db.execute(
        "UPDATE agents SET archive_time = coalesce(archive_time, ?) WHERE tenant = ? AND agent_id = ?",
        (now, tenant, agent_id),
    )
    if kept is not None:
        keep(db, kept, now)
    return secret_statements.erase_agent(db, tenant, agent_id)


def agent(db: Db, tenant: str, agent_id: str, version: int | None) -> AgentRow | None:
    row = db.execute(
        f"{_AGENT} WHERE tenant = ? AND agent_id = ? AND agent_versions.version = coalesce(?, agents.version)",
        (tenant, agent_id, version),
    ).fetchone()
    return None if row is None else _row(row)


def agents(
    db: Db, tenant: str, before: int | None, wanted: str, archived: bool, most_rows: int, most_bytes: int
) -> tuple[list[AgentRow], bool]:
    # The plus: as for sessions.
    where = " WHERE +tenant = :tenant AND agent_versions.version = agents.version"
    if before is not None:
        where += " AND agent < :before"
    if not archived:
        where += " AND archive_time IS NULL"
    if wanted != "{}":
        where += HAS_METADATA
    values = {"tenant": tenant, "before": before, "wanted": wanted, "most_rows": most_rows}
    with closing(db.execute(f"{_AGENT}{where} ORDER BY agent DESC LIMIT :most_rows + 1", values)) as found:
        return page(map(_row, found), most_rows, most_bytes, lambda row: len(row.definition))


def _row(row: tuple[Any, ...]) -> AgentRow:
    return AgentRow._make((*row[:8], AgentUsage(row[0], *row[8:])))
