"""The tables.

    meta            what this file is: `log_id` names its history
    agents          one row an agent: its newest version, and the metadata of that one
    agent_versions  what callers declared: one row a version, never changed, without any inline key
    agent_usage     what all answers of all sessions of an agent used, deleted sessions included
    secrets         inline keys, encrypted; `session` is 0 for the key of an agent's version
    sessions        one row a session: where its log ends and the state folded from it, written with every append
    events          the log itself: one row an event, its exact wire bytes beside a few columns for people and filters
    verbatim        what a provider needs back as it gave it, beside the first event of its response
    requests        the answers of calls with a request id, for 24 hours

Every row belongs to a tenant: by its own column, or by its agent's or session's row.

`events` is a rowid table with a unique index on (session, seq), not WITHOUT ROWID: inserts of many sessions
interleaved are several times faster so.
"""

from sqlite_utils import Database, Migrations

APPLICATION_ID = 0x6D616774
"""SQLite's own mark of whose file it is (PRAGMA application_id): "magt"."""

migrations = Migrations("managedagents")


_FIRST = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID
    """,
    """
    CREATE TABLE agents (
        agent INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        definition BLOB NOT NULL,
        metadata TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        update_time INTEGER NOT NULL,
        archive_time INTEGER,
        UNIQUE (tenant, agent_id)
    )
    """,
    """
    CREATE TABLE sessions (
        session INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL,
        session_id TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        agent_version INTEGER NOT NULL,
        metadata TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        update_time INTEGER NOT NULL,
        head_seq INTEGER NOT NULL,
        log_bytes INTEGER NOT NULL,
        status INTEGER NOT NULL,
        wake_time INTEGER,
        checkpoint TEXT NOT NULL,
        deleted INTEGER NOT NULL DEFAULT 0,
        UNIQUE (tenant, session_id)
    )
    """,
    """
    CREATE INDEX sessions_to_wake ON sessions (session) WHERE wake_time IS NOT NULL
    """,
    """
    CREATE INDEX sessions_to_purge ON sessions (session) WHERE deleted = 1
    """,
    """
    CREATE INDEX sessions_of_agent ON sessions (tenant, agent_id, session)
    """,
    """
    CREATE TABLE events (
        session INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        turn INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        frame BLOB NOT NULL
    )
    """,
    """
    CREATE UNIQUE INDEX events_by_seq ON events (session, seq)
    """,
    """
    CREATE TABLE verbatim (
        session INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        provider TEXT NOT NULL,
        blob BLOB NOT NULL,
        PRIMARY KEY (session, seq)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE requests (
        tenant TEXT NOT NULL,
        method TEXT NOT NULL,
        request_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        response BLOB NOT NULL,
        create_time INTEGER NOT NULL,
        PRIMARY KEY (tenant, method, request_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX requests_by_age ON requests (create_time)
    """,
)


@migrations()
def m001_first(db: Database) -> None:
    # One by one: a script would commit what was done before it.
    for statement in _FIRST:
        db.execute(statement)


_AGENTS_THAT_LAST = (
    """
    CREATE TABLE agent_versions (
        agent INTEGER NOT NULL,
        version INTEGER NOT NULL,
        definition BLOB NOT NULL,
        create_time INTEGER NOT NULL,
        PRIMARY KEY (agent, version)
    )
    """,
    """
    INSERT INTO agent_versions (agent, version, definition, create_time)
    SELECT agent, version, definition, update_time FROM agents
    """,
    """
    ALTER TABLE agents DROP COLUMN definition
    """,
    """
    ALTER TABLE agents DROP COLUMN update_time
    """,
    """
    CREATE TABLE agent_usage (
        agent INTEGER PRIMARY KEY,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        cache_read_tokens INTEGER NOT NULL,
        cache_write_tokens INTEGER NOT NULL,
        reasoning_tokens INTEGER NOT NULL,
        requests INTEGER NOT NULL,
        model_time INTEGER NOT NULL
    )
    """,
    # What the sessions that are still there have used, as their checkpoints tell it.
    """
    INSERT INTO agent_usage
    SELECT
        agents.agent,
        CAST(total(json_extract(checkpoints.checkpoint, '$.spent[0]')) AS INTEGER),
        CAST(total(json_extract(checkpoints.checkpoint, '$.spent[1]')) AS INTEGER),
        CAST(total(json_extract(checkpoints.checkpoint, '$.spent[2]')) AS INTEGER),
        CAST(total(json_extract(checkpoints.checkpoint, '$.spent[3]')) AS INTEGER),
        CAST(total(json_extract(checkpoints.checkpoint, '$.spent[4]')) AS INTEGER),
        CAST(total(json_extract(checkpoints.checkpoint, '$.spent[5]')) AS INTEGER),
        CAST(total(json_extract(checkpoints.checkpoint, '$.spent[6]')) AS INTEGER)
    FROM agents JOIN (
        SELECT tenant, agent_id, CASE WHEN json_valid(checkpoint) THEN checkpoint ELSE '{}' END AS checkpoint
        FROM sessions
    ) AS checkpoints USING (tenant, agent_id)
    GROUP BY agents.agent
    """,
    """
    CREATE TABLE secrets (
        agent INTEGER NOT NULL,
        version INTEGER NOT NULL,
        session INTEGER NOT NULL,
        ciphertext BLOB NOT NULL,
        PRIMARY KEY (agent, version, session)
    )
    """,
    """
    CREATE INDEX secrets_of_session ON secrets (session) WHERE session > 0
    """,
    # A serialized SessionOverrides without any inline key; NULL: none.
    """
    ALTER TABLE sessions ADD COLUMN overrides BLOB
    """,
    """
    ALTER TABLE sessions ADD COLUMN open_turn INTEGER NOT NULL DEFAULT 0
    """,
    # 6 to 8 are the terminal statuses.
    """
    UPDATE sessions SET open_turn = 1
    WHERE status NOT IN (6, 7, 8)
        AND CASE WHEN json_valid(checkpoint) THEN json_extract(checkpoint, '$.turn') END > 0
    """,
)


@migrations()
def m002_agents_that_last(db: Database) -> None:
    for statement in _AGENTS_THAT_LAST:
        db.execute(statement)


@migrations()
def m003_environments(db: Database) -> None:
    # A serialized EnvironmentConfig; NULL: none.
    db.execute("ALTER TABLE sessions ADD COLUMN environment BLOB")
