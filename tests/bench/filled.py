"""A log that is full before its server starts: whole turns, made by the server's own code, written without it."""

import time
from pathlib import Path

from managedagents.v1 import model_pb2, user_event_pb2
from managedagents_server.log import NewSession, NewVersion, SessionFields, agent_statements
from managedagents_server.log import statements as sql
from managedagents_server.log.database import connect, prepare
from managedagents_server.providers.base import Answer, Text
from managedagents_server.session import events
from managedagents_server.session.fold import apply
from managedagents_server.session.frames import Event, to_row
from managedagents_server.session.state import Spent, State
from managedagents_server.session.toolbox import Toolbox
from managedagents_server.words import ids
from managedagents_server.words.request import TENANT
from support.calls import scripted

EVENTS_A_TURN = 4


def fill(path: Path, sessions: int, turns: int) -> list[str]:
    """Makes the file with so many sessions at rest, all alike, of events of about 200 bytes. Gives their ids; their
    keys are 1, 2, 3 and so on."""
    now = time.time_ns()
    prepare(path)
    db = connect(path)
    db.execute("BEGIN")
    definition = scripted({"text": "ok"}).SerializeToString()
    agent = NewVersion(TENANT, ids.agent_id(), 1, definition, "{}", now)
    agent_statements.create_agent(db, agent, None)
    state, rows = State(), []
    for _ in range(turns):
        for group in _turn(state):
            first = state.head + 1
            for event in group:
                event.seq = state.head + 1
                event.create_time.FromNanoseconds(now)
                row = to_row(event, now, first)
                apply(state, event, len(row.frame))
                rows.append(row)
    fields = SessionFields(state.head, state.log_bytes, int(state.status), None, state.dump())
    made = [f"ses_{number:023}" for number in range(1, sessions + 1)]
    for session_id in made:
        sql.start_session(db, NewSession(TENANT, session_id, agent.agent_id, 1, "{}", now, rows, fields))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return made


def _turn(state: State) -> list[list[Event]]:
    """The writes of one turn."""
    turn = state.head + 1
    said = user_event_pb2.UserMessage(content=[events.text("x" * 370)])
    answer = Answer((Text("y" * 250),), model_pb2.MODEL_STOP_REASON_END_TURN, "scripted", model_pb2.Usage(requests=1))
    response_id = f"rsp_{turn}_1"
    asked = State(turn=turn, head=turn + 1)
    answered = events.response(
        asked, answer, "scripted", response_id=response_id, attempt=1, deadline=0, toolbox=Toolbox({}), denials=()
    )
    idle = events.idle(turn, events.end_of(answer), Spent(requests=1).message())
    return [[Event(turn=turn, user_message=said)], [events.running(turn, 1)], [*answered, idle]]
